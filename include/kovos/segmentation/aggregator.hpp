// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/reduction.hpp"
#include "kovos/kernels/slices.hpp"
#include "kovos/kernels/tokens.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/class_aggregation.hpp"
#include "kovos/segmentation/cost_volume.hpp"
#include "kovos/segmentation/spatial_aggregation.hpp"
#include "kovos/segmentation/upsampling_decoder.hpp"

namespace kovos {

/// One aggregation layer: over space, then over classes.
template <CatSegConfig Config, class T, class Memory>
class AggregatorLayer {
 public:
  SpatialAggregation<Config.hidden_dim, Config.appearance_guidance_dim, Config.num_heads, Config.window_size,
                     Config.shift_size, T, Memory>
      swin_block;
  ClassAggregation<Config.hidden_dim, Config.text_guidance_dim, Config.num_heads, Config.pad_len,
                   Config.class_attention, T, Memory>
      attention;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    swin_block.visit(f, prefix + "swin_block.");
    attention.visit(f, prefix + "attention.");
  }
};

/// What the aggregator takes from one view of the picture.
template <class Memory>
struct ImageFeatures {
  DynamicTensor<float, 3, Memory> dense;                    // [S, S, embed_dim], CLIP's dense features
  std::array<DynamicTensor<float, 4, Memory>, 2> guidance;  // [1, 2 S, 2 S, g0], [1, 4 S, 4 S, g1], upsampled hooks
};

/// Logits of the classes that were computed; the others stand at -100.
template <class Memory>
struct ClassLogits {
  DynamicTensor<float, 3, Memory> logits;  // [K, 4 S, 4 S]
  std::vector<std::size_t> classes;        // [K], ascending
};

/// CAT-Seg's head: cost volume, its embedding, spatial and class aggregation, decoder. Keys below
/// "sem_seg_head.predictor.transformer.".
template <CatSegConfig Config, class T, class Memory>
class Aggregator {
  static constexpr std::size_t embed_dim = Config.clip.embed_dim;
  static constexpr std::size_t hidden_dim = Config.hidden_dim;

 public:
  Conv2d<Config.num_templates, hidden_dim, 7, T, Memory> conv1;
  Conv2d<embed_dim, Config.appearance_guidance_dim, 3, T, Memory> guidance_projection;
  Linear<embed_dim, Config.text_guidance_dim, T, Memory> text_guidance_projection;
  Conv2d<Config.decoder_guidance_dims[0], Config.decoder_guidance_proj_dims[0], 3, T, Memory>
      decoder_guidance_projection_0;
  Conv2d<Config.decoder_guidance_dims[1], Config.decoder_guidance_proj_dims[1], 3, T, Memory>
      decoder_guidance_projection_1;
  std::array<AggregatorLayer<Config, T, Memory>, Config.num_layers> layers;
  Up<hidden_dim, Config.decoder_dims[0], Config.decoder_guidance_proj_dims[0], T, Memory> decoder1;
  Up<Config.decoder_dims[0], Config.decoder_dims[1], Config.decoder_guidance_proj_dims[1], T, Memory> decoder2;
  Conv2d<Config.decoder_dims[1], 1, 3, T, Memory> head;

  /// How the head is run; class_tile and times leave the result what it is up to rounding.
  struct Options {
    /// Pooling of each layer's class aggregation: 1 at test time, 2 as the models were trained.
    std::array<std::size_t, Config.num_layers> pooling = ones();
    std::size_t class_tile = 8;  ///< classes per step where classes are independent and do not run side by side
    /// Only so many classes are computed, as SegmentOptions says; 0: up to pad_len.
    std::size_t most_classes = 0;
    /// Of these only so many are decoded, as SegmentOptions says; 0: all.
    std::size_t most_decoded = 0;
    std::size_t layers = 0;  ///< only the first so many aggregation layers are run; 0: all
    StageTimes* times = nullptr;

    static constexpr std::array<std::size_t, Config.num_layers> ones() {
      std::array<std::size_t, Config.num_layers> result{};
      result.fill(1);
      return result;
    }
  };

  /// image: features of one view, text: [T, P, embed_dim] unit vectors -> logits [min(T, pad_len), 4 S, 4 S].
  /// With more than pad_len classes only those with the highest peak in the cost volume are kept, as the authors do.
  template <execution_context C, class Observer = Unobserved>
  ClassLogits<Memory> operator()(C const& context, ImageFeatures<Memory> const& image,
                                 DynamicTensor<float, 3, Memory> const& text, Options const& options = {},
                                 Observer const& observe = {}) const {
    require_extent("Aggregator", "text.extent(1), the number of prompt templates,", text.extent(1),
                   Config.num_templates);
    std::size_t const layers_to_run = aggregation_layers(Config, options.layers);
    ClassLogits<Memory> result;
    auto words = text;
    auto cost = [&] {
      Stage stage(context, "cost volume", options.times);
      return cost_volume(context, image.dense, text);  // [T, S, S, P]
    }();
    observe("agg.corr", cost);
    result.classes = strongest_classes(
        context, cost, options.most_classes == 0 ? Config.pad_len : std::min(options.most_classes, Config.pad_len));
    if (result.classes.size() < text.extent(0)) {
      auto const kept = index_tensor(context, result.classes);
      words = gather_rows(context, text, kept);
      cost = gather_rows(context, cost, kept);
    }
    std::size_t classes = result.classes.size();
    std::size_t const height = cost.extent(1), width = cost.extent(2);

    auto appearance = [&] {
      Stage stage(context, "guidance", options.times);
      return guidance_projection(context, as_batch(image.dense), Activation::relu);  // [1, S, S, G]
    }();
    observe("agg.guidance", appearance);
    auto const mean_words = mean_over_templates(context, words);  // [T, embed_dim]
    observe("agg.text_mean", mean_words);
    auto const text_guidance = text_guidance_projection(context, mean_words, Activation::relu);  // [T, G]
    observe("agg.text_guidance", text_guidance);

    auto x = [&] {
      Stage stage(context, "cost embedding", options.times);
      return map_slices(context, "kovos::cost embedding", cost, dynamic_extents<4>(classes, height, width, hidden_dim),
                        options.class_tile, Unobserved{},
                        [this](auto const& c, auto const& maps, auto const&) { return conv1(c, maps); });
    }();  // [T, S, S, C]
    observe("agg.corr_embed", x);
    std::size_t index = 0;
    for (auto const& layer : std::span(layers).first(layers_to_run)) {
      std::string const name = "agg.layer" + std::to_string(index) + ".";
      auto const observe_part = observe_below(observe, name);
      {
        Stage stage(context, "spatial aggregation", options.times);
        auto const guidance = layer.swin_block.project_guidance(context, appearance, observe_part);
        x = map_slices_in_place(context, "kovos::spatial aggregation", x, options.class_tile, observe_part,
                                [&layer, &guidance](auto const& c, auto const& maps, auto const& watch) {
                                  return block_of_layers(
                                      c,
                                      [&layer, guidance, watch](auto const& inner, auto const& v) {
                                        return layer.swin_block(inner, v, guidance, watch);
                                      },
                                      maps);
                                });
      }
      observe(name + "spatial", x);
      {
        Stage stage(context, "class aggregation", options.times);
        x = block_of_layers(
            context,
            [&layer, text_guidance, pooling = options.pooling[index],
             watch = observe_inside_block(context, observe_part)](auto const& c, auto const& v) {
              return layer.attention(c, v, text_guidance, pooling, watch);
            },
            x);
      }
      observe(name + "class", x);
      ++index;
    }

    Stage stage(context, "decoder", options.times);
    auto const guidance_0 = decoder_guidance_projection_0(context, image.guidance[0], Activation::relu);
    auto const guidance_1 = decoder_guidance_projection_1(context, image.guidance[1], Activation::relu);
    observe("agg.dec_guidance0", guidance_0);
    observe("agg.dec_guidance1", guidance_1);
    // -> [T, 4 S / pooling, 4 S / pooling]: logits of the maps averaged over pooling x pooling positions.
    auto const decode = [&](char const* label, std::size_t pooling, auto const& watch_all) {
      auto const guided_0 = decoder1.prepare(context, average_pool2d(context, guidance_0, pooling));
      auto const guided_1 = decoder2.prepare(context, average_pool2d(context, guidance_1, pooling));
      return map_slices(context, label, x, dynamic_extents<3>(classes, 4 * height / pooling, 4 * width / pooling),
                        options.class_tile, watch_all, [&](auto const& c, auto const& maps, auto const& watch) {
                          return block_of_layers(
                              c,
                              [this, guided_0, guided_1, pooling, watch](auto const& inner, auto const& v) {
                                auto const pooled = average_pool2d(inner, v, pooling);
                                auto const y = decoder1.from_prepared(inner, pooled, guided_0);  // [t, 2 S, 2 S, d0]
                                auto const z = decoder2.from_prepared(inner, y, guided_1);       // [t, 4 S, 4 S, d1]
                                if constexpr (is_observed<decltype(watch)>) {
                                  auto const plain = plain_copy(inner, y);
                                  watch("dec.up1", decoder1.up(inner, pooled));
                                  watch("dec.out1", plain);
                                  watch("dec.up2", decoder2.up(inner, plain));
                                  watch("dec.out2", plain_copy(inner, z));
                                }
                                return head(inner, z);
                              },
                              maps);
                        });
    };
    // Peaks survive averaging 2 x 2 positions; with 4 x 4 small things begin to be lost (docs/performance.md).
    std::size_t const most = options.most_decoded;
    if (most > 0 && most < classes && height % 2 == 0 && width % 2 == 0) {
      auto const kept = strongest_classes(context, decode("kovos::coarse decoder", 2, Unobserved{}), most);
      x = gather_rows(context, x, index_tensor(context, kept));
      for (std::size_t i = 0; i < most; ++i) result.classes[i] = result.classes[kept[i]];
      result.classes.resize(most);
      classes = most;
    }
    result.logits = decode("kovos::decoder", 1, observe);
    observe("logits", result.logits);
    return result;
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    conv1.visit(f, prefix + "conv1.");
    guidance_projection.visit(f, prefix + "guidance_projection.0.");
    text_guidance_projection.visit(f, prefix + "text_guidance_projection.0.");
    decoder_guidance_projection_0.visit(f, prefix + "decoder_guidance_projection.0.0.");
    decoder_guidance_projection_1.visit(f, prefix + "decoder_guidance_projection.1.0.");
    visit_list(layers, f, prefix + "layers.");
    decoder1.visit(f, prefix + "decoder1.");
    decoder2.visit(f, prefix + "decoder2.");
    head.visit(f, prefix + "head.");
  }

 private:
  static DynamicTensor<float, 4, Memory> as_batch(DynamicTensor<float, 3, Memory> const& x) {
    return x.reshape(dynamic_extents<4>(1, x.extent(0), x.extent(1), x.extent(2)));
  }

  /// A map for an observer, that the next layer may still read as it is.
  template <execution_context C>
  static DynamicTensor<float, 4, Memory> plain_copy(C const& context, ScaledMap<Memory> const& map) {
    return apply_scaling(context, {copy_of(context, map.x), map.scaling});
  }

  template <execution_context C>
  static auto index_tensor(C const& context, std::vector<std::size_t> const& indices) {
    Tensor<std::int32_t, dynamic_extents<1>> host(dynamic_extents<1>{indices.size()});
    for (std::size_t i = 0; i < indices.size(); ++i) host(i) = static_cast<std::int32_t>(indices[i]);
    return to_device(context, host);
  }

  /// The so many classes with the highest value anywhere (of cosines, as the authors' Aggregator does above 256
  /// classes), or all if there are no more. maps: [T, ...]. Ascending.
  template <execution_context C, class V>
  static std::vector<std::size_t> strongest_classes(C const& context, V const& maps, std::size_t most) {
    std::size_t const classes = maps.extent(0);
    if (classes <= most) {
      std::vector<std::size_t> all(classes);
      for (std::size_t i = 0; i < classes; ++i) all[i] = i;
      return all;
    }
    auto const peaks =
        to_host(context, row_maximum(context, maps.reshape(dynamic_extents<2>(classes, maps.size() / classes))));
    return top_k(peaks.data(), classes, most);
  }

  /// [T, P, D] -> [T, D]: the mean over templates, divided by its norm.
  template <execution_context C>
  static auto mean_over_templates(C const& context, DynamicTensor<float, 3, Memory> const& text) {
    std::size_t const classes = text.extent(0), templates = text.extent(1), depth = text.extent(2);
    if (templates == 1) return l2_normalize(context, text.reshape(dynamic_extents<2>(classes, depth)));
    return l2_normalize(context, mean_over_axis1(context, text));
  }
};

}  // namespace kovos
