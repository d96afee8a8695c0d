// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/kernels/problem/gemm.hpp"

namespace kovos::problem {

/// The number of parts in which a sum over many rows is formed.
inline std::size_t row_parts(std::size_t rows) { return std::clamp<std::size_t>(rows / 64, 1, 64); }

/// sums[j] += parts[0][j] + parts[1][j] + ... parts: [count, c].
struct AddParts {
  float const* parts = nullptr;
  std::size_t count = 0, c = 0;
  float* sums = nullptr;
};

/// sums[j] += sum over rows i of x[i * stride + j], in row_parts(rows) parts. x: [rows, c].
struct AddColumnSums {
  float const* x = nullptr;
  std::size_t rows = 0, c = 0, stride = 0;
  float* sums = nullptr;
};

/// sums[(i / divisor) % period][j] += x[i * stride + j] for every row i: the gradient of a product's addend. sums: rows
/// of sums_stride floats.
struct AddPeriodicSums {
  float const* x = nullptr;
  std::size_t rows = 0, c = 0, stride = 0;
  std::size_t divisor = 1, period = 1;
  float* sums = nullptr;
  std::size_t sums_stride = 0;
};

/// g += x for matrices of the same extents, any strides.
struct AddTo {
  Matrix<float const> x;
  Matrix<float> g;
};

/// x = 0; columns of x are contiguous.
struct Clear {
  Matrix<float> x;
};

}  // namespace kovos::problem
