// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/leading_axis.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/leading_axis.hpp"
#include "kovos/kernels/linear_attention.hpp"
#include "kovos/kernels/problem/linear_attention.hpp"

namespace kovos {

/// linear_attention with gradients, also for the repeated key and value.
template <class Exec, Recompute Policy>
DynamicTensor<float, 3, typename Exec::memory_space> linear_attention(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  auto const y = tape.adopt(linear_attention(tape.context(), q, k, v, heads, padding));
  detail::record_leading_axis<problem::LinearAttentionGradient>(tape, y, q, k, v, heads, padding,
                                                                detail::linear_attention_epsilon);
  return y;
}

}  // namespace kovos
