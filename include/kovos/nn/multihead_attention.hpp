// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/nn/layer_norm.hpp"
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

  /// out_proj(attention(norm(x))) + x, the first half of a pre-norm block. x: [N, L, Dim] -> [N, L, Dim].
  template <execution_context C, class V, class N>
  V operator()(C const& context, V const& x, LayerNorm<Dim, N, Memory> const& norm, bool causal) const {
    auto const [q, k, v] = norm_linear(context, rows_of(x), norm.parameters(),
                                       std::array{map(q_proj_weight, 0), map(k_proj_weight, 1), map(v_proj_weight, 2)});
    auto const attended =
        attention(context, q.reshape(x.extents()), k.reshape(x.extents()), v.reshape(x.extents()), Heads, causal);
    return out_proj(context, attended, Activation::none, as_matrix(x));
  }

  /// The value path alone, out_proj(v(norm(x))): CLIP's dense features without attention. x: [N, L, Dim] ->
  /// [N, L, Dim].
  template <execution_context C, class V, class N>
  V values(C const& context, V const& x, LayerNorm<Dim, N, Memory> const& norm) const {
    auto const [v] = norm_linear(context, rows_of(x), norm.parameters(), std::array{map(v_proj_weight, 2)});
    return out_proj(context, v.reshape(x.extents()));
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "q_proj_weight", q_proj_weight, ParameterRole::attention_weight);
    f(prefix + "k_proj_weight", k_proj_weight, ParameterRole::attention_weight);
    f(prefix + "v_proj_weight", v_proj_weight, ParameterRole::attention_weight);
    f(prefix + "in_proj_bias", in_proj_bias, ParameterRole::block_bias);
    out_proj.visit(f, prefix + "out_proj.", ParameterRole::residual_weight, ParameterRole::block_bias);
  }

 private:
  template <class V>
  static auto rows_of(V const& x) {
    return x.reshape(dynamic_extents<2>(x.size() / Dim, Dim));
  }

  /// One of the projections, number `part` of the joint bias.
  LinearMap<T> map(Parameter<T, Memory, Dim, Dim> const& weight, std::size_t part) const {
    return {{weight.data(), Dim, Dim, Dim, 1}, {in_proj_bias.data() + part * Dim, 1, Dim, Dim, 1}};
  }
};

}  // namespace kovos
