// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/nn/multihead_attention.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// The two-layer perceptron of a CLIP block, c_proj(activation(c_fc(x))); run by norm_mlp.
template <std::size_t Dim, std::size_t Hidden, class T, class Memory>
class ClipMlp {
 public:
  Linear<Dim, Hidden, T, Memory> c_fc;
  Linear<Hidden, Dim, T, Memory> c_proj;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    c_fc.visit(f, prefix + "c_fc.", ParameterRole::hidden_weight, ParameterRole::block_bias);
    c_proj.visit(f, prefix + "c_proj.", ParameterRole::residual_weight, ParameterRole::block_bias);
  }
};

/// A pre-norm transformer block: x += attn(ln_1(x)); x += mlp(ln_2(x)). Radford et al. 2021. T stores the matrices;
/// norms and biases are fp32, as in OpenAI's own mixed-precision files.
template <std::size_t Dim, std::size_t Heads, class T, class Memory>
class ResidualAttentionBlock {
 public:
  MultiheadAttention<Dim, Heads, T, Memory> attn;
  LayerNorm<Dim, float, Memory> ln_1;
  ClipMlp<Dim, 4 * Dim, T, Memory> mlp;
  LayerNorm<Dim, float, Memory> ln_2;

  /// x: [N, L, Dim] -> [N, L, Dim].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, Activation activation, bool causal) const {
    return perceptron(context, attn(context, x, ln_1, causal), activation);
  }

  /// The last block of CAT-Seg's dense image encoder: values instead of attention, and the block's *class token* as the
  /// residual of every token (the released weights were trained so). x: [N, L, Dim] with the class token first.
  template <execution_context C, class V>
  V dense(C const& context, V const& x, Activation activation) const {
    auto const y = attn.values(context, x, ln_1);
    add_first_token(context, y, x);
    return perceptron(context, y, activation);
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    attn.visit(f, prefix + "attn.");
    ln_1.visit(f, prefix + "ln_1.");
    mlp.visit(f, prefix + "mlp.");
    ln_2.visit(f, prefix + "ln_2.");
  }

 private:
  /// y + mlp(ln_2(y)); y may be overwritten.
  template <execution_context C, class V>
  V perceptron(C const& context, V const& y, Activation activation) const {
    auto const rows = y.reshape(dynamic_extents<2>(y.size() / Dim, Dim));
    return norm_mlp(context, rows, ln_2.parameters(), mlp.c_fc.map(), activation, mlp.c_proj.map())
        .reshape(y.extents());
  }

  template <execution_context C, class V>
  static void add_first_token(C const& context, V const& y, V const& x) {
    for (std::size_t n = 0; n < x.extent(0); ++n) add_in_place(context, y.slice(n, 1), first_token(x, n));
  }

  template <class V>
  static auto first_token(V const& x, std::size_t n) {
    return x.slice(n, 1).reshape(dynamic_extents<2>(x.extent(1), x.extent(2))).slice(0, 1);
  }
};

/// A stack of residual attention blocks.
template <std::size_t Dim, std::size_t Heads, std::size_t Layers, class T, class Memory>
class Transformer {
 public:
  std::array<ResidualAttentionBlock<Dim, Heads, T, Memory>, Layers> resblocks;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    visit_list(resblocks, f, prefix + "resblocks.");
  }
};

}  // namespace kovos
