// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/portable/attention.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"
#include "kovos/kernels/problem/window.hpp"
#include "kovos/kernels/problem/window_block.hpp"

namespace kovos::engine {

/// All windows at once, layer by layer.
template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::WindowBlock<T> const& p) {
  std::size_t const count = p.windows.count(), length = p.windows.length(), c = p.windows.c;
  auto const x = detail::cut_windows(context, p.windows, p.x);
  problem::AttentionMask const mask{false, p.regions, p.windows.per_map()};
  detail::solve(context,
                problem::NormAttention<T>{x.data(), count, length, c, p.heads, p.norm_1, p.maps, p.scale, mask});
  detail::solve(context, problem::NormMlp<T>{x.data(), count * length, c, p.norm_2, p.first, p.activation, p.second});
  detail::solve(context, problem::JoinWindows{p.windows, x.data(), p.x});
}

}  // namespace kovos::engine
