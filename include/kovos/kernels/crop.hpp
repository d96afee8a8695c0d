// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// The height x width pixels whose corner is (top, left); what lies outside x is zero.
/// x: [N, H, W, C] -> [N, height, width, C].
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> crop(Context<Exec> const& context,
                                                          DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                                                          std::size_t top, std::size_t left, std::size_t height,
                                                          std::size_t width) {
  std::size_t const h = x.extent(1), w = x.extent(2), c = x.extent(3);
  auto y = context.template tensor<float>(x.extent(0), height, width, c);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_entry(
      context, "kovos::crop", x.extent(0) * height, width * c, KOKKOS_LAMBDA(std::size_t line, std::size_t entry) {
        std::size_t const row = top + line % height, sample = line / height;
        std::size_t const from_entry = left * c + entry;
        bool const inside = row < h && from_entry < w * c;
        to[line * width * c + entry] = inside ? from[(sample * h + row) * w * c + from_entry] : 0.0f;
      });
  return y;
}

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
  auto const* const from = window.data();
  auto* const to = canvas.data();
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      std::size_t const rows = window.extent(0) * height;
      detail::for_each_task(context, "kovos::add_window", detail::workers(context, rows), rows,
                            [=](std::size_t row, std::size_t) {
                              float const* const source = from + row * width * c;
                              float* const target = to + ((row / height * h + top + row % height) * w + left) * c;
                              for (std::size_t i = 0; i < width * c; ++i) target[i] += source[i];
                            });
      return;
    }
  detail::for_each_index(
      context, "kovos::add_window", window.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const column = index / c % width;
        std::size_t const row = index / c / width % height;
        std::size_t const sample = index / c / width / height;
        to[((sample * h + top + row) * w + left + column) * c + index % c] += from[index];
      });
}

/// How many windows of the given size and stride cover a position of an axis.
KOKKOS_INLINE_FUNCTION std::size_t window_coverage(std::size_t position, std::size_t extent, std::size_t window,
                                                   std::size_t stride) {
  std::size_t const last = (extent - window) / stride;
  std::size_t const first_index = position < window ? 0 : (position - window) / stride + 1;
  std::size_t const last_index = position / stride < last ? position / stride : last;
  return last_index + 1 - first_index;
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
  auto* const to = x.data();
  auto const* const global = y.data();
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      std::vector<float> along(w * c);
      for (std::size_t i = 0; i < w * c; ++i) along[i] = static_cast<float>(window_coverage(i / c, w, window, stride));
      std::size_t const rows = x.extent(0) * h;
      detail::for_each_task(context, "kovos::blend_windows_with_global", detail::workers(context, rows), rows,
                            [&](std::size_t row, std::size_t) {
                              auto const down = static_cast<float>(window_coverage(row % h, h, window, stride));
                              float* const line = to + row * w * c;
                              float const* const other = global + row * w * c;
                              for (std::size_t i = 0; i < w * c; ++i)
                                line[i] = (line[i] / (down * along[i]) + other[i]) * 0.5f;
                            });
      return;
    }
  detail::for_each_index(
      context, "kovos::blend_windows_with_global", x.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const count =
            window_coverage(index / c % w, w, window, stride) * window_coverage(index / c / w % h, h, window, stride);
        to[index] = (to[index] / static_cast<float>(count) + global[index]) * 0.5f;
      });
}

}  // namespace kovos
