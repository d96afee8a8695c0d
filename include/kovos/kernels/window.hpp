// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

namespace detail {
inline void check_window(char const* where, std::size_t height, std::size_t width, std::size_t window,
                         std::size_t shift) {
  require<ShapeError>(window > 0 && height % window == 0 && width % window == 0, "[", where, "] windows of ", window,
                      " pixels do not tile a map of ", height, " x ", width);
  require<ShapeError>(shift < window, "[", where, "] shift ", shift, " must be smaller than the window ", window);
}

/// Source pixel of position p of window w, both row-major, in a map rolled by (-shift, -shift).
KOKKOS_INLINE_FUNCTION std::size_t window_pixel(std::size_t w, std::size_t p, std::size_t height, std::size_t width,
                                                std::size_t window, std::size_t shift) {
  std::size_t const columns = width / window;
  std::size_t const y = (w / columns * window + p / window + shift) % height;
  std::size_t const x = (w % columns * window + p % window + shift) % width;
  return y * width + x;
}
}  // namespace detail

/// Rolls the map by (-shift, -shift) and cuts it into windows, row-major. x: [N, H, W, C] ->
/// [N * windows, window * window, C]. Throws ShapeError if window does not divide H and W or shift >= window.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> window_partition(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t window,
    std::size_t shift = 0) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  detail::check_window("window_partition", height, width, window, shift);
  std::size_t const length = window * window;
  std::size_t const windows = height * width / length;
  auto y = context.template tensor<float>(n * windows, length, c);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::window_partition", n * windows * length, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / (windows * length);
        std::size_t const pixel =
            detail::window_pixel(index / length % windows, index % length, height, width, window, shift);
        for (std::size_t i = 0; i < c; ++i) to[index * c + i] = from[(sample * height * width + pixel) * c + i];
      });
  return y;
}

/// The inverse of window_partition. x: [N * windows, window * window, C] -> [N, H, W, C].
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> window_reverse(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x, std::size_t n,
    std::size_t height, std::size_t width, std::size_t window, std::size_t shift = 0) {
  detail::check_window("window_reverse", height, width, window, shift);
  std::size_t const length = window * window;
  std::size_t const windows = height * width / length;
  std::size_t const c = x.extent(2);
  require_extent("window_reverse", "x.extent(0)", x.extent(0), n * windows);
  require_extent("window_reverse", "x.extent(1)", x.extent(1), length);
  auto y = context.template tensor<float>(n, height, width, c);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::window_reverse", n * windows * length, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / (windows * length);
        std::size_t const pixel =
            detail::window_pixel(index / length % windows, index % length, height, width, window, shift);
        for (std::size_t i = 0; i < c; ++i) to[(sample * height * width + pixel) * c + i] = from[index * c + i];
      });
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
  std::size_t const length = window * window;
  std::size_t const columns = width / window;
  auto regions = context.template tensor<std::uint8_t>(height * width / length, length);
  auto* const to = regions.data();
  detail::for_each_index(
      context, "kovos::window_regions", height * width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const w = index / length;
        std::size_t const p = index % length;
        std::size_t const y = w / columns * window + p / window;
        std::size_t const x = w % columns * window + p % window;
        int const row = y < height - window ? 0 : y < height - shift ? 1 : 2;
        int const column = x < width - window ? 0 : x < width - shift ? 1 : 2;
        to[index] = static_cast<std::uint8_t>(3 * row + column);
      });
  return regions;
}

/// Takes each window of each sample through f and puts what comes out in its place: x = f(x), window by window, side by
/// side. f(context, pixels, regions, w): pixels [window * window, C] of window w of the map that was rolled by
/// (-shift, -shift), regions [1, window * window] of window_regions, empty if nothing is shifted -> [window * window,
/// C]. Host execution only. x: [N, H, W, C]. Throws ShapeError if window does not divide H and W or shift >= window.
template <class Exec, class F>
void for_each_window(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                     std::size_t window, std::size_t shift, F const& f) {
  static_assert(is_host_execution<Exec>, "kovos::for_each_window: this is for kernels that run on the host");
  std::size_t const height = x.extent(1), width = x.extent(2), c = x.extent(3);
  detail::check_window("for_each_window", height, width, window, shift);
  std::size_t const length = window * window, windows = height * width / length;
  DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> regions;
  if (shift > 0) {
    regions = window_regions(context, height, width, window, shift);
    context.fence();
  }
  detail::for_each_alone(context, "kovos::for_each_window", x.extent(0) * windows,
                         [&](Context<Exec> const& alone, std::size_t task) {
                           std::size_t const w = task % windows;
                           float* const map = x.data() + task / windows * height * width * c;
                           auto const pixels = alone.template tensor<float>(length, c);
                           auto const at = [&](std::size_t p) {
                             return map + detail::window_pixel(w, p, height, width, window, shift) * c;
                           };
                           for (std::size_t p = 0; p < length; ++p) std::copy_n(at(p), c, pixels.data() + p * c);
                           auto const result = f(alone, pixels, shift > 0 ? regions.slice(w, 1) : regions, w);
                           alone.fence();
                           for (std::size_t p = 0; p < length; ++p) std::copy_n(result.data() + p * c, c, at(p));
                         });
}

}  // namespace kovos
