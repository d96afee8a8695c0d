// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kovos/clip/clip.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/nn/conv_transpose2d.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"

namespace kovos {

/// All parameters of CAT-Seg under the keys of the released checkpoints, and the computation from pixels and text
/// features to logits. Config is the architecture, Memory where the weights live, T how the image encoder's matrices
/// are stored: with bf16 they take half the space; the head, a fiftieth of the weights, stays fp32 because its rounding
/// would decide between close classes.
template <CatSegConfig Config, class T, class Memory>
class CatSegNetwork {
  static_assert(valid<Config>());

 public:
  static constexpr CatSegConfig config = Config;

  ClipModel<Config.clip, T, Memory> clip_model;
  Aggregator<Config, float, Memory> transformer;
  ConvTranspose2d<Config.clip.vision.width, Config.decoder_guidance_dims[0], 2, float, Memory> upsample1;
  ConvTranspose2d<Config.clip.vision.width, Config.decoder_guidance_dims[1], 4, float, Memory> upsample2;

  /// What the head needs of each view. pixels: [N, R, R, 3], normalised, R = clip_resolution.
  template <execution_context C, class Observer = Unobserved>
  std::vector<ImageFeatures<Memory>> image_features(C const& context, DynamicTensor<float, 4, Memory> const& pixels,
                                                    StageTimes* times = nullptr, Observer const& observe = {}) const {
    Stage stage(context, "image encoder", times);
    auto const encoded = clip_model.visual.encode_dense(context, pixels, Config.hooked_blocks, observe);
    auto const res4 = upsample1(context, encoded.hooked[0]);  // [N, 2 S, 2 S, g0]
    auto const res5 = upsample2(context, encoded.hooked[1]);  // [N, 4 S, 4 S, g1]
    observe("guide.res4", res4);
    observe("guide.res5", res5);
    std::vector<ImageFeatures<Memory>> views;
    for (std::size_t n = 0; n < pixels.extent(0); ++n) {
      auto const dense = encoded.features.slice(n, 1);
      views.push_back({dense.reshape(dynamic_extents<3>(dense.extent(1), dense.extent(2), dense.extent(3))),
                       {res4.slice(n, 1), res5.slice(n, 1)}});
    }
    return views;
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    clip_model.visit(f, prefix + "sem_seg_head.predictor.clip_model.");
    transformer.visit(f, prefix + "sem_seg_head.predictor.transformer.");
    upsample1.visit(f, prefix + "upsample1.");
    upsample2.visit(f, prefix + "upsample2.");
  }
};

}  // namespace kovos
