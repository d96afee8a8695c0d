// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kovos/core/image.hpp"

namespace kovos::detail {

/// The orientation (1..8) in a TIFF block as EXIF carries it; 1 if there is none or the block is broken.
inline int exif_orientation(std::span<std::byte const> tiff) {
  auto const byte = [&](std::size_t i) { return std::to_integer<std::uint32_t>(tiff[i]); };
  if (tiff.size() < 14) return 1;
  bool const little = byte(0) == 'I' && byte(1) == 'I';
  if (!little && !(byte(0) == 'M' && byte(1) == 'M')) return 1;
  auto const u16 = [&](std::size_t i) { return little ? byte(i) | byte(i + 1) << 8 : byte(i) << 8 | byte(i + 1); };
  auto const u32 = [&](std::size_t i) { return little ? u16(i) | u16(i + 2) << 16 : u16(i) << 16 | u16(i + 2); };
  if (u16(2) != 42) return 1;
  std::size_t const directory = u32(4);
  if (directory + 2 > tiff.size()) return 1;
  std::size_t const entries = u16(directory);
  for (std::size_t n = 0; n < entries; ++n) {
    std::size_t const at = directory + 2 + 12 * n;
    if (at + 12 > tiff.size()) return 1;
    if (u16(at) != 0x0112) continue;
    std::uint32_t const value = u16(at + 2) == 3 ? u16(at + 8) : 0;
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

/// The picture as it should be seen: what an EXIF orientation asks for.
inline Image oriented(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  bool const transposes = orientation >= 5;
  std::size_t const h = image.height, w = image.width;
  Image result{transposes ? w : h, transposes ? h : w, std::vector<std::uint8_t>(image.pixels.size())};
  for (std::size_t y = 0; y < result.height; ++y)
    for (std::size_t x = 0; x < result.width; ++x) {
      std::size_t sy = transposes ? x : y, sx = transposes ? y : x;
      // Which source axes run backwards.
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = w - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = h - 1 - sy;
      for (std::size_t c = 0; c < 3; ++c) result.row(y)[3 * x + c] = image.row(sy)[3 * sx + c];
    }
  return result;
}

}  // namespace kovos::detail
