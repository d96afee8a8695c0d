// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/clip/clip.hpp"
#include "kovos/clip/encoded_words.hpp"
#include "kovos/clip/image_encoder.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/resize_u8.hpp"
#include "kovos/kernels/transpose.hpp"
#include "kovos/nn/conv_transpose2d.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"
#include "kovos/segmentation/cost_volume.hpp"
#include "kovos/segmentation/merged_views.hpp"
#include "kovos/segmentation/segmentation.hpp"
#include "kovos/segmentation/sliding_window.hpp"
#include "kovos/text/prompt_rows.hpp"

namespace kovos {

/// All parameters of CAT-Seg under the keys of the released checkpoints, and the computation from a picture and text
/// features to class maps. Config is the architecture, Memory where the weights live, T how the image encoder's
/// matrices are stored: with bf16 they take half the space; the head, a fiftieth of the weights, stays fp32 because its
/// rounding would decide between close classes.
template <CatSegConfig Config, class T, class Memory>
class CatSegNetwork {
  static_assert(valid<Config>());

 public:
  static constexpr CatSegConfig config = Config;
  using Encoder = ImageEncoder<Config.clip, T, Memory>;
  static_assert(Config.hooked_blocks[0] < Encoder::levels && Config.hooked_blocks[1] < Encoder::levels &&
                    Encoder::level_stride(Config.hooked_blocks[0]) == Encoder::stride &&
                    Encoder::level_stride(Config.hooked_blocks[1]) == Encoder::stride,
                "kovos::CatSegNetwork: hooked_blocks must name levels at the stride of the dense features");

  ClipModel<Config.clip, T, Memory> clip_model;
  Aggregator<Config, float, Memory> transformer;
  ConvTranspose2d<Encoder::level_width(Config.hooked_blocks[0]), Config.decoder_guidance_dims[0], 2, float, Memory>
      upsample1;
  ConvTranspose2d<Encoder::level_width(Config.hooked_blocks[1]), Config.decoder_guidance_dims[1], 4, float, Memory>
      upsample2;

  /// What the head needs of N views. pixels: [N, R, R, 3], normalised, R = clip_resolution; words: [T, P, embed_dim],
  /// for image encoders that are told them.
  template <execution_context C, class Observer = Unobserved>
  ImageFeatures<Memory> image_features(C const& context, DynamicTensor<float, 4, Memory> const& pixels,
                                       DynamicTensor<float, 3, Memory> const& words, StageTimes* times = nullptr,
                                       Observer const& observe = {}) const {
    Stage stage(context, "image encoder", times);
    auto const encoded = clip_model.visual.features(context, pixels, words, Config.hooked_blocks, observe);
    auto const res4 = upsample1(context, encoded.levels[0]);  // [N, 2 S, 2 S, g0]
    auto const res5 = upsample2(context, encoded.levels[1]);  // [N, 4 S, 4 S, g1]
    observe("guide.res4", res4);
    observe("guide.res5", res5);
    return {encoded.dense, {res4, res5}};
  }

  // What a Segmenter asks for.
  static constexpr std::string_view name = "CatSeg";
  static constexpr std::string_view preset = preset_name<Config>;
  static constexpr std::string_view storage = std::is_same_v<T, float> ? "fp32" : "bf16";
  static constexpr RowOptions rows{Reduction::mean, TemplateUse::each};
  static constexpr std::size_t num_templates = Config.num_templates;
  static constexpr std::string_view default_templates = "single";  // the released models were made for it
  auto const& text_encoder() const { return clip_model.text; }

  /// Cuts the picture into views and takes them through the network. Throws ShapeError unless the words have one row
  /// per class.
  template <class Exec>
  MergedViews<Memory> output(Context<Exec> const& context, Image const& picture, EncodedWords<Memory> const& words,
                             SegmentOptions const& options, StageTimes* times) const {
    require_one_row_per_class(words, name);
    auto views = [&] {
      Stage stage(context, "preprocessing", times);
      auto const [height, width] =
          shortest_edge_size(picture.height, picture.width, Config.test.short_edge, Config.test.longest_edge);
      return cut_views(context, image_tensor(context, resize_pillow(picture, height, width, ResizeFilter::bilinear)),
                       options.window, Config.test, Config.clip_resolution);
    }();
    typename Aggregator<Config, float, Memory>::Options head;
    head.times = times;
    head.most_classes = options.most_classes;
    head.most_decoded = options.most_decoded;
    head.layers = options.layers;
    head.views = options.views_at_once;
    auto const features = image_features(context, views.pixels, words.features, times);
    auto logits = options.raw_cost_volume ? cosines(context, features, words.features)
                                          : transformer(context, features, words.features, head);
    return {std::move(views), std::move(logits)};
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    clip_model.visit(f, prefix + "sem_seg_head.predictor.clip_model.");
    transformer.visit(f, prefix + "sem_seg_head.predictor.transformer.");
    upsample1.visit(f, prefix + "upsample1.");
    upsample2.visit(f, prefix + "upsample2.");
  }

 private:
  /// The cost volume itself, averaged over templates, in the place of logits.
  template <class Exec>
  std::vector<ClassLogits<Memory>> cosines(Context<Exec> const& context, ImageFeatures<Memory> const& image,
                                           DynamicTensor<float, 3, Memory> const& words) const {
    std::vector<ClassLogits<Memory>> result(image.views());
    for (std::size_t n = 0; n < image.views(); ++n) {
      auto const cost = cost_volume(context, image.dense.slice(n, 1), words);  // [T, S, S, P]
      std::size_t const classes = cost.extent(0), side = cost.extent(1), templates = cost.extent(3);
      auto const mean = mean_over_axis1(
          context, permute(context, cost, {0, 3, 1, 2}).reshape(dynamic_extents<3>(classes, templates, side * side)));
      result[n].logits = mean.reshape(dynamic_extents<3>(classes, side, side));
      for (std::size_t i = 0; i < classes; ++i) result[n].classes.push_back(i);
    }
    return result;
  }
};

}  // namespace kovos
