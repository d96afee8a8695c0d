// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kovos/clip/clip.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/nn/conv_transpose2d.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"

namespace kovos::bench {

/// CAT-Seg's parts, each of which can be left out.
template <CatSegConfig Config, class Memory>
struct OptionalParts {
  class Spatial : public AggregationParts<Config, float, Memory>::Spatial {
    using Base = typename AggregationParts<Config, float, Memory>::Spatial;

   public:
    bool on = true;

    template <execution_context C, class V, class Observer>
    typename Base::Guidance project_guidance(C const& context, V const& appearance, Observer const& observe) const {
      if (!on) return {};
      return Base::project_guidance(context, appearance, observe);
    }
    template <execution_context C, class V, class Observer>
    V operator()(C const& context, V const& x, typename Base::Guidance const& guidance, Observer const& observe) const {
      return on ? Base::operator()(context, x, guidance, observe) : x;
    }
  };

  class ByClass : public AggregationParts<Config, float, Memory>::ByClass {
    using Base = typename AggregationParts<Config, float, Memory>::ByClass;

   public:
    bool on = true;

    template <execution_context C, class V>
    typename Base::Words project_words(C const& context, V const& words, std::size_t classes) const {
      if (!on) return {};
      return Base::project_words(context, words, classes);
    }
    template <execution_context C, class V, class Observer>
    V operator()(C const& context, V const& x, typename Base::Words const& words, std::size_t views,
                 std::size_t pooling, Observer const& observe) const {
      return on ? Base::operator()(context, x, words, views, pooling, observe) : x;
    }
  };
};

/// CAT-Seg's head, of whose aggregation one part or both can be left out.
template <CatSegConfig Config, class Memory>
using CostHead = Aggregator<Config, float, Memory, OptionalParts<Config, Memory>>;

/// What the paper compares with: the same layers work on the picture's features instead of on the cost volume, and
/// words only enter at the end, by their cosines with the decoded features.
template <CatSegConfig Config, class Memory>
class FeatureHead : public CostHead<Config, Memory> {
  using Base = CostHead<Config, Memory>;

 public:
  Linear<Config.clip.embed_dim, Config.hidden_dim, float, Memory> feature_embedding;
  Linear<Config.decoder_dims[1], Config.clip.embed_dim, float, Memory> feature_projection;
  Linear<1, 1, float, Memory> cosine;  // what a cosine is worth as a logit

  FeatureHead() {
    for (auto& layer : this->layers) layer.attention.on = false;
  }

  template <execution_context C>
  std::vector<ClassLogits<Memory>> operator()(C const& context, ImageFeatures<Memory> const& image,
                                              DynamicTensor<float, 3, Memory> const& text,
                                              typename Base::Options const& options = {}) const {
    std::size_t const side = image.dense.extent(1), depth = image.dense.extent(3), classes = text.extent(0);
    auto const maps =  // one for each view
        this->aggregate(context, image.dense, feature_embedding(context, image.dense), {}, options);
    auto const features = this->decode(
        context, maps, this->project_decoder_guidance(context, image), depth,
        [this](auto const& c, auto const& z) { return feature_projection(c, apply_scaling(c, z)); }, options);
    auto const words = text.reshape(dynamic_extents<2>(classes, depth));
    std::vector<ClassLogits<Memory>> result(image.views());
    for (std::size_t n = 0; n < image.views(); ++n) {
      for (std::size_t i = 0; i < classes; ++i) result[n].classes.push_back(i);
      auto const of_view = features.slice(n, 1).reshape(dynamic_extents<2>(16 * side * side, depth));
      auto const cosines = cosine_similarity(context, words, of_view);
      result[n].logits = cosine(context, cosines.reshape(dynamic_extents<2>(cosines.size(), 1)))
                             .reshape(dynamic_extents<3>(classes, 4 * side, 4 * side));
    }
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
