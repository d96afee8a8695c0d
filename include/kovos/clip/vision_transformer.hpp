// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kovos/clip/config.hpp"
#include "kovos/clip/image_encoder.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/transformer.hpp"

namespace kovos {

/// CLIP's image encoder. Its levels are the outputs of its blocks, all at the stride of a patch; it does not ask which
/// words are looked for (image_encoder). Parameters bear OpenAI's names below "visual.". T stores the matrices of the
/// blocks.
template <ClipConfig Config, class T, class Memory>
class VisionTransformer {
 public:
  static constexpr VisionConfig config = Config.vision;
  static constexpr std::size_t width = config.width;
  static constexpr std::size_t stride = config.patch_size;
  static constexpr std::size_t levels = config.layers;
  static constexpr std::size_t level_width(std::size_t) { return width; }
  static constexpr std::size_t level_stride(std::size_t) { return stride; }

  Parameter<float, Memory, width> class_embedding;
  Parameter<float, Memory, config.grid() * config.grid() + 1, width> positional_embedding;
  Parameter<float, Memory, width, Config.embed_dim> proj;
  Conv2d<3, width, config.patch_size, float, Memory, false, config.patch_size> conv1;
  LayerNorm<width, float, Memory> ln_pre;
  Transformer<width, config.heads, config.layers, T, Memory> transformer;
  LayerNorm<width, float, Memory> ln_post;
  Activation activation = Config.activation;  ///< of the blocks; no weight tells it

  /// The embedding and the dense features of pictures from one pass: they differ in the last block only. pixels: [N, H,
  /// W, 3], normalised.
  template <execution_context C>
  JointFeatures<Memory> encode_joint(C const& context, DynamicTensor<float, 4, Memory> const& pixels) const {
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
    auto const embedding = class_token(context, whole);
    return {embedding, tokens_to_map(context, project(context, ln_post(context, dense)), pixels.extent(1) / stride,
                                     pixels.extent(2) / stride)};
  }

  /// The embeddings of whole pictures. pixels: [N, H, W, 3], normalised -> [N, embed_dim], not normalised.
  template <execution_context C>
  DynamicTensor<float, 2, Memory> encode(C const& context, DynamicTensor<float, 4, Memory> const& pixels) const {
    auto x = embed(context, pixels, Unobserved{});
    for (auto const& block : transformer.resblocks)
      x = block_of_layers(
          context, [&block, act = activation](auto const& c, auto const& v) { return block(c, v, act, false); }, x);
    return class_token(context, x);
  }

  /// Dense features as CAT-Seg uses them (its third_party/model_vpt.py, `forward` with dense): the last block keeps
  /// values only; the outputs of the wanted blocks are taken raw. pixels: [N, H, W, 3], normalised, sides multiples of
  /// the patch size, else ShapeError.
  template <execution_context C, class Observer = Unobserved>
  ImagePyramid<Memory> features(C const& context, DynamicTensor<float, 4, Memory> const& pixels,
                                DynamicTensor<float, 3, Memory> const&, std::span<std::size_t const> wanted = {},
                                Observer const& observe = {}) const {
    ImagePyramid<Memory> result;
    result.levels.resize(wanted.size());
    auto x = embed(context, pixels, observe);
    std::size_t const rows = pixels.extent(1) / stride, columns = pixels.extent(2) / stride;
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
      for (std::size_t h = 0; h < wanted.size(); ++h)
        if (wanted[h] == i) {
          result.levels[h] = tokens_to_map(context, x, rows, columns);
          observe("guide.hook" + std::to_string(h), result.levels[h]);
        }
    }
    auto const tokens = project(context, ln_post(context, x));  // [N, 1 + positions, embed_dim]
    observe("clip.tokens", tokens);
    result.dense = tokens_to_map(context, tokens, rows, columns);
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
  /// Patches, class token, positions, ln_pre. [N, H, W, 3] -> [N, 1 + positions, width].
  template <execution_context C, class Observer>
  auto embed(C const& context, DynamicTensor<float, 4, Memory> const& pixels, Observer const& observe) const {
    require<ShapeError>(pixels.extent(1) % stride == 0 && pixels.extent(2) % stride == 0,
                        "[VisionTransformer] the input must have sides divisible by the patch size ", stride, ", got ",
                        pixels.extents());
    auto const patches = conv1(context, pixels);  // [N, rows, columns, width]
    observe("clip.patch_embed", patches);
    auto const x = ln_pre(context, add_positions(context, patches, observe));
    observe("clip.ln_pre", x);
    return x;
  }

  /// Class token and positions; the stored table is resized bicubically if the grid is another. [N, rows, columns,
  /// width] -> [N, 1 + rows columns, width].
  template <execution_context C, class Observer>
  auto add_positions(C const& context, DynamicTensor<float, 4, Memory> const& patches, Observer const& observe) const {
    constexpr std::size_t grid = config.grid();
    // Only read: kernels take tensors of mutable elements.
    DynamicTensor<float, 2, Memory> const table(const_cast<float*>(positional_embedding.data()),
                                                dynamic_extents<2>(1 + grid * grid, width), nullptr);
    auto const first = copy_of(context, class_embedding.dynamic());
    add_in_place(context, first, table.slice(0, 1));
    auto const stored = table.slice(1, grid * grid).reshape(dynamic_extents<4>(1, grid, grid, width));
    std::size_t const rows = patches.extent(1), columns = patches.extent(2);
    auto const positions = rows == grid && columns == grid ? stored : resize_bicubic(context, stored, rows, columns);
    observe("clip.patch_positions", positions);  // [1, rows, columns, width], without the class token's
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

template <ClipConfig Config, class T, class Memory>
requires(Config.vision.kind == EncoderKind::vision_transformer) struct ImageEncoderOf<Config, T, Memory> {
  using type = VisionTransformer<Config, T, Memory>;
};

}  // namespace kovos
