// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/norm_attention.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/window.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// The two-layer perceptron of a Swin block, fc2(GELU(fc1(x))); run by norm_mlp.
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

  /// What queries and keys receive from the guidance; the same for every class. [H * W, Dim] each, in the order in
  /// which the block reads them: row by row, or window by window where the context's kernels work so.
  struct Guidance {
    DynamicTensor<float, 2, Memory> q;
    DynamicTensor<float, 2, Memory> k;
  };

  /// guidance: [1, H, W, Guide], normalised; window and shift as below.
  template <execution_context C, class V>
  Guidance project_guidance(C const& context, V const& guidance, std::size_t window, std::size_t shift) const {
    std::size_t const height = guidance.extent(1), width = guidance.extent(2);
    auto const rows = guidance.reshape(dynamic_extents<2>(height * width, Guide));
    Guidance const projected{attn.q.project_guidance(context, rows), attn.k.project_guidance(context, rows)};
    if constexpr (C::in_place && is_host_execution<typename C::execution_space>)
      if (detail::works_by_windows(context)) {
        auto const in_windows = [&](auto const& y) {
          return window_partition(context, y.reshape(dynamic_extents<4>(1, height, width, Dim)), window, shift)
              .reshape(y.extents());
        };
        return {in_windows(projected.q), in_windows(projected.k)};
      }
    return projected;
  }

  /// x: [T, H, W, Dim], overwritten where the context allows it; guidance: of the same window and shift ->
  /// [T, H, W, Dim].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, Guidance const& guidance, std::size_t window, std::size_t shift) const {
    if constexpr (C::in_place && is_host_execution<typename C::execution_space>)
      if (detail::works_by_windows(context)) {
        // A window sees nothing of the others: each goes through all layers on one core, in its cache.
        for_each_window(
            context, x, window, shift, [&](C const& c, auto const& rows, auto const& regions, std::size_t w) {
              auto const guide = [&](auto const& y) { return y.slice(w * rows.extent(0), rows.extent(0)); };
              auto const y =
                  norm_attention(c, rows.reshape(dynamic_extents<3>(1, rows.extent(0), Dim)), norm1.parameters(),
                                 AttentionMaps<T>{attn.q.map(guide(guidance.q)), attn.k.map(guide(guidance.k)),
                                                  attn.v.map(), attn.proj.map()},
                                 Heads, regions);
              return perceptron(c, y.reshape(rows.extents()));
            });
        return x;
      }
    auto const rows = x.reshape(dynamic_extents<2>(x.size() / Dim, Dim));
    auto const [q, k, v] = norm_linear(context, rows, norm1.parameters(),
                                       std::array{attn.q.map(guidance.q), attn.k.map(guidance.k), attn.v.map()});
    auto const attended = window_attention(context, q.reshape(x.extents()), k.reshape(x.extents()),
                                           v.reshape(x.extents()), Heads, window, shift);
    auto const y = attn.proj(context, attended.reshape(rows.extents()), Activation::none, as_matrix(rows));
    return perceptron(context, y).reshape(x.extents());
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    norm1.visit(f, prefix + "norm1.");
    attn.visit(f, prefix + "attn.");
    norm2.visit(f, prefix + "norm2.");
    mlp.visit(f, prefix + "mlp.");
  }

 private:
  /// rows: [M, Dim], may be overwritten -> [M, Dim].
  template <execution_context C, class V>
  V perceptron(C const& context, V const& rows) const {
    return norm_mlp(context, rows, norm2.parameters(), mlp.fc1.map(), Activation::gelu, mlp.fc2.map());
  }
};

}  // namespace kovos
