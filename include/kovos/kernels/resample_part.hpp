// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/resample.hpp"
#include "kovos/kernels/resample.hpp"

namespace kovos {

/// Adds the part at (top, left) of maps resized to height x width as by resize_bilinear, without the rest of them in
/// memory. sum: [N, h, w, 1], maps: [N, H, W, 1]. Throws ShapeError if the part leaves the resized maps.
template <class Exec>
void add_resized_part(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& sum,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& maps, std::size_t height,
                      std::size_t width, std::size_t top, std::size_t left) {
  std::size_t const h = sum.extent(1), w = sum.extent(2), from_h = maps.extent(1), from_w = maps.extent(2);
  detail::check_resample("add_resized_part", from_h, from_w, height, width);
  require_extent("add_resized_part", "maps.extent(0)", maps.extent(0), sum.extent(0));
  require_extent("add_resized_part", "maps.extent(3)", maps.extent(3), 1);
  require_extent("add_resized_part", "sum.extent(3)", sum.extent(3), 1);
  require<ShapeError>(top + h <= height && left + w <= width, "[add_resized_part] a part of ", h, " x ", w, " at (",
                      top, ", ", left, ") leaves maps of ", height, " x ", width);
  detail::solve(context, problem::AddResizedPart{maps.data(), sum.data(), sum.extent(0), from_h, from_w, height, width,
                                                 top, left, h, w});
}

}  // namespace kovos
