// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/portable/pre_norm.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"

namespace kovos::engine {

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::NormAttention<T> const& p) {
  std::size_t const rows = p.batch * p.length;
  auto const parts = context.template tensor<float>(4, rows, p.c);
  float* const q = parts.data();
  std::array const maps{p.maps.q, p.maps.k, p.maps.v};
  std::array const to{q, q + rows * p.c, q + 2 * rows * p.c};
  float* const attended = q + 3 * rows * p.c;
  detail::solve(context, problem::NormLinear<T>{p.x, rows, p.c, p.norm, maps, to});
  detail::solve(context, problem::Attention{to[0], to[1], to[2], attended, p.batch, p.length, p.length, p.heads,
                                            p.c / p.heads, p.scale, p.mask});
  auto e = p.maps.out.epilogue();
  e.residual = {p.x, rows, p.c, p.c, 1};
  detail::map_rows(context, attended, rows, p.maps.out, e, p.x);
}

}  // namespace kovos::engine
