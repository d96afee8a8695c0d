// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/jpeg.hpp"
#include "kovos/io/label_file.hpp"
#include "kovos/io/picture_format.hpp"
#include "kovos/io/picture_names.hpp"
#include "kovos/io/png.hpp"
#include "kovos/io/pnm.hpp"
#ifdef KOVOS_ENABLE_TIFF
#include "kovos/io/tiff.hpp"
#endif

namespace kovos {

/// Decodes a picture (PNG, JPEG, PPM or PGM, and TIFF where its component is built), told apart by content, to 8-bit
/// RGB as Pillow and detectron2 do: orientation applied, grey replicated, alpha dropped, palettes applied, CMYK as
/// Adobe writes it, 16 bits as the options say. Throws ImageError naming the source, and the format where it is one
/// that is not read; there is never a partial picture.
KOVOS_DOOR Image decode_image(std::span<std::byte const> bytes, std::string_view source_name,
                              ImageOptions options = {});

/// Reads and decodes a picture. Throws FileError or ImageError.
KOVOS_DOOR Image read_image(std::filesystem::path const& path, ImageOptions options = {});

/// The orientation (1 to 8, as EXIF counts) by which decode_image turns this PNG, JPEG or TIFF; 1 if it says nothing.
/// Labels in PNGs are never turned, and 2, 3 and 4 (mirrored, turned by 180 degrees) leave the size as it is, so that
/// nothing else tells that picture and label do not lie on each other. Reads the headers only; never throws for bad
/// content.
KOVOS_DOOR int image_orientation(std::span<std::byte const> bytes);

/// Writes an 8-bit RGB PNG, to a temporary name first. Throws FileError or ImageError.
KOVOS_DOOR void write_png(std::filesystem::path const& path, Image const& image);

/// Writes class indices as a grey PNG of 8 or 16 bits; LabelMap::unknown becomes 255 or 65535.
/// Throws ImageError if a label does not fit, FileError if the file cannot be written.
KOVOS_DOOR void write_png_labels(std::filesystem::path const& path, LabelMap const& labels, int bits);

/// Label values as class indices: 65535, and 255 where the file has 8 bits or at most 255 classes are listed, become
/// LabelMap::unknown.
inline LabelMap as_class_indices(LabelFile file, std::size_t class_count = LabelMap::unknown) {
  if (file.bits == 8 || class_count <= 255)
    for (auto& value : file.values)
      if (value == 255) value = LabelMap::unknown;
  return {file.height, file.width, std::move(file.values)};
}

/// Reads a label PNG (or TIFF) of class indices: read_label_file and as_class_indices. Throws FileError or ImageError.
KOVOS_DOOR LabelMap read_png_labels(std::filesystem::path const& path, std::size_t class_count = LabelMap::unknown);

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Image decode_image(std::span<std::byte const> bytes, std::string_view source_name, ImageOptions options) {
  std::string const name(source_name);
  require<ImageError>(!bytes.empty(), name, ": the picture is empty (0 bytes)");
  switch (detail::picture_format(bytes)) {
    case detail::PictureFormat::png:
      return detail::decode_png(bytes, name, options);
    case detail::PictureFormat::jpeg:
      return detail::decode_jpeg(bytes, name, options);
    case detail::PictureFormat::pnm:
      return detail::decode_pnm(bytes, name, options);
    case detail::PictureFormat::tiff:
#ifdef KOVOS_ENABLE_TIFF
      return detail::decode_tiff(bytes, name, options);
#else
      fail<ImageError>(name,
                       " is a TIFF; this build has no TIFF component: install libtiff and build again, or convert "
                       "it to PNG");
#endif
    default:
      break;
  }
  auto const foreign = detail::foreign_format(bytes);
  if (foreign.name.empty()) fail<ImageError>(name, ": not a picture this library reads; convert it to PNG or JPEG");
  fail<ImageError>(name, ": not a picture this library reads but ", foreign.name, "; ", foreign.advice);
}

KOVOS_DOOR Image read_image(std::filesystem::path const& path, ImageOptions options) {
  auto const bytes = read_file(path);
  return decode_image(bytes, path.string(), options);
}

KOVOS_DOOR int image_orientation(std::span<std::byte const> bytes) {
  switch (detail::picture_format(bytes)) {
    case detail::PictureFormat::png:
      return detail::png_orientation(bytes);
    case detail::PictureFormat::jpeg:
      return detail::jpeg_orientation(bytes);
    case detail::PictureFormat::tiff:
      return detail::stated_orientation(bytes, {});  // EXIF is a TIFF without pixels
    default:
      return 1;
  }
}

KOVOS_DOOR void write_png(std::filesystem::path const& path, Image const& image) {
  detail::write_png_file(path, image.height, image.width, 8, PNG_COLOR_TYPE_RGB, image.pixels);
}

KOVOS_DOOR void write_png_labels(std::filesystem::path const& path, LabelMap const& labels, int bits) {
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

KOVOS_DOOR LabelMap read_png_labels(std::filesystem::path const& path, std::size_t class_count) {
  return as_class_indices(read_label_file(path), class_count);
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
