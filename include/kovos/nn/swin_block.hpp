// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/norm_attention.hpp"
#include "kovos/kernels/window_block.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// The two-layer perceptron of a Swin block, fc2(GELU(fc1(x))); run by window_block.
template <std::size_t Dim, std::size_t Hidden, class T, class Memory>
class Mlp {
 public:
  Linear<Dim, Hidden, T, Memory> fc1;
  Linear<Hidden, Dim, T, Memory> fc2;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
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
  void visit(F& f, std::string const& prefix) const {
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

  /// What queries and keys receive from the guidance, the same for every class of a view. [N * H * W, Dim] each, in the
  /// order in which the block reads them (window_block_addends).
  struct Guidance {
    DynamicTensor<float, 2, Memory> q;
    DynamicTensor<float, 2, Memory> k;

    /// That of view n of `views`.
    Guidance of_view(std::size_t n, std::size_t views) const {
      std::size_t const pixels = q.extent(0) / views;
      return {q.slice(n * pixels, pixels), k.slice(n * pixels, pixels)};
    }
  };

  /// guidance: [N, H, W, Guide], normalised; window and shift as below.
  template <execution_context C, class V>
  Guidance project_guidance(C const& context, V const& guidance, std::size_t window, std::size_t shift) const {
    std::size_t const n = guidance.extent(0), height = guidance.extent(1), width = guidance.extent(2);
    auto const rows = guidance.reshape(dynamic_extents<2>(n * height * width, Guide));
    auto const project = [&](auto const& layer) {
      auto const projected = layer.project_guidance(context, rows);
      return window_block_addends(context, projected.reshape(dynamic_extents<4>(n, height, width, Dim)), window, shift);
    };
    return {project(attn.q), project(attn.k)};
  }

  /// x: [T, H, W, Dim] of one view, overwritten where the context allows it; guidance: that view's, of the same window
  /// and shift -> [T, H, W, Dim].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, Guidance const& guidance, std::size_t window, std::size_t shift) const {
    AttentionMaps<T> const maps{attn.q.map(guidance.q), attn.k.map(guidance.k), attn.v.map(), attn.proj.map()};
    WindowBlock<decltype(norm1.parameters()), T> const block{
        norm1.parameters(), maps, Heads, norm2.parameters(), mlp.fc1.map(), Activation::gelu, mlp.fc2.map()};
    return window_block(context, x, block, window, shift);
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    norm1.visit(f, prefix + "norm1.");
    attn.visit(f, prefix + "attn.");
    norm2.visit(f, prefix + "norm2.");
    mlp.visit(f, prefix + "mlp.");
  }
};

}  // namespace kovos
