// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// The two-layer perceptron of a Swin block: fc2(GELU(fc1(x))).
template <std::size_t Dim, std::size_t Hidden, class T, class Memory>
class Mlp {
 public:
  Linear<Dim, Hidden, T, Memory> fc1;
  Linear<Hidden, Dim, T, Memory> fc2;

  /// x: [..., Dim] -> the same + residual.
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, Matrix<float const> residual) const {
    return fc2(context, fc1(context, x, Activation::gelu), Activation::none, residual);
  }

  template <class F>
  void visit(F& f, std::string const& prefix) {
    fc1.visit(f, prefix + "fc1.");
    fc2.visit(f, prefix + "fc2.");
  }
};

/// Attention inside windows whose queries and keys also see a guidance vector per pixel; the values do not.
template <std::size_t Dim, std::size_t Guide, std::size_t Heads, class T, class Memory>
class GuidedWindowAttention {
  static_assert(Heads > 0 && Dim % Heads == 0, "kovos::GuidedWindowAttention: Heads must divide Dim");

 public:
  GuidedLinear<Dim, Guide, Dim, T, Memory> q;
  GuidedLinear<Dim, Guide, Dim, T, Memory> k;
  Linear<Dim, Dim, T, Memory> v;
  Linear<Dim, Dim, T, Memory> proj;

  template <class F>
  void visit(F& f, std::string const& prefix) {
    q.visit(f, prefix + "q.");
    k.visit(f, prefix + "k.");
    v.visit(f, prefix + "v.");
    proj.visit(f, prefix + "proj.");
  }
};

/// A Swin Transformer block over every class map alike, guided by the appearance of the picture:
/// x += proj(window attention(norm1(x), guidance)); x += mlp(norm2(x)). Liu et al. 2021; CAT-Seg section 3.3.
template <std::size_t Dim, std::size_t Guide, std::size_t Heads, class T, class Memory>
class SwinBlock {
 public:
  LayerNorm<Dim, T, Memory> norm1;
  GuidedWindowAttention<Dim, Guide, Heads, T, Memory> attn;
  LayerNorm<Dim, T, Memory> norm2;
  Mlp<Dim, 4 * Dim, T, Memory> mlp;

  /// What queries and keys receive from the guidance; the same for every class. [H * W, Dim] each.
  struct Guidance {
    DynamicTensor<float, 2, Memory> q;
    DynamicTensor<float, 2, Memory> k;
  };

  /// guidance: [H * W, Guide], normalised.
  template <execution_context C, class V>
  Guidance project_guidance(C const& context, V const& guidance) const {
    return {attn.q.project_guidance(context, guidance), attn.k.project_guidance(context, guidance)};
  }

  /// x: [T, H, W, Dim] -> [T, H, W, Dim].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, Guidance const& guidance, std::size_t window, std::size_t shift) const {
    auto const rows = x.reshape(dynamic_extents<2>(x.size() / Dim, Dim));
    auto const h = norm1(context, rows);
    auto const q = attn.q(context, h, guidance.q).reshape(x.extents());
    auto const k = attn.k(context, h, guidance.k).reshape(x.extents());
    auto const v = attn.v(context, h).reshape(x.extents());
    auto const a = window_attention(context, q, k, v, Heads, window, shift);
    auto const y = attn.proj(context, a.reshape(rows.extents()), Activation::none, as_matrix(rows));
    return mlp(context, norm2(context, y), as_matrix(y)).reshape(x.extents());
  }

  template <class F>
  void visit(F& f, std::string const& prefix) {
    norm1.visit(f, prefix + "norm1.");
    attn.visit(f, prefix + "attn.");
    norm2.visit(f, prefix + "norm2.");
    mlp.visit(f, prefix + "mlp.");
  }
};

}  // namespace kovos
