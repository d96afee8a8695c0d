// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/label_file.hpp"

namespace kovos::detail {

/// A sentence where labels may not lie on this picture because it is turned when it is read and they are not; else
/// empty. If the two sides are not swapped, or are equal, no size tells.
inline std::string doubt_of_orientation(std::span<std::byte const> bytes, std::filesystem::path const& path,
                                        ImageOptions const& options) {
  int const orientation = options.apply_orientation ? image_orientation(bytes) : 1;
  if (orientation == 1) return {};
  return shown(path) + " is turned or mirrored as its orientation " + std::to_string(orientation) +
         " says, and its label is not: if that was drawn on the stored pixels, use --ignore-orientation";
}

/// A sentence where the values of a label file may not be those that were meant; else empty.
inline std::string doubt_of_palette(LabelFile const& file, std::filesystem::path const& path) {
  if (!file.grey_palette) return {};
  return shown(path) +
         " has a palette of greys that are not their own indices, as optimisers make of grey labels; the indices are "
         "taken, and are wrong if the greys were the classes: then save it as 8-bit grey";
}

/// A picture and what its label file says, of equal size.
struct PictureAndValues {
  Image image;
  LabelFile values;
  std::string doubt;  ///< why they may not belong to each other as they are; empty where nothing says so
};

/// Throws FileError, ImageError, or DataError if the sizes differ.
inline PictureAndValues read_picture_and_values(std::filesystem::path const& picture,
                                                std::filesystem::path const& labels, ImageOptions const& options) {
  auto const bytes = read_file(picture);
  PictureAndValues result{decode_image(bytes, picture.string(), options), read_label_file(labels), {}};
  require<DataError>(result.image.height == result.values.height && result.image.width == result.values.width,
                     shown(picture), " is ", result.image.height, " x ", result.image.width, " and its label ",
                     shown(labels), " is ", result.values.height, " x ", result.values.width,
                     " (height x width): expected the same size");
  result.doubt = doubt_of_palette(result.values, labels);
  if (result.doubt.empty()) result.doubt = doubt_of_orientation(bytes, picture, options);
  return result;
}

}  // namespace kovos::detail
