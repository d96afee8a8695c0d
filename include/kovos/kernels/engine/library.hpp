// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/engine/portable/activated.hpp"

namespace kovos::detail {

// What the engines have in common that leave the product itself to a library.

/// How many rows such an engine copies or stores in one task.
inline constexpr std::size_t rows_per_task = 256;

/// Rows [first, first + rows) of a matrix as dense rows of T.
template <class T, class M>
void copy_rows(M const& m, std::size_t first, std::size_t rows, T* to) {
  for (std::size_t i = first; i < first + rows; ++i)
    for (std::size_t j = 0; j < m.columns; ++j)
      *to++ = T(static_cast<float>(m.data[i * m.row_stride + j * m.column_stride]));
}

/// Stores a row of the result: alpha and the epilogue on the sums of products, which may lie there already.
template <class Product>
void store_row(Product const& p, std::size_t row, float const* sums) {
  auto const& e = p.epilogue;
  float* const c = p.c.data + row * p.c.row_stride;
  for (std::size_t j = 0; j < p.c.columns; ++j) {
    float sum = p.alpha * sums[j];
    if (e.addend.data) sum += e.addend.data[(row / e.row_divisor) % e.addend.rows * e.addend.row_stride + j];
    sum = activated(sum, e.activation);
    if (e.residual.data) sum += e.residual.data[row * e.residual.row_stride + j];
    c[j] = sum;
  }
}

}  // namespace kovos::detail
