// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/selection.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::RowMaximum const& p) {
  detail::for_each_index(
      context, "kovos::row_maximum", p.rows, KOKKOS_LAMBDA(std::size_t row) {
        float const* const x = p.x + row * p.c;
        float top = x[0];
        for (std::size_t i = 1; i < p.c; ++i) top = x[i] > top ? x[i] : top;
        p.y[row] = top;
      });
}

}  // namespace kovos::engine
