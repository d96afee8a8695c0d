// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/leading_axis.hpp"
#include "kovos/kernels/problem/leading_axis_attention.hpp"

namespace kovos {

/// Softmax attention along the leading axis, the "full" alternative to linear_attention: scores are scaled by
/// 1 / sqrt(D / heads); a repeated key counts `count` times in the softmax.
/// q, k, v: [S, P, D] -> [S, P, D]. Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> leading_axis_attention(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  auto const operands = detail::leading_axis("leading_axis_attention", q, k, v, heads, padding);
  auto o = context.template tensor<float>(q.extent(0), q.extent(1), q.extent(2));
  detail::solve(context, problem::LeadingAxisAttention{operands, o.data(), detail::attention_scale(operands.head_dim)});
  return o;
}

}  // namespace kovos
