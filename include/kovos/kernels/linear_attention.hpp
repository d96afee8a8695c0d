// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/leading_axis.hpp"
#include "kovos/kernels/problem/linear_attention.hpp"

namespace kovos {

namespace detail {
/// Keeps linear attention from dividing by zero.
inline constexpr float linear_attention_epsilon = 1e-6f;
}  // namespace detail

/// Linear attention along the leading axis with the feature map phi(x) = elu(x) + 1 (Katharopoulos et al. 2020, as
/// CAT-Seg's ClassAggregation): for each position and head
/// o_l = phi(q_l) (sum_s phi(k_s) v_s^T) / (phi(q_l) . sum_s phi(k_s) + 1e-6).
/// q, k, v: [S, P, D] with S the sequence (classes), P positions -> [S, P, D].
/// Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> linear_attention(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  auto const operands = detail::leading_axis("linear_attention", q, k, v, heads, padding);
  auto o = context.template tensor<float>(q.extent(0), q.extent(1), q.extent(2));
  if (o.size() == 0) return o;
  detail::solve(context, problem::LinearAttention{operands, o.data(), detail::linear_attention_epsilon});
  return o;
}

}  // namespace kovos
