// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "kovos/clip/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/kernels/tokens.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/transformer.hpp"

namespace kovos {

/// CLIP's image encoder. Parameters bear OpenAI's names below "visual.". T stores the matrices of the blocks.
template <ClipConfig Config, class T, class Memory>
class VisionTransformer {
 public:
  static constexpr VisionConfig config = Config.vision;
  static constexpr std::size_t width = config.width;

  Parameter<float, Memory, width> class_embedding;
  Parameter<float, Memory, config.grid() * config.grid() + 1, width> positional_embedding;
  Parameter<float, Memory, width, Config.embed_dim> proj;
  Conv2d<3, width, config.patch_size, float, Memory, false, config.patch_size> conv1;
  LayerNorm<width, float, Memory> ln_pre;
  Transformer<width, config.heads, config.layers, T, Memory> transformer;
  LayerNorm<width, float, Memory> ln_post;
  Activation activation = Config.activation;  ///< of the blocks; no weight tells it

  /// Dense image features for segmentation.
  template <std::size_t Hooks>
  struct Dense {
    DynamicTensor<float, 4, Memory> features;                   // [N, S, S, embed_dim]
    std::array<DynamicTensor<float, 4, Memory>, Hooks> hooked;  // block outputs, [N, S, S, width]
  };

  /// Both kinds of features from one pass; they differ in the last block only.
  struct Joint {
    DynamicTensor<float, 2, Memory> embedding;  // [N, embed_dim], of the class token
    DynamicTensor<float, 3, Memory> dense;      // [N, 1 + S S, embed_dim], the class token first
  };

  /// The embedding and the dense features of pictures, not normalised: what a contrastive loss on both trains. pixels:
  /// [N, R, R, 3], normalised.
  template <execution_context C>
  Joint encode_joint(C const& context, DynamicTensor<float, 4, Memory> const& pixels) const {
    auto x = embed(context, pixels, Unobserved{});
    for (std::size_t i = 0; i + 1 < config.layers; ++i)
      x = block_of_layers(
          context,
          [&block = transformer.resblocks[i], act = activation](auto const& c, auto const& v) {
            return block(c, v, act, false);
          },
          x);
    auto const& last = transformer.resblocks[config.layers - 1];
    auto const whole = last(context, x, activation, false);
    auto const dense = last.dense(context, x, activation);
    return {class_token(context, whole), project(context, ln_post(context, dense))};
  }

  /// The image embedding of a whole picture. pixels: [N, R, R, 3], normalised -> [N, embed_dim], not normalised.
  template <execution_context C>
  auto encode(C const& context, DynamicTensor<float, 4, Memory> const& pixels) const {
    auto x = embed(context, pixels, Unobserved{});
    for (auto const& block : transformer.resblocks)
      x = block_of_layers(
          context, [&block, act = activation](auto const& c, auto const& v) { return block(c, v, act, false); }, x);
    return class_token(context, x);
  }

  /// Dense features as CAT-Seg uses them (its third_party/model_vpt.py, `forward` with dense): the last block keeps
  /// values only; the outputs of the hooked blocks are taken raw. pixels: [N, R, R, 3], normalised, R a multiple of the
  /// patch size.
  template <std::size_t Hooks, execution_context C, class Observer = Unobserved>
  Dense<Hooks> encode_dense(C const& context, DynamicTensor<float, 4, Memory> const& pixels,
                            std::array<std::size_t, Hooks> const& hooked_blocks, Observer const& observe = {}) const {
    Dense<Hooks> result;
    auto x = embed(context, pixels, observe);
    std::size_t const side = pixels.extent(1) / config.patch_size;
    for (std::size_t i = 0; i < config.layers; ++i) {
      auto const& block = transformer.resblocks[i];
      bool const last = i + 1 == config.layers;
      x = block_of_layers(
          context,
          [&block, last, act = activation](auto const& c, auto const& v) {
            return last ? block.dense(c, v, act) : block(c, v, act, false);
          },
          x);
      observe("clip.block" + std::to_string(i) + (last ? "_dense" : ""), x);
      for (std::size_t h = 0; h < Hooks; ++h)
        if (hooked_blocks[h] == i) {
          result.hooked[h] = tokens_to_map(context, x, side, side);
          observe("guide.hook" + std::to_string(h), result.hooked[h]);
        }
    }
    auto const tokens = project(context, ln_post(context, x));  // [N, 1 + S S, embed_dim]
    observe("clip.tokens", tokens);
    result.features = tokens_to_map(context, tokens, side, side);
    return result;
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "class_embedding", class_embedding, ParameterRole::class_token);
    f(prefix + "positional_embedding", positional_embedding, ParameterRole::patch_positions);
    f(prefix + "proj", proj, ParameterRole::projection);
    conv1.visit(f, prefix + "conv1.");
    ln_pre.visit(f, prefix + "ln_pre.");
    transformer.visit(f, prefix + "transformer.");
    ln_post.visit(f, prefix + "ln_post.");
  }

 private:
  /// Patches, class token, positions, ln_pre. [N, R, R, 3] -> [N, 1 + S S, width].
  template <execution_context C, class Observer>
  auto embed(C const& context, DynamicTensor<float, 4, Memory> const& pixels, Observer const& observe) const {
    require<ShapeError>(pixels.extent(1) == pixels.extent(2) && pixels.extent(1) % config.patch_size == 0,
                        "[VisionTransformer] the input must be square with a side divisible by the patch size ",
                        config.patch_size, ", got ", pixels.extents());
    auto const patches = conv1(context, pixels);  // [N, S, S, width]
    observe("clip.patch_embed", patches);
    auto const x = ln_pre(context, add_positions(context, patches, observe));
    observe("clip.ln_pre", x);
    return x;
  }

  /// Class token and positions; the stored table is resized bicubically if the grid is another. [N, S, S, width] ->
  /// [N, 1 + S S, width].
  template <execution_context C, class Observer>
  auto add_positions(C const& context, DynamicTensor<float, 4, Memory> const& patches, Observer const& observe) const {
    constexpr std::size_t grid = config.grid();
    // Only read: kernels take tensors of mutable elements.
    DynamicTensor<float, 2, Memory> const table(const_cast<float*>(positional_embedding.data()),
                                                dynamic_extents<2>(1 + grid * grid, width), nullptr);
    auto const first = copy_of(context, class_embedding.dynamic());
    add_in_place(context, first, table.slice(0, 1));
    auto const stored = table.slice(1, grid * grid).reshape(dynamic_extents<4>(1, grid, grid, width));
    auto const positions =
        patches.extent(1) == grid ? stored : resize_bicubic(context, stored, patches.extent(1), patches.extent(2));
    observe("clip.patch_positions", positions);  // [1, S, S, width], without the class token's
    return map_to_tokens(context, patches, first, positions);
  }

  /// The projected class token. x: [N, L, width] -> [N, embed_dim].
  template <execution_context C>
  auto class_token(C const& context, DynamicTensor<float, 3, Memory> const& x) const {
    Tensor<std::int32_t, dynamic_extents<1>> host(dynamic_extents<1>{x.extent(0)});
    std::fill_n(host.data(), host.size(), 0);
    return project(context, ln_post(context, select_tokens(context, x, to_device(context, host))));
  }

  /// x: [..., width] -> x proj: [..., embed_dim].
  template <execution_context C, class V>
  auto project(C const& context, V const& x) const {
    auto const rows = as_matrix(x);
    auto y = [&] {
      if constexpr (V::rank() == 2) return context.template tensor<float>(x.extent(0), Config.embed_dim);
      else return context.template tensor<float>(x.extent(0), x.extent(1), Config.embed_dim);
    }();
    gemm(context, rows, as_matrix(proj.dynamic()), as_matrix(y));
    return y;
  }
};

}  // namespace kovos
