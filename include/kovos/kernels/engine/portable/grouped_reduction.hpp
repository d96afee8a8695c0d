// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/grouped_reduction.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::GroupedReduction const& p) {
  bool const maximum = p.reduction == Reduction::maximum;
  detail::for_each_index(
      context, "kovos::reduce_groups", p.rows * p.groups, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const m = i / p.groups, g = i % p.groups;
        auto const begin = static_cast<std::size_t>(p.starts[g]), end = static_cast<std::size_t>(p.starts[g + 1]);
        float const* const row = p.x + m * p.columns;
        float result = row[begin];
        for (std::size_t n = begin + 1; n < end; ++n)
          result = maximum ? (row[n] > result ? row[n] : result) : result + row[n];
        p.y[i] = maximum ? result : result / static_cast<float>(end - begin);
      });
}

}  // namespace kovos::engine
