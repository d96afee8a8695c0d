// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"
#include "kovos/kernels/problem/window_block.hpp"

namespace kovos::engine {

/// Window by window: none sees anything of the others, so each goes through all layers on one core, in its cache.
template <class Exec, class T>
requires(is_host_execution<Exec>&& is_model_scalar<T>) bool run(Host, Context<Exec> const& context,
                                                                problem::WindowBlock<T> const& p) {
  std::size_t const length = p.windows.length(), c = p.windows.c;
  context.fence();  // the windows are cut here, not in the order of the context
  detail::for_each_alone(
      context, "kovos::window_block", p.windows.count(), [&](Context<Exec> const& alone, std::size_t task) {
        std::size_t const w = task % p.windows.per_map();
        auto const of_window = [&](LinearMap<T> map) {
          if (map.addend.rows <= 1) return map;
          map.addend.rows = length;
          map.addend.data += w * length * map.addend.row_stride;
          return map;
        };
        auto const pixels = alone.template tensor<float>(length, c);
        float* const x = pixels.data();
        for (std::size_t i = 0; i < length; ++i) std::copy_n(p.x + p.windows.source(task, i), c, x + i * c);
        AttentionMaps<T> const maps{of_window(p.maps.q), of_window(p.maps.k), p.maps.v, p.maps.out};
        problem::AttentionMask const mask{false, p.regions ? p.regions + w * length : nullptr, 1};
        detail::solve(alone, problem::NormAttention<T>{x, 1, length, c, p.heads, p.norm_1, maps, p.scale, mask});
        detail::solve(alone, problem::NormMlp<T>{x, length, c, p.norm_2, p.first, p.activation, p.second});
        alone.fence();
        for (std::size_t i = 0; i < length; ++i) std::copy_n(x + i * c, c, p.x + p.windows.source(task, i));
      });
  return true;
}

}  // namespace kovos::engine
