// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/sums.hpp"

// Sums that gradient rules share. All are formed in an order that depends on the extents alone, so that a training run
// gives the same weights bit for bit each time.
namespace kovos::detail {

using problem::row_parts;

/// g += alpha a b. a: [M, K], b: [K, N], g: [M, N]; any strides.
template <class Exec, class A, class B>
void accumulate_product(Context<Exec> const& context, Matrix<A> const& a, Matrix<B> const& b, Matrix<float> const& g,
                        float alpha = 1) {
  require_engine_for_products(context);
  solve(context, problem::AddProduct<std::remove_const_t<A>, std::remove_const_t<B>>{a, b, g, alpha});
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

/// g += x for matrices of the same extents.
template <class Exec>
void add_to(Context<Exec> const& context, Matrix<float const> const& x, Matrix<float> const& g) {
  solve(context, problem::AddTo{x, g});
}

/// g[i] += x[i] for i < count.
template <class Exec>
void add_to(Context<Exec> const& context, float const* x, std::size_t count, float* g) {
  add_to(context, {x, 1, count, count, 1}, {g, 1, count, count, 1});
}

/// x = 0 after its gradient has gone where it came from; columns of x are contiguous.
template <class Exec>
void clear(Context<Exec> const& context, Matrix<float> const& x) {
  solve(context, problem::Clear{x});
}

}  // namespace kovos::detail
