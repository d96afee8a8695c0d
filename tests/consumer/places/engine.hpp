// SPDX-License-Identifier: Apache-2.0
// An engine of one's own: it has products of fp32 and nothing else. The one line is KOVOS_ENGINES, which names this
// file.
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/library.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace places {

/// Products as sums of outer products, row by row.
struct Engine {
  static inline std::size_t calls = 0;
  static inline bool is_on = true;

  template <class Exec>
  static bool serves(kovos::Context<Exec> const& context) {
    return is_on && kovos::is_host_execution<Exec> && context.engine() == kovos::Engine::automatic;
  }
};

template <class Exec>
bool run(Engine, kovos::Context<Exec> const& context, kovos::problem::Product<float, float, float> const& p) {
  if (!has_unit_columns(p)) return false;
  ++Engine::calls;
  context.fence();
  auto const row = context.template tensor<float>(p.c.columns);
  for (std::size_t i = 0; i < p.c.rows; ++i) {
    for (std::size_t j = 0; j < p.c.columns; ++j) row(j) = 0;
    for (std::size_t k = 0; k < p.a.columns; ++k) {
      float const a = p.a.data[i * p.a.row_stride + k * p.a.column_stride];
      for (std::size_t j = 0; j < p.c.columns; ++j) row(j) += a * p.b.data[k * p.b.row_stride + j * p.b.column_stride];
    }
    kovos::detail::store_row(p, i, row.data());
  }
  return true;
}

}  // namespace places

/// The engines of the program, asked before those of Kovos.
namespace kovos::engine {
using Own = List<places::Engine>;
}  // namespace kovos::engine
