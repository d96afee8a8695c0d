// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/label_encoding.hpp"
#include "kovos/io/coco_rle.hpp"
#include "kovos/io/mat_file.hpp"
#include "kovos/io/pascal_detail.hpp"
#include "kovos/io/picture_size.hpp"

namespace kovos {

namespace detail {

/// PASCAL Context's numbers of the 59 frequent classes, in the order of these.
inline constexpr std::array<std::uint16_t, 59> pascal_context_59_ids = {
    2,   9,   18,  19,  22,  23,  25,  31,  33,  34,  44,  45,  46,  59,  65,  68,  72,  80,  85,  98,
    104, 105, 113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308,
    324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458};

}  // namespace detail

/// The class (of 59) of a category of PASCAL Context; LabelMap::unknown for all others.
inline std::uint16_t pascal_context_59_class(std::uint32_t category) {
  auto const& ids = detail::pascal_context_59_ids;
  auto const at = std::lower_bound(ids.begin(), ids.end(), category);
  return at != ids.end() && *at == category ? static_cast<std::uint16_t>(at - ids.begin()) : LabelMap::unknown;
}

/// The labels (59 classes) of a picture of trainval_merged.json: its segments painted one over the other, pixels of
/// none unknown. Throws DataError if a mask is not of the picture's size, FileError if it cannot be decoded.
inline LabelMap pascal_context_59_labels(DetailPicture const& picture) {
  std::string const where = "a segment of " + detail::in_quotes(picture.file_name);
  detail::check_picture_size(picture.height, picture.width, where);
  LabelMap labels{picture.height, picture.width,
                  std::vector<std::uint16_t>(picture.height * picture.width, LabelMap::unknown)};
  for (auto const& segment : picture.segments) {
    require<DataError>(segment.height == picture.height && segment.width == picture.width, where, " has a mask of ",
                       segment.height, " x ", segment.width, " (height x width), expected ", picture.height, " x ",
                       picture.width, " as the picture");
    auto const runs = parse_coco_rle(segment.counts, where);
    auto const value = pascal_context_59_class(segment.category);
    std::size_t at = 0;
    bool inside = false;
    for (std::size_t const run : runs) {
      require<DataError>(run <= labels.labels.size() - at, where, " has a mask that goes beyond its ", picture.height,
                         " x ", picture.width, " pixels");
      for (std::size_t const end = at + run; at < end; ++at) {
        // Masks go column by column.
        if (inside) labels(at % picture.height, at / picture.height) = value;
      }
      inside = !inside;
    }
    require<DataError>(at == labels.labels.size(), where, " has a mask of ", at, " pixels, expected ",
                       labels.labels.size());
  }
  return labels;
}

/// The labels (459 classes) of the matrix LabelMap of a .mat file of PASCAL Context: values less 1. 0, which its
/// pictures do not have, is unknown. `name` is what messages call the file. Throws DataError for other values than 0 to
/// 459.
inline LabelMap pascal_context_459_labels(MatMatrix const& matrix, std::string_view name) {
  constexpr int classes = 459;
  LabelMap labels{matrix.rows, matrix.columns, std::vector<std::uint16_t>(matrix.rows * matrix.columns)};
  for (std::size_t i = 0; i < labels.labels.size(); ++i) {
    double const value = matrix.values[i];
    bool const good = value >= 0 && value <= classes && value == std::floor(value);
    if (!good) detail::fail_at_pixel(name, value, i, matrix.columns, "expected 1 to ", classes, ", or 0 for none");
    labels.labels[i] = value == 0 ? LabelMap::unknown : static_cast<std::uint16_t>(value - 1);
  }
  return labels;
}

}  // namespace kovos
