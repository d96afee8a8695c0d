// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/kernels/engine/host/resize_u8.hpp"
#include "kovos/kernels/problem/resize_u8.hpp"

namespace kovos {

/// Resizes exactly as Pillow does 8-bit pictures: antialiased when shrinking, rows first, rounded to 8 bits between the
/// two passes; a side that keeps its length is left alone. Throws ShapeError for empty pictures or sizes.
inline Image resize_pillow(Image const& image, std::size_t height, std::size_t width, ResizeFilter filter) {
  require<ShapeError>(image.height > 0 && image.width > 0 && height > 0 && width > 0, "[resize_pillow] cannot resize ",
                      image.height, " x ", image.width, " to ", height, " x ", width);
  return detail::resize<detail::FastResize>(image, height, width, filter);
}

/// The size detectron2 resizes a picture to: short side `short_edge`, unless the long side would exceed `longest_edge`.
/// -> (height, width), each at least 1.
inline std::pair<std::size_t, std::size_t> shortest_edge_size(std::size_t height, std::size_t width,
                                                              std::size_t short_edge, std::size_t longest_edge) {
  double const h = static_cast<double>(height), w = static_cast<double>(width), size = static_cast<double>(short_edge);
  double const scale = size / std::min(h, w);
  double new_h = h < w ? size : scale * h;
  double new_w = h < w ? scale * w : size;
  double const longest = std::max(new_h, new_w);
  if (longest > static_cast<double>(longest_edge)) {
    double const shrink = static_cast<double>(longest_edge) / longest;
    new_h *= shrink;
    new_w *= shrink;
  }
  auto const rounded = [](double v) { return std::max<std::size_t>(1, static_cast<std::size_t>(v + 0.5)); };
  return {rounded(new_h), rounded(new_w)};
}

}  // namespace kovos
