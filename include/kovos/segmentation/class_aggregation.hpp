// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/leading_axis.hpp"
#include "kovos/kernels/leading_axis_attention.hpp"
#include "kovos/kernels/linear_attention.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/kernels/slices.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"

namespace kovos {

/// The projections of class attention: queries and keys also see the class's text guidance.
template <std::size_t Dim, std::size_t Guide, class T, class Memory>
class ClassAttentionProjections {
 public:
  GuidedLinear<Dim, Guide, Dim, T, Memory> q;
  GuidedLinear<Dim, Guide, Dim, T, Memory> k;
  Linear<Dim, Dim, T, Memory> v;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    q.visit(f, prefix + "q.");
    k.visit(f, prefix + "k.");
    v.visit(f, prefix + "v.");
  }
};

/// The two-layer perceptron of class aggregation, a PyTorch Sequential: 0 linear, 1 ReLU, 2 linear; run
/// by norm_mlp.
template <std::size_t Dim, std::size_t Hidden, class T, class Memory>
class ReluMlp {
 public:
  Linear<Dim, Hidden, T, Memory> first;
  Linear<Hidden, Dim, T, Memory> second;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    first.visit(f, prefix + "0.");
    second.visit(f, prefix + "2.");
  }
};

/// Lets classes compete at every (pooled) position: attention along the class axis, guided by the text features
/// (CAT-Seg section 3.3; key `attention`). Fewer than PadLen classes are padded with learned tokens; those are all
/// equal and enter in closed form.
template <std::size_t Dim, std::size_t Guide, std::size_t Heads, std::size_t PadLen, ClassAttention Kind, class T,
          class Memory>
class ClassAggregation {
 public:
  Parameter<T, Memory, 1, 1, Dim> padding_tokens;
  Parameter<T, Memory, 1, 1, Guide> padding_guidance;
  ClassAttentionProjections<Dim, Guide, T, Memory> attention;
  ReluMlp<Dim, 4 * Dim, T, Memory> mlp;
  LayerNorm<Dim, T, Memory> norm1;
  LayerNorm<Dim, T, Memory> norm2;

  /// What the attention takes from the words, and the padding classes.
  struct Words {
    DynamicTensor<float, 2, Memory> q, k;  // [T, Dim], the same for every view, or [N * T, Dim]
    RepeatedKey<Memory> padding;

    /// Of the words at these places only. index: [K].
    template <execution_context C>
    Words at(C const& context, DynamicTensor<std::int32_t, 1, Memory> const& index) const {
      return {gather_rows(context, q, index), gather_rows(context, k, index), padding};
    }
    /// Those of a view of `classes` classes.
    Words of_view(std::size_t n, std::size_t classes) const {
      if (q.extent(0) == classes) return *this;
      return {q.slice(n * classes, classes), k.slice(n * classes, classes), padding};
    }
  };

  /// words: [W, Guide], text guidance; classes: how many each view has -> for W words.
  template <execution_context C, class V>
  Words project_words(C const& context, V const& words, std::size_t classes) const {
    return {attention.q.project_guidance(context, words), attention.k.project_guidance(context, words),
            repeated_padding(context, classes)};
  }

  /// x: [N * T, H, W, Dim] of N views, words: of their T classes -> [N * T, H, W, Dim]. Classes of a view meet on the
  /// map averaged over pooling x pooling positions, 1 at test time, 2 in training; rows and columns that do not fill a
  /// block are dropped there.
  template <execution_context C, class V, class Observer = Unobserved>
  V operator()(C const& context, V const& x, Words const& words, std::size_t views, std::size_t pooling,
               Observer const& observe = {}) const {
    auto const pooled = average_pool2d(context, x, pooling);  // [N * T, H / pooling, W / pooling, Dim]
    observe("pooled", pooled);
    std::size_t const classes = x.extent(0) / views, length = x.extent(1) * x.extent(2);
    if (pooling == 1)  // positions are independent
      return map_columns(context, "kovos::class aggregation", x.reshape(dynamic_extents<3>(x.extent(0), length, Dim)),
                         views, std::max<std::size_t>(1, 1024 / classes),
                         [&](auto const& c, auto const& part, std::size_t view) {
                           auto const line = part.reshape(dynamic_extents<4>(classes, 1, part.extent(1), Dim));
                           return aggregate(c, line, line, words.of_view(view, classes)).reshape(part.extents());
                         })
          .reshape(x.extents());
    return map_groups(context, x, views, [&](auto const& c, auto const& maps, std::size_t view) {
      return aggregate(c, maps, pooled.slice(view * classes, classes), words.of_view(view, classes));
    });
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "padding_tokens", padding_tokens, ParameterRole::padding);
    f(prefix + "padding_guidance", padding_guidance, ParameterRole::padding);
    attention.visit(f, prefix + "attention.");
    mlp.visit(f, prefix + "MLP.");
    norm1.visit(f, prefix + "norm1.");
    norm2.visit(f, prefix + "norm2.");
  }

 private:
  /// The same of one view, from its pooled maps.
  template <execution_context C, class V>
  V aggregate(C const& context, V const& x, V const& pooled, Words const& words) const {
    std::size_t const classes = x.extent(0);
    std::size_t const positions = pooled.extent(1) * pooled.extent(2);
    dynamic_extents<3> const sequences(classes, positions, Dim);
    auto const tokens = pooled.reshape(dynamic_extents<2>(classes * positions, Dim));
    auto const y = [&] {
      auto const qkv = norm_linear(
          context, tokens, norm1.parameters(),
          std::array{attention.q.map(words.q, positions), attention.k.map(words.k, positions), attention.v.map()});
      auto const q = qkv[0].reshape(sequences), k = qkv[1].reshape(sequences), v = qkv[2].reshape(sequences);
      if constexpr (Kind == ClassAttention::linear) return linear_attention(context, q, k, v, Heads, words.padding);
      else return leading_axis_attention(context, q, k, v, Heads, words.padding);
    }();
    add_in_place(context, y, tokens);
    auto const z = norm_mlp(context, y.reshape(tokens.extents()), norm2.parameters(), mlp.first.map(), Activation::relu,
                            mlp.second.map());
    auto const result =
        resize_bilinear(context, z.reshape(pooled.extents()), x.extent(1), x.extent(2), Alignment::corners);
    add_in_place(context, result, x);
    return result;
  }

  /// Key and value of the padding classes, and how many of them there are.
  template <execution_context C>
  RepeatedKey<Memory> repeated_padding(C const& context, std::size_t classes) const {
    if (classes >= PadLen) return {};
    auto const token = norm1(context, copy_of(context, padding_tokens.dynamic()).reshape(dynamic_extents<2>(1, Dim)));
    auto const guidance = copy_of(context, padding_guidance.dynamic()).reshape(dynamic_extents<2>(1, Guide));
    auto const key = attention.k(context, token, attention.k.project_guidance(context, guidance));
    auto const value = attention.v(context, token);
    return {PadLen - classes, key.reshape(dynamic_extents<1>{Dim}), value.reshape(dynamic_extents<1>{Dim})};
  }
};

}  // namespace kovos
