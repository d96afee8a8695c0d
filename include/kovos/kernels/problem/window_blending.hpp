// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

namespace kovos {

/// How many windows of the given size and stride cover a position of an axis.
KOKKOS_INLINE_FUNCTION std::size_t window_coverage(std::size_t position, std::size_t extent, std::size_t window,
                                                   std::size_t stride) {
  std::size_t const last = (extent - window) / stride;
  std::size_t const first_index = position < window ? 0 : (position - window) / stride + 1;
  std::size_t const last_index = position / stride < last ? position / stride : last;
  return last_index + 1 - first_index;
}

namespace problem {

/// canvas += window at (top, left). canvas: [n, h, w, c], window: [n, height, width, c] inside it.
struct AddWindow {
  float const* window = nullptr;
  float* canvas = nullptr;
  std::size_t n = 0, h = 0, w = 0, c = 0;
  std::size_t height = 0, width = 0, top = 0, left = 0;
};

/// x = (x / window_coverage + y) / 2, the coverage by square windows of `window` pixels every `stride`. x, y: [n, h, w,
/// c].
struct BlendWindowsWithGlobal {
  float* x = nullptr;
  float const* y = nullptr;
  std::size_t n = 0, h = 0, w = 0, c = 0;
  std::size_t window = 1, stride = 1;
};

}  // namespace problem

}  // namespace kovos
