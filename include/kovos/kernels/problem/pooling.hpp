// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// y = means of the blocks of k x k pixels that fit. x: [n, height, width, c], y: [n, height / k, width / k, c].
struct AveragePool {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t n = 0, height = 0, width = 0, c = 0, k = 1;
};

/// dx of each pixel of a block += dy / k^2; what was in no block receives nothing. x, y as above.
struct AveragePoolGradient {
  float const* dy = nullptr;
  float* dx = nullptr;
  std::size_t n = 0, height = 0, width = 0, c = 0, k = 1;
};

}  // namespace kovos::problem
