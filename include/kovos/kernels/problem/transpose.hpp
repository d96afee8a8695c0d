// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// y at (i_0, i_1, ...) of its `axes` extents, row-major, = x[i_0 strides[0] + i_1 strides[1] + ...].
template <class T>
struct Permute {
  static constexpr std::size_t most_axes = 8;
  T const* x = nullptr;
  T* y = nullptr;
  std::size_t size = 0;  // of y
  std::size_t axes = 0;
  std::size_t extents[most_axes]{};
  std::size_t strides[most_axes]{};
};

}  // namespace kovos::problem
