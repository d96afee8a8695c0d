// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace kovos::engine {

template <class Exec, class A, class B, class C>
void run(Portable, Context<Exec> const& context, problem::Product<A, B, C> const& p) {
  using Sum = accumulate_t<C>;
  auto const a = p.a;
  auto const b = p.b;
  auto const c = p.c;
  auto const e = p.epilogue;
  auto const alpha = static_cast<Sum>(p.alpha);
  detail::for_each_index(
      context, "kovos::gemm", c.rows * c.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / c.columns;
        std::size_t const j = index % c.columns;
        Sum sum = 0;
        for (std::size_t k = 0; k < a.columns; ++k)
          sum += static_cast<Sum>(a.data[i * a.row_stride + k * a.column_stride]) *
                 static_cast<Sum>(b.data[k * b.row_stride + j * b.column_stride]);
        sum *= alpha;
        if (e.addend.data)
          sum += static_cast<Sum>(
              e.addend.data[(i / e.row_divisor) % e.addend.rows * e.addend.row_stride + j * e.addend.column_stride]);
        sum = detail::activated(sum, e.activation);
        if (e.residual.data)
          sum += static_cast<Sum>(e.residual.data[i * e.residual.row_stride + j * e.residual.column_stride]);
        c.data[i * c.row_stride + j * c.column_stride] = static_cast<C>(sum);
      });
}

template <class Exec, class A, class B>
void run(Portable, Context<Exec> const& context, problem::AddProduct<A, B> const& p) {
  auto const& g = p.g;
  if (g.column_stride != 1 && g.row_stride == 1) {
    detail::solve(context, problem::AddProduct<B, A>{p.b.transposed(), p.a.transposed(), g.transposed(), p.alpha});
    return;
  }
  if (g.rows == 0 || g.columns == 0) return;
  // A long sum is cut so that the packed operands stay small.
  std::size_t const run = 2048;
  Epilogue epilogue;
  epilogue.residual = g;
  for (std::size_t first = 0; first < p.a.columns; first += run) {
    std::size_t const count = std::min(run, p.a.columns - first);
    detail::solve(context,
                  problem::Product<A, B, float>{
                      {p.a.data + first * p.a.column_stride, p.a.rows, count, p.a.row_stride, p.a.column_stride},
                      {p.b.data + first * p.b.row_stride, count, p.b.columns, p.b.row_stride, p.b.column_stride},
                      g,
                      p.alpha,
                      epilogue});
  }
}

}  // namespace kovos::engine
