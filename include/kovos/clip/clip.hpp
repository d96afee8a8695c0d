// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kovos/clip/config.hpp"
#include "kovos/clip/image_encoder.hpp"
#include "kovos/clip/text_transformer.hpp"
#include "kovos/clip/vision_transformer.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// Both encoders of CLIP under their official names. Radford et al. 2021. T stores the matrices of the image encoder;
/// the text encoder stays fp32: its results are cached, and mapped weights cost no memory.
template <ClipConfig Config, class T, class Memory>
class ClipModel {
  static_assert(valid<Config>());

 public:
  static constexpr ClipConfig config = Config;
  using Encoder = ImageEncoder<Config, T, Memory>;
  static_assert(image_encoder<Encoder, Context<typename Memory::execution_space>>);
  static_assert(Encoder::stride == Config.vision.patch_size,
                "kovos::ClipModel: vision.patch_size must be the stride of the image encoder's dense features");

  Encoder visual;
  TextTransformer<Config, float, Memory> text;
  Parameter<float, Memory> logit_scale;  // stored as its logarithm

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    visual.visit(f, prefix + "visual.");
    text.visit(f, prefix);
    f(prefix + "logit_scale", logit_scale, ParameterRole::logit_scale);
  }
};

}  // namespace kovos
