// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"

namespace kovos {

namespace detail {
template <class W, class B, class T>
void check_norm_attention(char const* where, std::size_t c, NormParameters<W, B> const& norm,
                          AttentionMaps<T> const& maps) {
  check_norm(where, c, norm);
  for (auto const* const map : {&maps.q, &maps.k, &maps.v, &maps.out}) {
    require_extent(where, "the columns of a weight", map->weight.columns, c);
    require_extent(where, "the rows of a weight", map->weight.rows, c);
    check_addend(where, *map);
  }
}
}  // namespace detail

/// x + out(attention(q(n), k(n), v(n))) with n = layer_norm(x): the first half of a pre-norm block, for sequences.
/// x: [N, L, C], overwritten and returned; scores are scaled by 1 / sqrt(C / heads).
/// regions: [R, L], as in attention_in_regions, or empty. Where sequences are few and the threads many, norm_linear and
/// attention share out the work better. Throws ShapeError if the extents disagree or heads does not divide C.
template <class Exec, class W, class B, class T>
DynamicTensor<float, 3, typename Exec::memory_space> norm_attention(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    NormParameters<W, B> const& norm, AttentionMaps<T> const& maps, std::size_t heads,
    DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> const& regions = {}, float epsilon = 1e-5f) {
  std::size_t const length = x.extent(1), c = x.extent(2);
  detail::check_heads("norm_attention", c, heads);
  detail::check_norm_attention("norm_attention", c, norm, maps);
  if (!regions.empty()) require_extent("norm_attention", "regions.extent(1)", regions.extent(1), length);
  detail::require_engine_for_products(context);
  if (x.size() == 0) return x;
  auto const weight = detail::as_float(context, norm.weight);
  auto const bias = detail::as_float(context, norm.bias);
  problem::NormAttention<T> p{x.data(), x.extent(0), length, c, heads, {weight.data(), bias.data(), epsilon}, maps};
  p.scale = detail::attention_scale(c / heads);
  p.mask = detail::mask_of_regions(regions);
  detail::solve(context, p);
  return x;
}

}  // namespace kovos
