// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/jpeg.hpp"
#include "kovos/io/png.hpp"

namespace kovos {

/// Decodes a PNG or JPEG, told apart by content, to 8-bit RGB as Pillow and detectron2 do: EXIF orientation applied,
/// grey replicated, alpha dropped, palettes applied, 16-bit colour by its high byte, 16-bit grey saturated, CMYK as
/// Adobe writes it. Throws ImageError naming the source; there is never a partial picture.
inline Image decode_image(std::span<std::byte const> bytes, std::string_view source_name) {
  auto const starts_with = [&](std::initializer_list<int> magic) {
    if (bytes.size() < magic.size()) return false;
    std::size_t i = 0;
    for (int const b : magic)
      if (std::to_integer<int>(bytes[i++]) != b) return false;
    return true;
  };
  if (starts_with({0x89, 'P', 'N', 'G'})) return detail::decode_png(bytes, source_name);
  if (starts_with({0xFF, 0xD8, 0xFF})) return detail::decode_jpeg(bytes, source_name);
  require<ImageError>(!bytes.empty(), std::string(source_name), ": the picture is empty (0 bytes)");
  fail<ImageError>(std::string(source_name), ": not a picture this library reads; convert it to PNG or JPEG");
}

/// Reads and decodes a picture. Throws FileError or ImageError.
inline Image read_image(std::filesystem::path const& path) {
  auto const bytes = read_file(path);
  return decode_image(bytes, path.string());
}

/// Writes an 8-bit RGB PNG, to a temporary name first. Throws FileError or ImageError.
inline void write_png(std::filesystem::path const& path, Image const& image) {
  detail::write_png_file(path, image.height, image.width, 8, PNG_COLOR_TYPE_RGB, image.pixels);
}

/// Writes class indices as a grey PNG of 8 or 16 bits; LabelMap::unknown becomes 255 or 65535.
/// Throws ImageError if a label does not fit, FileError if the file cannot be written.
inline void write_png_labels(std::filesystem::path const& path, LabelMap const& labels, int bits) {
  require<ImageError>(bits == 8 || bits == 16, path.string(), ": label files have 8 or 16 bits, not ", bits);
  std::vector<std::uint8_t> rows;
  rows.reserve(labels.labels.size() * static_cast<std::size_t>(bits / 8));
  for (auto const label : labels.labels) {
    if (bits == 16) {
      rows.push_back(static_cast<std::uint8_t>(label >> 8));
      rows.push_back(static_cast<std::uint8_t>(label & 0xFF));
      continue;
    }
    require<ImageError>(label < 255 || label == LabelMap::unknown, path.string(), ": label ", label,
                        " does not fit into 8 bits beside 255 for unknown; write 16 bits");
    rows.push_back(static_cast<std::uint8_t>(label & 0xFF));
  }
  detail::write_png_file(path, labels.height, labels.width, bits, PNG_COLOR_TYPE_GRAY, rows);
}

/// Reads a label PNG without any conversion: palette indices, or grey values of 1 to 16 bits. 255 in 8-bit and 65535 in
/// 16-bit files become LabelMap::unknown. Throws FileError or ImageError.
inline LabelMap read_png_labels(std::filesystem::path const& path) {
  auto const bytes = read_file(path);
  auto const data = detail::read_png_data(bytes, true, path.string());
  require<ImageError>(data.channels == 1, path.string(), ": labels must be a palette or grey PNG, this one has ",
                      data.channels, " channels");
  LabelMap labels{data.height, data.width, std::vector<std::uint16_t>(data.height * data.width)};
  for (std::size_t i = 0; i < labels.labels.size(); ++i) {
    if (data.bits == 16) labels.labels[i] = static_cast<std::uint16_t>(data.rows[2 * i] << 8 | data.rows[2 * i + 1]);
    else labels.labels[i] = data.rows[i] == 255 ? LabelMap::unknown : data.rows[i];
  }
  return labels;
}

}  // namespace kovos
