// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"

namespace kovos {

/// What the values of a label file mean.
enum class LabelEncoding : std::uint8_t {
  class_index,    ///< the class itself
  from_one,       ///< 0 = none, k = class k - 1: ADE20K as published, "reduce_zero_label" of MMSegmentation
  coco_stuff_raw  ///< COCO-Stuff's ids less 1, with holes: 171 of the values 0..181 are classes
};

namespace detail {

/// Throws DataError "`file` has the value `value` at row, column, " and what was expected: of the pixel with this index
/// in a map of this width.
template <class Value, class... Parts>
[[noreturn]] void fail_at_pixel(std::string_view file, Value value, std::size_t pixel, std::size_t width,
                                Parts const&... expected) {
  fail<DataError>(file, " has the value ", value, " at row ", pixel / width, ", column ", pixel % width, ", ",
                  expected...);
}

inline constexpr std::size_t ade20k_classes = 150, coco_stuff_classes = 171;

/// The values among 0..181 that COCO-Stuff's pictures do not use.
inline constexpr std::array<std::uint16_t, 11> coco_stuff_holes = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90};
inline constexpr std::uint16_t coco_stuff_end = 182;

inline std::uint16_t decode_coco_stuff(std::uint16_t value) {
  auto const hole = std::lower_bound(coco_stuff_holes.begin(), coco_stuff_holes.end(), value);
  if (value >= coco_stuff_end || (hole != coco_stuff_holes.end() && *hole == value)) return LabelMap::unknown;
  return static_cast<std::uint16_t>(value - (hole - coco_stuff_holes.begin()));
}

}  // namespace detail

/// The class of a value of a label file. COCO-Stuff's rule is the one CAT-Seg prepares its training labels by: what is
/// none of the 171 is unknown.
inline std::uint16_t decode_label(std::uint16_t value, LabelEncoding encoding) {
  if (value == LabelMap::unknown) return value;
  switch (encoding) {
    case LabelEncoding::class_index:
      return value;
    case LabelEncoding::from_one:
      return value == 0 ? LabelMap::unknown : static_cast<std::uint16_t>(value - 1);
    case LabelEncoding::coco_stuff_raw:
      return detail::decode_coco_stuff(value);
  }
  return value;
}

}  // namespace kovos
