// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/problem/sums.hpp"

// Sums that gradient rules share. All are formed in an order that depends on the extents alone, so that a training run
// gives the same weights bit for bit each time.
namespace kovos::detail {

using problem::row_parts;

/// g += alpha a b. a: [M, K], b: [K, N], g: [M, N]; any strides.
template <class Exec, class A, class B>
void accumulate_product(Context<Exec> const& context, Matrix<A> const& a, Matrix<B> const& b, Matrix<float> const& g,
                        float alpha = 1) {
  if (g.column_stride != 1 && g.row_stride == 1) {
    accumulate_product(context, b.transposed(), a.transposed(), g.transposed(), alpha);
    return;
  }
  // A long sum is cut so that the packed operands stay small.
  std::size_t const run = 2048;
  for (std::size_t first = 0; first < a.columns; first += run) {
    std::size_t const count = std::min(run, a.columns - first);
    Matrix<A> const left{a.data + first * a.column_stride, a.rows, count, a.row_stride, a.column_stride};
    Matrix<B> const right{b.data + first * b.row_stride, count, b.columns, b.row_stride, b.column_stride};
    Epilogue epilogue;
    epilogue.residual = g;
    gemm(context, left, right, g, epilogue, alpha);
  }
}

/// sums[j] += parts[0][j] + parts[1][j] + ... parts: [count, c].
template <class Exec>
void add_parts(Context<Exec> const& context, float const* parts, std::size_t count, std::size_t c, float* sums) {
  solve(context, problem::AddParts{parts, count, c, sums});
}

/// sums[j] += sum over rows i of x[i * stride + j]. x: [rows, c].
template <class Exec>
void add_column_sums(Context<Exec> const& context, float const* x, std::size_t rows, std::size_t c, std::size_t stride,
                     float* sums) {
  if (rows > 0 && c > 0) solve(context, problem::AddColumnSums{x, rows, c, stride, sums});
}

/// sums[(i / divisor) % period][j] += x[i * stride + j] for every row i: the gradient of a gemm's addend. sums: rows of
/// sums_stride floats.
template <class Exec>
void add_periodic_sums(Context<Exec> const& context, float const* x, std::size_t rows, std::size_t c,
                       std::size_t stride, std::size_t divisor, std::size_t period, float* sums,
                       std::size_t sums_stride) {
  if (period == 1) add_column_sums(context, x, rows, c, stride, sums);
  else solve(context, problem::AddPeriodicSums{x, rows, c, stride, divisor, period, sums, sums_stride});
}

/// g[i] += x[i] for i < count.
template <class Exec>
void add_to(Context<Exec> const& context, float const* x, std::size_t count, float* g) {
  for_each_index(
      context, "kovos::add_to", count, KOKKOS_LAMBDA(std::size_t i) { g[i] += x[i]; });
}

/// g += x for matrices of the same extents.
template <class Exec>
void add_to(Context<Exec> const& context, Matrix<float const> const& x, Matrix<float> const& g) {
  if (x.column_stride == 1 && g.column_stride == 1 && x.row_stride == x.columns && g.row_stride == g.columns) {
    add_to(context, x.data, x.rows * x.columns, g.data);
    return;
  }
  for_each_index(
      context, "kovos::add_to", x.rows * x.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / x.columns, j = index % x.columns;
        g.data[i * g.row_stride + j * g.column_stride] += x.data[i * x.row_stride + j * x.column_stride];
      });
}

/// x = 0 after its gradient has gone where it came from; columns of x are contiguous.
template <class Exec>
void clear(Context<Exec> const& context, Matrix<float> const& x) {
  for_each_index(
      context, "kovos::clear", x.rows * x.columns,
      KOKKOS_LAMBDA(std::size_t i) { x.data[i / x.columns * x.row_stride + i % x.columns] = 0; });
}

}  // namespace kovos::detail
