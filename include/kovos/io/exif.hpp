// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/image.hpp"
#include "kovos/io/picture_format.hpp"

namespace kovos::detail {

/// An entry is there, with a value by which nothing can be turned.
inline constexpr int stated_but_none = 9;

/// The orientation that a TIFF block as EXIF carries it states: 1 to 8, 0 if there is none or the block is broken, or
/// stated_but_none. The rule is Pillow's: leading "Exif" marks are skipped, the first entry counts.
inline int exif_orientation(std::span<std::byte const> tiff) {
  while (has_at(tiff, 0, std::string_view("Exif\0\0", 6))) tiff = tiff.subspan(6);
  auto const byte = [&](std::size_t i) { return std::to_integer<std::uint32_t>(tiff[i]); };
  if (tiff.size() < 14) return 0;
  bool const little = byte(0) == 'I' && byte(1) == 'I';
  if (!little && !(byte(0) == 'M' && byte(1) == 'M')) return 0;
  auto const u16 = [&](std::size_t i) { return little ? byte(i) | byte(i + 1) << 8 : byte(i) << 8 | byte(i + 1); };
  auto const u32 = [&](std::size_t i) { return little ? u16(i) | u16(i + 2) << 16 : u16(i) << 16 | u16(i + 2); };
  if (u16(2) != 42) return 0;
  std::size_t const directory = u32(4);
  if (directory + 2 > tiff.size()) return 0;
  std::size_t const entries = u16(directory);
  for (std::size_t n = 0; n < entries; ++n) {
    std::size_t const at = directory + 2 + 12 * n;
    if (at + 12 > tiff.size()) break;
    std::uint32_t const type = u16(at + 2), count = u32(at + 4);
    if (u16(at) != 0x0112 || count == 0) continue;
    // Whole numbers of 16 or 32 bits that stand in the entry itself.
    bool const narrow = type == 3 || type == 8, wide = type == 4 || type == 9;
    if (!(narrow && count <= 2) && !(wide && count == 1)) return stated_but_none;
    std::uint32_t const value = narrow ? u16(at + 8) : u32(at + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : stated_but_none;
  }
  return 0;
}

/// The orientation that an XMP packet states; 0 if there is none.
inline int xmp_orientation(std::string_view xmp) {
  constexpr std::string_view name = "tiff:Orientation";
  for (std::size_t at = xmp.find(name); at != xmp.npos; at = xmp.find(name, at + 1)) {
    auto rest = xmp.substr(at + name.size());
    if (rest.starts_with("=\"")) rest.remove_prefix(2);
    else if (rest.starts_with(">")) rest.remove_prefix(1);
    else continue;
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return 0;
}

/// What both say together, 1 to 8: XMP counts where EXIF has no such entry.
inline int stated_orientation(std::span<std::byte const> exif, std::string_view xmp) {
  int const first = exif_orientation(exif);
  int const value = first != 0 ? first : xmp_orientation(xmp);
  return value >= 1 && value <= 8 ? value : 1;
}

/// Turns [height, width, channels] as an orientation from 2 to 8 asks for; height and width become those of the result.
template <class T>
std::vector<T> turned(std::vector<T> const& pixels, std::size_t& height, std::size_t& width, std::size_t channels,
                      int orientation) {
  bool const transposes = orientation >= 5;
  std::size_t const h = height, w = width;
  std::vector<T> result(pixels.size());
  if (transposes) std::swap(height, width);
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      std::size_t sy = transposes ? x : y, sx = transposes ? y : x;
      // Which source axes run backwards.
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = w - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = h - 1 - sy;
      for (std::size_t c = 0; c < channels; ++c)
        result[(y * width + x) * channels + c] = pixels[(sy * w + sx) * channels + c];
    }
  return result;
}

/// The picture as it should be seen: what an EXIF orientation asks for.
inline Image oriented(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  image.pixels = turned(image.pixels, image.height, image.width, 3, orientation);
  return image;
}

}  // namespace kovos::detail
