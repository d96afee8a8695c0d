// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// Multi-head self-attention of the CLIP encoders. The projections are stored apart, as CAT-Seg's checkpoints do, with
/// one joint bias in the order q, k, v.
template <std::size_t Dim, std::size_t Heads, class T, class Memory>
class MultiheadAttention {
  static_assert(Heads > 0 && Dim % Heads == 0, "kovos::MultiheadAttention: Heads must divide Dim");

 public:
  Parameter<T, Memory, Dim, Dim> q_proj_weight;
  Parameter<T, Memory, Dim, Dim> k_proj_weight;
  Parameter<T, Memory, Dim, Dim> v_proj_weight;
  Parameter<float, Memory, 3 * Dim> in_proj_bias;
  Linear<Dim, Dim, T, Memory> out_proj;

  /// x: [N, L, Dim] -> out_proj(attention) + residual [N * L, Dim].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, bool causal, Matrix<float const> residual) const {
    auto const q = linear(context, x, q_proj_weight.dynamic(), in_proj_bias.slice(0, Dim));
    auto const k = linear(context, x, k_proj_weight.dynamic(), in_proj_bias.slice(Dim, Dim));
    auto const v = linear(context, x, v_proj_weight.dynamic(), in_proj_bias.slice(2 * Dim, Dim));
    return out_proj(context, attention(context, q, k, v, Heads, causal), Activation::none, residual);
  }

  /// The value path alone, out_proj(v(x)): CLIP's dense features without attention. x: [N, L, Dim] -> [N, L, Dim].
  template <execution_context C, class V>
  V values(C const& context, V const& x) const {
    return out_proj(context, linear(context, x, v_proj_weight.dynamic(), in_proj_bias.slice(2 * Dim, Dim)));
  }

  template <class F>
  void visit(F& f, std::string const& prefix) {
    f(prefix + "q_proj_weight", q_proj_weight);
    f(prefix + "k_proj_weight", k_proj_weight);
    f(prefix + "v_proj_weight", v_proj_weight);
    f(prefix + "in_proj_bias", in_proj_bias);
    out_proj.visit(f, prefix + "out_proj.");
  }
};

}  // namespace kovos
