// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/window_blending.hpp"

namespace kovos {

/// Adds a window to a canvas at (top, left). canvas: [N, H, W, C], window: [N, h, w, C] inside it.
/// Throws ShapeError if the window leaves the canvas.
template <class Exec>
void add_window(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& canvas,
                DynamicTensor<float, 4, typename Exec::memory_space> const& window, std::size_t top, std::size_t left) {
  std::size_t const h = canvas.extent(1), w = canvas.extent(2), c = canvas.extent(3);
  std::size_t const height = window.extent(1), width = window.extent(2);
  require_extent("add_window", "window.extent(0)", window.extent(0), canvas.extent(0));
  require_extent("add_window", "window.extent(3)", window.extent(3), c);
  require<ShapeError>(top + height <= h && left + width <= w, "[add_window] a window of ", height, " x ", width,
                      " at (", top, ", ", left, ") leaves a canvas of ", h, " x ", w);
  detail::solve(context,
                problem::AddWindow{window.data(), canvas.data(), window.extent(0), h, w, c, height, width, top, left});
}

/// x = (x / coverage + y) / 2 in place: the mean of the overlapping windows summed in x, then the mean with a global
/// view y of the same extents [N, H, W, C] (CAT-Seg's `inference_sliding_window`).
template <class Exec>
void blend_windows_with_global(Context<Exec> const& context,
                               DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                               DynamicTensor<float, 4, typename Exec::memory_space> const& y, std::size_t window,
                               std::size_t stride) {
  std::size_t const h = x.extent(1), w = x.extent(2), c = x.extent(3);
  require<ShapeError>(x.extents() == y.extents(), "[blend_windows_with_global] x is ", x.extents(), ", y is ",
                      y.extents());
  require<ShapeError>(stride > 0 && window <= h && window <= w, "[blend_windows_with_global] windows of ", window,
                      " pixels every ", stride, " do not fit ", h, " x ", w);
  detail::solve(context, problem::BlendWindowsWithGlobal{x.data(), y.data(), x.extent(0), h, w, c, window, stride});
}

}  // namespace kovos
