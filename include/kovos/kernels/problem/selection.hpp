// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// y = the largest element of each row. x: [rows, c], c > 0, y: [rows].
struct RowMaximum {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t rows = 0, c = 1;
};

}  // namespace kovos::problem
