// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// y = the part of x at (top, left), zero where it leaves x. x: [n, h, w, c], y: [n, height, width, c].
struct Crop {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t n = 0, h = 0, w = 0, c = 0;
  std::size_t top = 0, left = 0, height = 0, width = 0;
};

}  // namespace kovos::problem
