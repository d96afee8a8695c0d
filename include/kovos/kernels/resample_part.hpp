// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"
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
  auto const* const from = maps.data();
  auto* const to = sum.data();
  std::size_t const rows = sum.extent(0) * h;
  if constexpr (is_host_execution<Exec>) {
    std::vector<detail::LinearTap> columns(w);
    for (std::size_t x = 0; x < w; ++x) columns[x] = detail::linear_tap(left + x, from_w, width, Alignment::half_pixel);
    auto const* const taps = columns.data();
    // A few thousand pixels are one thread's work.
    std::size_t const threads = rows * w < 16384 ? 1 : detail::workers(context, rows);
    detail::for_each_task(context, "kovos::add_resized_part", threads, rows, [=](std::size_t row, std::size_t) {
      auto const tap = detail::linear_tap(top + row % h, from_h, height, Alignment::half_pixel);
      float const* const map = from + row / h * from_h * from_w;
      float const *const above = map + tap.first * from_w, *const below = map + tap.second * from_w;
      float* const target = to + row * w;
      for (std::size_t x = 0; x < w; ++x) target[x] += detail::interpolate(above, below, taps[x], tap.weight, 1, 0);
    });
    return;
  }
  detail::for_each_index(
      context, "kovos::add_resized_part", rows * w, KOKKOS_LAMBDA(std::size_t index) {
        auto const ty = detail::linear_tap(top + index / w % h, from_h, height, Alignment::half_pixel);
        auto const tx = detail::linear_tap(left + index % w, from_w, width, Alignment::half_pixel);
        float const* const map = from + index / w / h * from_h * from_w;
        to[index] += detail::interpolate(map + ty.first * from_w, map + ty.second * from_w, tx, ty.weight, 1, 0);
      });
}

}  // namespace kovos
