// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/selection.hpp"
#include "kovos/kernels/slices.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/class_aggregation.hpp"
#include "kovos/segmentation/cost_volume.hpp"
#include "kovos/segmentation/spatial_aggregation.hpp"
#include "kovos/segmentation/upsampling_decoder.hpp"

namespace kovos {

/// The parts that an aggregation layer consists of. A head with others takes a struct like this one in its place.
template <CatSegConfig Config, class T, class Memory>
struct AggregationParts {
  using Spatial = SpatialAggregation<Config.hidden_dim, Config.appearance_guidance_dim, Config.num_heads,
                                     Config.window_size, Config.shift_size, T, Memory>;
  using ByClass = ClassAggregation<Config.hidden_dim, Config.text_guidance_dim, Config.num_heads, Config.pad_len,
                                   Config.class_attention, T, Memory>;
};

/// One aggregation layer: over space, then over classes.
template <class Parts>
class AggregatorLayer {
 public:
  typename Parts::Spatial swin_block;
  typename Parts::ByClass attention;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    swin_block.visit(f, prefix + "swin_block.");
    attention.visit(f, prefix + "attention.");
  }
};

/// What the aggregator takes from N views of a picture.
template <class Memory>
struct ImageFeatures {
  DynamicTensor<float, 4, Memory> dense;                    // [N, S, S, embed_dim], CLIP's dense features
  std::array<DynamicTensor<float, 4, Memory>, 2> guidance;  // [N, 2 S, 2 S, g0], [N, 4 S, 4 S, g1], upsampled hooks

  std::size_t views() const { return dense.extent(0); }
  /// The views [first, first + count); shares memory.
  ImageFeatures slice(std::size_t first, std::size_t count) const {
    return {dense.slice(first, count), {guidance[0].slice(first, count), guidance[1].slice(first, count)}};
  }
};

/// Logits of the classes of one view that were computed; the others stand at -100.
template <class Memory>
struct ClassLogits {
  DynamicTensor<float, 3, Memory> logits;  // [K, 4 S, 4 S]
  std::vector<std::size_t> classes;        // [K], ascending
};

/// CAT-Seg's head: cost volume, its embedding, spatial and class aggregation, decoder. Keys below
/// "sem_seg_head.predictor.transformer.". Maps of several views of a picture go through together: [N * K, ...] are K
/// classes of each of N views, one view after the other.
template <CatSegConfig Config, class T, class Memory, class Parts = AggregationParts<Config, T, Memory>>
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
  std::array<AggregatorLayer<Parts>, Config.num_layers> layers;
  Up<hidden_dim, Config.decoder_dims[0], Config.decoder_guidance_proj_dims[0], T, Memory> decoder1;
  Up<Config.decoder_dims[0], Config.decoder_dims[1], Config.decoder_guidance_proj_dims[1], T, Memory> decoder2;
  Conv2d<Config.decoder_dims[1], 1, 3, T, Memory> head;

  using Map = DynamicTensor<float, 4, Memory>;

  /// How the head is run; class_tile, views and times leave the result what it is up to rounding.
  struct Options {
    /// Pooling of each layer's class aggregation: 1 at test time, 2 as the models were trained.
    std::array<std::size_t, Config.num_layers> pooling = ones();
    std::size_t class_tile = 8;  ///< classes per step where classes are independent and do not run side by side
    /// Only so many classes are computed, as SegmentOptions says; 0: up to pad_len.
    std::size_t most_classes = 0;
    /// Of these only so many are decoded, as SegmentOptions says; 0: all.
    std::size_t most_decoded = 0;
    std::size_t layers = 0;  ///< only the first so many aggregation layers are run; 0: all
    std::size_t views = 0;   ///< so many views at a time; 0: as views_at_once says
    StageTimes* times = nullptr;

    static constexpr std::array<std::size_t, Config.num_layers> ones() {
      std::array<std::size_t, Config.num_layers> result{};
      result.fill(1);
      return result;
    }
  };

  /// What is taken from the words, once for all views.
  struct Words {
    DynamicTensor<float, 2, Memory> mean;      // [T, embed_dim], over templates
    DynamicTensor<float, 2, Memory> guidance;  // [T, text_guidance_dim]
    std::array<typename Parts::ByClass::Words, Config.num_layers> layers;
  };

  /// How many views go through the head together unless Options says so: as many as give each thread eight class maps
  /// to work on, so that none waits long for another, but no more than have together as many class maps as a single
  /// view may have, and no larger a cost volume than those maps: a batch needs no more memory than one view of pad_len
  /// classes. computed: of the classes, how many go through the layers.
  static std::size_t views_at_once(std::size_t classes, std::size_t computed, std::size_t threads) {
    std::size_t const maps = std::max<std::size_t>(1, computed), cosines = classes * Config.num_templates;
    std::size_t const wanted = (8 * threads + maps - 1) / maps;
    std::size_t const fitting =
        std::min(Config.pad_len / maps, Config.pad_len * hidden_dim / std::max<std::size_t>(1, cosines));
    return std::max<std::size_t>(1, std::min(wanted, fitting));
  }

  /// image: features of N views, text: [T, P, embed_dim] unit vectors -> of each view logits [min(T, pad_len), 4 S,
  /// 4 S]. With more than pad_len classes only those with the highest peak in the view's cost volume are kept, as the
  /// authors do. An observer sees the views together that are run together.
  template <execution_context C, class Observer = Unobserved>
  std::vector<ClassLogits<Memory>> operator()(C const& context, ImageFeatures<Memory> const& image,
                                              DynamicTensor<float, 3, Memory> const& text, Options const& options = {},
                                              Observer const& observe = {}) const {
    require_extent("Aggregator", "text.extent(1), the number of prompt templates,", text.extent(1),
                   Config.num_templates);
    for (auto const& guidance : image.guidance)
      require_extent("Aggregator", "the number of views of the guidance", guidance.extent(0), image.views());
    std::size_t const classes = text.extent(0), computed = computed_classes(classes, options);
    auto const threads = static_cast<std::size_t>(context.exec().concurrency());
    std::size_t const most = options.views == 0 ? views_at_once(classes, computed, threads) : options.views;
    auto const words = project_words(context, text, options);
    std::vector<ClassLogits<Memory>> result;
    for (std::size_t first = 0; first < image.views(); first += most)
      for (auto& logits :
           run(context, image.slice(first, std::min(most, image.views() - first)), text, words, options, observe))
        result.push_back(std::move(logits));
    return result;
  }

  /// What the layers take from the words, for as many classes as are computed.
  template <execution_context C>
  Words project_words(C const& context, DynamicTensor<float, 3, Memory> const& text, Options const& options) const {
    Stage stage(context, "class aggregation", options.times);
    Words words;
    words.mean = mean_over_templates(context, text);
    words.guidance = text_guidance_projection(context, words.mean, Activation::relu);
    std::size_t const computed = computed_classes(text.extent(0), options);
    for (std::size_t i = 0; i < aggregation_layers(Config, options.layers); ++i)
      words.layers[i] = layers[i].attention.project_words(context, words.guidance, computed);
    return words;
  }

  /// Takes the maps of N views through the layers. dense: [N, S, S, embed_dim] of ImageFeatures, x: [N * K, S, S, C],
  /// overwritten where the context allows it, words: of K classes, or of N * K -> [N * K, S, S, C].
  template <execution_context C, class Observer = Unobserved>
  Map aggregate(C const& context, Map const& dense, Map x, Words const& words, Options const& options,
                Observer const& observe = {}) const {
    std::size_t const views = dense.extent(0);
    auto const appearance = [&] {
      Stage stage(context, "guidance", options.times);
      return guidance_projection(context, dense, Activation::relu);  // [N, S, S, G]
    }();
    observe("agg.guidance", appearance);
    std::size_t index = 0;
    for (auto const& layer : std::span(layers).first(aggregation_layers(Config, options.layers))) {
      std::string const name = "agg.layer" + std::to_string(index) + ".";
      auto const observe_part = observe_below(observe, name);
      {
        Stage stage(context, "spatial aggregation", options.times);
        auto const guidance = layer.swin_block.project_guidance(context, appearance, observe_part);
        x = map_slices_in_place(
            context, "kovos::spatial aggregation", x, SliceTiles{options.class_tile, views}, observe_part,
            [&](auto const& c, auto const& maps, std::size_t view, auto const& watch) {
              return block_of_layers(
                  c,
                  [&layer, of_view = guidance.of_view(view, views), watch](auto const& inner, auto const& v) {
                    return layer.swin_block(inner, v, of_view, watch);
                  },
                  maps);
            });
      }
      observe(name + "spatial", x);
      {
        Stage stage(context, "class aggregation", options.times);
        x = block_of_layers(
            context,
            [&layer, of_layer = words.layers[index], views, pooling = options.pooling[index],
             watch = observe_inside_block(context, observe_part)](auto const& c, auto const& v) {
              return layer.attention(c, v, of_layer, views, pooling, watch);
            },
            x);
      }
      observe(name + "class", x);
      ++index;
    }
    return x;
  }

  /// What the decoder takes from N views: [N, 2 S, 2 S, p0], [N, 4 S, 4 S, p1].
  template <execution_context C, class Observer = Unobserved>
  std::array<Map, 2> project_decoder_guidance(C const& context, ImageFeatures<Memory> const& image,
                                              Observer const& observe = {}) const {
    auto const first = decoder_guidance_projection_0(context, image.guidance[0], Activation::relu);
    auto const second = decoder_guidance_projection_1(context, image.guidance[1], Activation::relu);
    observe("agg.dec_guidance0", first);
    observe("agg.dec_guidance1", second);
    return {first, second};
  }

  /// Upsamples the maps of N views twice and takes them through a last layer. x: [N * K, S, S, C], guidance: of
  /// project_decoder_guidance, last(context, [k, 4 S, 4 S, d1], a ScaledMap where it may be) -> `channels` numbers per
  /// pixel -> [N * K, 4 S / pooling, 4 S / pooling, channels], of the maps averaged over pooling x pooling positions.
  template <execution_context C, class Last, class Observer = Unobserved>
  Map decode(C const& context, Map const& x, std::array<Map, 2> const& guidance, std::size_t channels, Last const& last,
             Options const& options, std::size_t pooling = 1, Observer const& observe = {}) const {
    std::size_t const views = guidance[0].extent(0);
    auto const prepare = [&](auto const& up, Map const& maps) {
      auto const pooled = average_pool2d(context, maps, pooling);
      std::vector<decltype(up.prepare(context, pooled))> prepared;
      for (std::size_t n = 0; n < views; ++n) prepared.push_back(up.prepare(context, pooled.slice(n, 1)));
      return prepared;
    };
    auto const guided_0 = prepare(decoder1, guidance[0]);
    auto const guided_1 = prepare(decoder2, guidance[1]);
    dynamic_extents<4> const extents(x.extent(0), 4 * x.extent(1) / pooling, 4 * x.extent(2) / pooling, channels);
    return map_slices(context, pooling == 1 ? "kovos::decoder" : "kovos::coarse decoder", x, extents,
                      SliceTiles{options.class_tile, views}, observe,
                      [&](auto const& c, auto const& maps, std::size_t view, auto const& watch) {
                        return block_of_layers(
                            c,
                            [this, of_view_0 = guided_0[view], of_view_1 = guided_1[view], pooling, last, watch](
                                auto const& inner, auto const& v) {
                              auto const pooled = average_pool2d(inner, v, pooling);
                              auto const y = decoder1.from_prepared(inner, pooled, of_view_0);  // [k, 2 S, 2 S, d0]
                              auto const z = decoder2.from_prepared(inner, y, of_view_1);       // [k, 4 S, 4 S, d1]
                              if constexpr (is_observed<decltype(watch)>) {
                                auto const plain = plain_copy(inner, y);
                                watch("dec.up1", decoder1.up(inner, pooled));
                                watch("dec.out1", plain);
                                watch("dec.up2", decoder2.up(inner, plain));
                                watch("dec.out2", plain_copy(inner, z));
                              }
                              return last(inner, z);
                            },
                            maps);
                      });
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
  /// All of some views at once.
  template <execution_context C, class Observer>
  std::vector<ClassLogits<Memory>> run(C const& context, ImageFeatures<Memory> const& image,
                                       DynamicTensor<float, 3, Memory> const& text, Words words, Options const& options,
                                       Observer const& observe) const {
    std::size_t const views = image.views(), computed = computed_classes(text.extent(0), options);
    auto cost = [&] {
      Stage stage(context, "cost volume", options.times);
      return cost_volume(context, image.dense, text);  // [N * T, S, S, P]
    }();
    observe("agg.corr", cost);
    auto kept = strongest_classes(context, cost, views, computed);
    if (computed < text.extent(0)) {
      cost = gather_rows(context, cost, row_index(context, kept, text.extent(0)));
      auto const index = row_index(context, kept, 0);
      words.mean = gather_rows(context, words.mean, index);
      words.guidance = gather_rows(context, words.guidance, index);
      for (std::size_t i = 0; i < aggregation_layers(Config, options.layers); ++i)
        words.layers[i] = words.layers[i].at(context, index);
    }
    observe("agg.text_mean", words.mean);
    observe("agg.text_guidance", words.guidance);
    std::size_t const height = cost.extent(1), width = cost.extent(2);
    auto x = [&] {
      Stage stage(context, "cost embedding", options.times);
      dynamic_extents<4> const extents(views * computed, height, width, hidden_dim);
      return map_slices(context, "kovos::cost embedding", cost, extents, SliceTiles{options.class_tile, views},
                        Unobserved{},
                        [this](auto const& c, auto const& maps, std::size_t, auto const&) { return conv1(c, maps); });
    }();  // [N * K, S, S, C]
    observe("agg.corr_embed", x);
    x = aggregate(context, image.dense, std::move(x), words, options, observe);

    Stage stage(context, "decoder", options.times);
    auto const guidance = project_decoder_guidance(context, image, observe);
    auto const last = [this](auto const& c, auto const& z) { return head(c, z); };
    // Peaks survive averaging 2 x 2 positions; with 4 x 4 small things begin to be lost (docs/performance.md).
    std::size_t const most = options.most_decoded;
    if (most > 0 && most < computed && height % 2 == 0 && width % 2 == 0) {
      auto const strongest = strongest_classes(context, decode(context, x, guidance, 1, last, options, 2), views, most);
      x = gather_rows(context, x, row_index(context, strongest, computed));
      for (std::size_t n = 0; n < views; ++n) {
        auto const all = std::move(kept[n]);
        kept[n].clear();
        for (std::size_t const place : strongest[n]) kept[n].push_back(all[place]);
      }
    }
    std::size_t const decoded = kept[0].size();
    auto const logits = decode(context, x, guidance, 1, last, options, 1, observe)
                            .reshape(dynamic_extents<3>(views * decoded, 4 * height, 4 * width));
    observe("logits", logits);
    std::vector<ClassLogits<Memory>> result;
    for (std::size_t n = 0; n < views; ++n) result.push_back({logits.slice(n * decoded, decoded), std::move(kept[n])});
    return result;
  }

  /// How many of the classes go through the layers, in each view.
  static std::size_t computed_classes(std::size_t classes, Options const& options) {
    std::size_t const most =
        options.most_classes == 0 ? Config.pad_len : std::min(options.most_classes, Config.pad_len);
    return std::min(classes, most);
  }

  /// A map for an observer, that the next layer may still read as it is.
  template <execution_context C>
  static DynamicTensor<float, 4, Memory> plain_copy(C const& context, ScaledMap<Memory> const& map) {
    return apply_scaling(context, {copy_of(context, map.x), map.scaling});
  }

  /// The places of each view's classes in rows of which every view has `of_view`, one view after the other; 0: where
  /// they share them.
  template <execution_context C>
  static auto row_index(C const& context, std::vector<std::vector<std::size_t>> const& classes, std::size_t of_view) {
    std::size_t const count = classes[0].size();
    Tensor<std::int32_t, dynamic_extents<1>> host(dynamic_extents<1>{classes.size() * count});
    for (std::size_t n = 0; n < classes.size(); ++n)
      for (std::size_t i = 0; i < count; ++i)
        host(n * count + i) = static_cast<std::int32_t>(n * of_view + classes[n][i]);
    return to_device(context, host);
  }

  /// Of each view the so many classes with the highest value anywhere (of cosines, as the authors' Aggregator does
  /// above 256 classes), or all if there are no more. maps: [N * T, ...]. Ascending.
  template <execution_context C, class V>
  static std::vector<std::vector<std::size_t>> strongest_classes(C const& context, V const& maps, std::size_t views,
                                                                 std::size_t most) {
    std::size_t const rows = maps.extent(0), classes = rows / views;
    std::vector<std::vector<std::size_t>> result(views);
    if (classes <= most) {
      for (auto& all : result)
        for (std::size_t i = 0; i < classes; ++i) all.push_back(i);
      return result;
    }
    auto const peaks =
        to_host(context, row_maximum(context, maps.reshape(dynamic_extents<2>(rows, maps.size() / rows))));
    for (std::size_t n = 0; n < views; ++n) result[n] = top_k(peaks.data() + n * classes, classes, most);
    return result;
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
