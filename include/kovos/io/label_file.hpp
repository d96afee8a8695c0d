// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/label_values.hpp"
#include "kovos/io/picture_format.hpp"
#include "kovos/io/png.hpp"
#ifdef KOVOS_ENABLE_TIFF
#include "kovos/io/tiff.hpp"
#endif

namespace kovos {

namespace detail {

/// Whether a palette [n * 3] has more than two colours, all of them greys, and not each its own index.
inline bool has_moved_greys(std::vector<std::uint8_t> const& palette) {
  bool moved = false;
  for (std::size_t i = 0; i + 2 < palette.size(); i += 3) {
    if (palette[i] != palette[i + 1] || palette[i] != palette[i + 2]) return false;
    moved = moved || palette[i] != i / 3;
  }
  return moved && palette.size() > 6;
}

/// The values of a label PNG. Throws ImageError.
inline LabelFile decode_png_labels(std::span<std::byte const> bytes, std::string_view source) {
  std::string const name(source);
  PngData const data = read_png_data(bytes, true, source);
  LabelFile file{data.height, data.width, data.bits == 16 ? 16 : 8, {}, false};
  file.grey_palette = data.color == PNG_COLOR_TYPE_PALETTE && has_moved_greys(data.palette);
  std::size_t const count = data.height * data.width;
  bool const grey = data.color == PNG_COLOR_TYPE_GRAY;
  require<ImageError>(!grey || data.bits != 1, name,
                      ": a grey PNG of 1 bit has no agreed label values (Pillow reads its white as 1, OpenCV as 255); "
                      "save it with 8 bits or with a palette");
  require<ImageError>(data.bits <= 8 || grey, name,
                      ": labels in a PNG of 16 bits must be plain grey, this one has colour or alpha, of which Pillow "
                      "keeps the high bytes only; save it as 16-bit grey");
  if (data.bits == 16) {
    file.values.resize(count);
    for (std::size_t i = 0; i < count; ++i)
      file.values[i] = static_cast<std::uint16_t>(data.rows[2 * i] << 8 | data.rows[2 * i + 1]);
    return file;
  }
  if (data.channels == 1) {
    // Grey of 2 and 4 bits is a darker or brighter grey of 8: 3 and 15 are white. Indices of a palette are not.
    unsigned const factor = grey && data.bits == 2 ? 85 : grey && data.bits == 4 ? 17 : 1;
    file.values.resize(count);
    for (std::size_t i = 0; i < count; ++i) file.values[i] = static_cast<std::uint16_t>(data.rows[i] * factor);
    return file;
  }
  bool const alpha = data.channels % 2 == 0;
  file.values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t const* const p = data.rows.data() + i * data.channels;
    if (data.channels >= 3 && (p[0] != p[1] || p[0] != p[2]))
      fail<ImageError>(name, ": row ", i / data.width, ", column ", i % data.width, " has the colour (", int{p[0]},
                       ", ", int{p[1]}, ", ", int{p[2]},
                       "), expected three equal channels: labels are class indices, not colours; save the index of "
                       "each pixel's class as palette or grey PNG");
    if (alpha && p[data.channels - 1] != 255)
      fail<ImageError>(name, ": row ", i / data.width, ", column ", i % data.width, " has the alpha value ",
                       int{p[data.channels - 1]},
                       ", expected 255: what a transparent label means is not known; save "
                       "the labels without alpha");
    file.values.push_back(p[0]);
  }
  return file;
}

}  // namespace detail

/// Reads a label file, told by its content: PNG (palette of any depth, grey of 2 to 16 bits, colour with three equal
/// channels, opaque alpha) or, where the TIFF component is built, TIFF. Values are as Pillow gives them: indices of a
/// palette, grey of 2 and 4 bits as 8-bit grey, a PNG as it is stored whatever its orientation; none has a meaning yet.
/// Throws FileError, or ImageError naming the file, and the pixel whose value cannot be taken.
inline LabelFile read_label_file(std::filesystem::path const& path) {
  std::string const name = path.string();
  auto const bytes = read_file(path);
  require<ImageError>(!bytes.empty(), name, ": the label file is empty (0 bytes)");
  switch (detail::picture_format(bytes)) {
    case detail::PictureFormat::png:
      return detail::decode_png_labels(bytes, name);
    case detail::PictureFormat::tiff:
#ifdef KOVOS_ENABLE_TIFF
      return detail::decode_tiff_labels(path);
#else
      fail<ImageError>(name,
                       " is a TIFF; this build has no TIFF component: install libtiff and build again, or convert "
                       "the labels to grey PNG");
#endif
    case detail::PictureFormat::jpeg:
      fail<ImageError>(name, " is a JPEG, which changes values: expected labels as PNG or TIFF");
    default:
      break;
  }
  auto const foreign = detail::foreign_format(bytes);
  fail<ImageError>(name, ": not a label file this library reads", foreign.name.empty() ? "" : " but ", foreign.name,
                   ", expected a PNG or TIFF of class indices");
}

}  // namespace kovos
