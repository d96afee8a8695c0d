// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
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

}  // namespace kovos::engine
