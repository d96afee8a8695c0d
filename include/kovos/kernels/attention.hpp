// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/problem/attention_mask.hpp"
#include "kovos/kernels/window.hpp"

namespace kovos {

namespace detail {

inline void check_heads(char const* where, std::size_t width, std::size_t heads) {
  require<ShapeError>(heads > 0 && width % heads == 0, "[", where, "] ", heads, " heads do not divide the width ",
                      width);
}

/// What softmax attention divides scores by, as a factor.
inline float attention_scale(std::size_t head_dim) { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

/// regions: [R, L], or empty: all may see each other.
template <class Memory>
problem::AttentionMask mask_of_regions(DynamicTensor<std::uint8_t, 2, Memory> const& regions) {
  return {false, regions.data(), std::max<std::size_t>(1, regions.extent(0))};
}

template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> masked_attention(
    char const* where, Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    problem::AttentionMask const& mask, float scale) {
  std::size_t const batch = q.extent(0), queries = q.extent(1), width = q.extent(2), keys = k.extent(1);
  check_heads(where, width, heads);
  require_extent(where, "k.extent(0)", k.extent(0), batch);
  require_extent(where, "k.extent(2)", k.extent(2), width);
  require<ShapeError>(k.extents() == v.extents(), "[", where, "] k is ", k.extents(), ", v is ", v.extents());
  require<ShapeError>(!mask.causal || queries == keys, "[", where,
                      "] causal attention needs as many keys as queries, got ", keys, " and ", queries);
  require<ShapeError>(keys > 0 || queries == 0, "[", where, "] there are no keys");
  std::size_t const head_dim = width / heads;
  auto o = context.template tensor<float>(batch, queries, width);
  if (o.size() == 0) return o;
  solve(context, problem::Attention{q.data(), k.data(), v.data(), o.data(), batch, queries, keys, heads, head_dim,
                                    scale == 0 ? attention_scale(head_dim) : scale, mask});
  return o;
}

}  // namespace detail

/// Multi-head softmax attention: softmax(scale q k^T) v per head; heads are contiguous slices of the last axis.
/// q: [N, L, D], k, v: [N, S, D] -> [N, L, D]. scale 0 means 1 / sqrt(D / heads). causal: position i sees 0..i only.
/// Vaswani et al. 2017, section 3.2. Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> attention(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads, bool causal = false,
    float scale = 0) {
  return detail::masked_attention("attention", context, q, k, v, heads, {causal, nullptr, 1}, scale);
}

/// Multi-head attention between positions of windows that are cut already: where regions of query and key differ, -100
/// is added to the score. q, k, v: [N, L, D], regions: [R, L], sequence n has those of row n % R, or empty: all may see
/// each other -> [N, L, D]. Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> attention_in_regions(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> const& regions) {
  require_extent("attention_in_regions", "k.extent(1)", k.extent(1), q.extent(1));
  if (!regions.empty()) require_extent("attention_in_regions", "regions.extent(1)", regions.extent(1), k.extent(1));
  return detail::masked_attention("attention_in_regions", context, q, k, v, heads, detail::mask_of_regions(regions), 0);
}

/// Multi-head attention inside windows of window x window pixels, cut after a cyclic shift by (-shift, -shift); with a
/// shift, pixels that were not neighbours before it are masked with -100 as in the authors' code. Scores are scaled by
/// 1 / sqrt(D / heads). q, k, v: [N, H, W, D] -> [N, H, W, D]. Liu et al. 2021 (Swin), section 3.2.
/// Throws ShapeError if window does not divide H and W, heads does not divide D, or the extents disagree.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> window_attention(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& q,
    DynamicTensor<float, 4, typename Exec::memory_space> const& k,
    DynamicTensor<float, 4, typename Exec::memory_space> const& v, std::size_t heads, std::size_t window,
    std::size_t shift) {
  std::size_t const n = q.extent(0), height = q.extent(1), width = q.extent(2), depth = q.extent(3);
  detail::check_heads("window_attention", depth, heads);
  detail::check_window("window_attention", height, width, window, shift);
  require<ShapeError>(q.extents() == k.extents() && q.extents() == v.extents(), "[window_attention] q is ", q.extents(),
                      ", k is ", k.extents(), ", v is ", v.extents());
  auto const regions = detail::regions_if_shifted(context, height, width, window, shift);
  auto o = context.template tensor<float>(n, height, width, depth);
  problem::Windows const windows{n, height, width, depth, window, shift};
  detail::solve(context, problem::WindowAttention{q.data(), k.data(), v.data(), o.data(), windows, heads, depth / heads,
                                                  detail::attention_scale(depth / heads), regions.data()});
  return o;
}

}  // namespace kovos
