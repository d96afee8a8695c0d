// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kovos {

/// A part of a picture: one thing, or all of a stuff class.
struct Segment {
  std::int32_t id = 0;    ///< its pixels in the map, from 1 on
  std::size_t label = 0;  ///< index of its class
  bool is_thing = false;  ///< countable: other segments may have the same class
  double score = 0;       ///< 0..1; of a stuff class made of several masks the best of them
  std::size_t area = 0;   ///< pixels
};

/// One segment per pixel, row-major [height, width].
struct PanopticMap {
  /// Marks a pixel of no segment, as in COCO's panoptic pictures.
  static constexpr std::int32_t unlabelled = 0;

  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::int32_t> ids;  // [height * width]
  std::vector<Segment> segments;  // by id, which is the position + 1

  std::int32_t operator()(std::size_t y, std::size_t x) const { return ids[y * width + x]; }
};

}  // namespace kovos
