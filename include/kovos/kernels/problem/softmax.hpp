// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// y = exp(x - max) / sum(exp(x - max)) for each row. x, y: [rows, c]; c > 0.
struct Softmax {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t rows = 0, c = 0;
};

}  // namespace kovos::problem
