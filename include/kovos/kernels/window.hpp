// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos {

namespace detail {
inline void check_window(char const* where, std::size_t height, std::size_t width, std::size_t window,
                         std::size_t shift) {
  require<ShapeError>(window > 0 && height % window == 0 && width % window == 0, "[", where, "] windows of ", window,
                      " pixels do not tile a map of ", height, " x ", width);
  require<ShapeError>(shift < window, "[", where, "] shift ", shift, " must be smaller than the window ", window);
}
}  // namespace detail

/// Rolls the map by (-shift, -shift) and cuts it into windows, row-major. x: [N, H, W, C] ->
/// [N * windows, window * window, C]. Throws ShapeError if window does not divide H and W or shift >= window.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> window_partition(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t window,
    std::size_t shift = 0) {
  detail::check_window("window_partition", x.extent(1), x.extent(2), window, shift);
  problem::Windows const windows{x.extent(0), x.extent(1), x.extent(2), x.extent(3), window, shift};
  auto y = context.template tensor<float>(windows.count(), windows.length(), windows.c);
  detail::solve(context, problem::CutWindows{windows, x.data(), y.data()});
  return y;
}

/// The inverse of window_partition. x: [N * windows, window * window, C] -> [N, H, W, C].
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> window_reverse(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x, std::size_t n,
    std::size_t height, std::size_t width, std::size_t window, std::size_t shift = 0) {
  detail::check_window("window_reverse", height, width, window, shift);
  problem::Windows const windows{n, height, width, x.extent(2), window, shift};
  require_extent("window_reverse", "x.extent(0)", x.extent(0), windows.count());
  require_extent("window_reverse", "x.extent(1)", x.extent(1), windows.length());
  auto y = context.template tensor<float>(n, height, width, windows.c);
  detail::solve(context, problem::JoinWindows{windows, x.data(), y.data()});
  return y;
}

/// Which pixels of a shifted window were neighbours before the shift: equal numbers may attend to each other.
/// -> [windows, window * window]. In the rolled map rows (and columns) 0 .. H - window - 1 are region 0, the next
/// window - shift region 1, the last shift region 2. Liu et al. 2021, figure 4.
template <class Exec>
DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> window_regions(Context<Exec> const& context,
                                                                           std::size_t height, std::size_t width,
                                                                           std::size_t window, std::size_t shift) {
  detail::check_window("window_regions", height, width, window, shift);
  problem::Windows const windows{1, height, width, 1, window, shift};
  auto regions = context.template tensor<std::uint8_t>(windows.per_map(), windows.length());
  detail::solve(context, problem::WindowRegions{windows, regions.data()});
  return regions;
}

namespace detail {
/// window_regions, or nothing where nothing is shifted: all may attend to each other.
template <class Exec>
DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> regions_if_shifted(Context<Exec> const& context,
                                                                               std::size_t height, std::size_t width,
                                                                               std::size_t window, std::size_t shift) {
  if (shift == 0) return {};
  return window_regions(context, height, width, window, shift);
}
}  // namespace detail

}  // namespace kovos
