// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/clip/clip.hpp"
#include "kovos/nn/conv_transpose2d.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"

namespace kovos::bench {

/// CAT-Seg's head, of whose aggregation one part or both can be left out.
template <CatSegConfig Config, class Memory>
class CostHead : public Aggregator<Config, float, Memory> {
  using Base = Aggregator<Config, float, Memory>;

 public:
  bool spatial = true, by_class = true;

  template <execution_context C>
  ClassLogits<Memory> operator()(C const& context, ImageFeatures<Memory> const& image,
                                 DynamicTensor<float, 3, Memory> const& text,
                                 typename Base::Options const& options = {}) const {
    if (spatial && by_class) return Base::operator()(context, image, text, options);
    std::size_t const side = image.dense.extent(0), classes = text.extent(0);
    ClassLogits<Memory> result;
    for (std::size_t i = 0; i < classes; ++i) result.classes.push_back(i);
    auto const appearance = this->guidance_projection(
        context, image.dense.reshape(dynamic_extents<4>(1, side, side, image.dense.extent(2))), Activation::relu);
    auto const words = this->text_guidance_projection(
        context, text.reshape(dynamic_extents<2>(classes, text.extent(2))), Activation::relu);
    auto x = this->conv1(context, cost_volume(context, image.dense, text));
    std::size_t index = 0;
    for (auto const& layer : this->layers) {
      if (spatial) x = layer.swin_block(context, x, layer.swin_block.project_guidance(context, appearance));
      if (by_class) x = layer.attention(context, x, words, options.pooling[index]);
      ++index;
    }
    auto const y =
        this->decoder1(context, x, this->decoder_guidance_projection_0(context, image.guidance[0], Activation::relu));
    auto const z =
        this->decoder2(context, y, this->decoder_guidance_projection_1(context, image.guidance[1], Activation::relu));
    result.logits = this->head(context, z).reshape(dynamic_extents<3>(classes, 4 * side, 4 * side));
    return result;
  }
};

/// What the paper compares with: the same layers work on the picture's features instead of on the cost volume, and
/// words only enter at the end, by their cosines with the decoded features.
template <CatSegConfig Config, class Memory>
class FeatureHead : public Aggregator<Config, float, Memory> {
  using Base = Aggregator<Config, float, Memory>;

 public:
  Linear<Config.clip.embed_dim, Config.hidden_dim, float, Memory> feature_embedding;
  Linear<Config.decoder_dims[1], Config.clip.embed_dim, float, Memory> feature_projection;
  Linear<1, 1, float, Memory> cosine;  // what a cosine is worth as a logit

  template <execution_context C>
  ClassLogits<Memory> operator()(C const& context, ImageFeatures<Memory> const& image,
                                 DynamicTensor<float, 3, Memory> const& text,
                                 typename Base::Options const& = {}) const {
    std::size_t const side = image.dense.extent(0), depth = image.dense.extent(2), classes = text.extent(0);
    ClassLogits<Memory> result;
    for (std::size_t i = 0; i < classes; ++i) result.classes.push_back(i);
    auto const dense = image.dense.reshape(dynamic_extents<4>(1, side, side, depth));
    auto const appearance = this->guidance_projection(context, dense, Activation::relu);
    auto x = feature_embedding(context, dense);
    for (auto const& layer : this->layers)
      x = layer.swin_block(context, x, layer.swin_block.project_guidance(context, appearance));
    auto const y =
        this->decoder1(context, x, this->decoder_guidance_projection_0(context, image.guidance[0], Activation::relu));
    auto const z =
        this->decoder2(context, y, this->decoder_guidance_projection_1(context, image.guidance[1], Activation::relu));
    auto const features = feature_projection(context, z).reshape(dynamic_extents<2>(16 * side * side, depth));
    auto const cosines = cosine_similarity(context, text.reshape(dynamic_extents<2>(classes, depth)), features);
    result.logits = cosine(context, cosines.reshape(dynamic_extents<2>(cosines.size(), 1)))
                        .reshape(dynamic_extents<3>(classes, 4 * side, 4 * side));
    return result;
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    Base::visit(f, prefix);
    feature_embedding.visit(f, prefix + "feature_embedding.");
    feature_projection.visit(f, prefix + "feature_projection.");
    cosine.visit(f, prefix + "cosine.");
  }
};

/// CatSegNetwork with another head.
template <CatSegConfig Config, class Head, class Memory>
class NetworkWith : public CatSegNetwork<Config, float, Memory> {
  using Base = CatSegNetwork<Config, float, Memory>;

 public:
  Head transformer;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    this->clip_model.visit(f, prefix + "sem_seg_head.predictor.clip_model.");
    transformer.visit(f, prefix + "sem_seg_head.predictor.transformer.");
    this->upsample1.visit(f, prefix + "upsample1.");
    this->upsample2.visit(f, prefix + "upsample2.");
  }
};

}  // namespace kovos::bench
