// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/clip/checkpoint.hpp"
#include "kovos/clip/embedding_cache.hpp"
#include "kovos/clip/encoded_words.hpp"
#include "kovos/clip/packed_file.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/resize_u8.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/segmentation/decode/labels.hpp"
#include "kovos/segmentation/merged_views.hpp"
#include "kovos/segmentation/segmentation.hpp"
#include "kovos/segmentation/sliding_window.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/vocabulary.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos {

/// A CAT-Seg model ready for use: network, tokenizer and execution context. Cho et al., CVPR 2024.
///
///     auto model  = CatSeg<cat_seg_vit_b16>::load("model_base.pth");
///     auto words  = model.encode({"cat", "sofa", "window"});
///     auto result = model.segment(read_image("cat.jpg"), words);
///
/// Config is the architecture (a preset or your own constexpr struct), T the storage type of the image encoder (float
/// or bf16), Exec the Kokkos execution space. One object may be used by one thread at a time; copies made with
/// `with_context` share the weights.
template <CatSegConfig Config, class T = float, class Exec = Kokkos::DefaultExecutionSpace>
class CatSeg {
 public:
  static constexpr CatSegConfig config = Config;
  using memory_space = typename Exec::memory_space;
  using Network = CatSegNetwork<Config, T, memory_space>;
  using Words = EncodedWords<memory_space>;

  /// The context keeps what it makes of the weights; they must not change, unless they are trained
  /// (TrainedParameters): then nothing is kept of those that are.
  CatSeg(Network network, Tokenizer tokenizer, Context<Exec> context = {}, EmbeddingCache cache = {})
      : network_(std::move(network)),
        tokenizer_(std::move(tokenizer)),
        context_(std::move(context)),
        cache_(std::move(cache)) {
    declare_constant(context_, network_);
  }

  /// Reads a checkpoint of this architecture: the authors' .pth, any PyTorch file or safetensors with their keys.
  /// The vocabulary is the given file, the checkpoint's own, or found beside the weights or in $KOVOS_HOME.
  /// What an earlier start left in the cache's folder (save_packed) is used. Throws FileError, CheckpointError (with
  /// the list of keys that do not fit) or TextError.
  static CatSeg load(std::filesystem::path const& weights, std::optional<std::filesystem::path> const& vocabulary = {},
                     Context<Exec> context = {}, EmbeddingCache cache = {}) {
    auto const file = with_canonical_names(read_checkpoint(weights));
    return from_tensors(file, find_vocabulary(file, weights, vocabulary), std::move(context), std::move(cache));
  }

  /// The same from tensors in memory, under their canonical names.
  static CatSeg from_tensors(NamedTensors const& tensors, Vocabulary vocabulary, Context<Exec> context = {},
                             EmbeddingCache cache = {}) {
    Network network;
    std::shared_ptr<PackedFile> packed;
    if constexpr (is_host_execution<Exec>)
      packed = std::make_shared<PackedFile>(cache.folder(), tensors, engine_name(context),
                                            std::is_same_v<T, float> ? "fp32" : "bf16");
    load_parameters_or_throw(context, network, packed ? packed->ready(tensors) : tensors, preset_name<Config>);
    CatSeg model(std::move(network), Tokenizer(std::move(vocabulary)), std::move(context), std::move(cache));
    if constexpr (is_host_execution<Exec>) packed->restore(model.context_, model.network_, tensors);
    model.packed_ = std::move(packed);
    return model;
  }

  Network const& network() const { return network_; }
  Tokenizer const& tokenizer() const { return tokenizer_; }
  Context<Exec> const& context() const { return context_; }

  /// This model on another execution space instance; the weights are shared, what is packed of them is not.
  CatSeg with_context(Context<Exec> context) const { return CatSeg(network_, tokenizer_, std::move(context), cache_); }

  /// Text features of the classes, computed once: in memory as long as you keep the result, on disk for the next start.
  /// Throws TextError for an empty list, a word that is not UTF-8, or one longer than the context; ConfigError if the
  /// number of templates is not the model's.
  Words encode(ClassList const& classes, PromptTemplates const& templates = prompt_templates("single")) const {
    require<ConfigError>(templates.size() == Config.num_templates, "[CatSeg] the model was made for ",
                         Config.num_templates, " prompt template", Config.num_templates == 1 ? "" : "s", ", got ",
                         templates.size(), "; choose another template set");
    return encode_words(context_, network_.clip_model.text, tokenizer_, classes, templates, cache_, text_encoder());
  }
  /// Each name is one class and one word.
  Words encode(std::vector<std::string> const& names) const { return encode(class_list(names)); }
  Words encode(std::initializer_list<char const*> names) const {
    return encode(class_list(std::vector<std::string>(names.begin(), names.end())));
  }

  /// Keeps what the engine made of the weights by now (PackedFile) in the cache's folder, so that the next load() maps
  /// it and reads little else. Call it after a picture: before the first one nothing is packed. About as large as the
  /// weights at this precision; writes nothing if nothing is new, if there is no folder, or if the model was not loaded
  /// from a file. Whether it wrote; throws nothing.
  bool save_packed() const {
    if constexpr (is_host_execution<Exec>) {
      if (packed_) {
        (void)text_encoder();
        return packed_->save(context_, network_);
      }
    }
    return false;
  }

  /// Labels every pixel of a picture with one of the words.
  /// Throws ShapeError for an empty picture, ConfigError for an impossible option.
  Segmentation segment(Image const& picture, Words const& words, SegmentOptions const& options = {}) const {
    Segmentation result;
    StageTimes* const times = options.time_stages ? &result.times : nullptr;
    auto const [views, logits] = look(picture, words, options, times);
    {
      Stage stage(context_, "labels", times);
      auto chosen = choose_labels(context_, MergedViews(views, logits), picture.height, picture.width,
                                  options.keep_scores ? words.names.size() : 0);
      result.names = words.names;
      result.labels = std::move(chosen.labels);
      result.confidence = std::move(chosen.confidence);
      result.scores = std::move(chosen.scores);
    }
    finish(result, options);
    return result;
  }

  /// What segment() resizes to the picture's size and compares: the score (0..1) of every word on the grid on which the
  /// views meet, near zero for words that no view computed. -> [T, h, w, 1]. Throws as segment().
  DynamicTensor<float, 4, memory_space> grid_scores(Image const& picture, Words const& words,
                                                    SegmentOptions const& options = {},
                                                    StageTimes* times = nullptr) const {
    auto const [views, logits] = look(picture, words, options, times);
    Stage stage(context_, "labels", times);
    auto const size = merged_size(views, logits);
    std::size_t const classes = words.names.size(), tile = 16;
    auto const scores = context_.template tensor<float>(classes, size[0], size[1], std::size_t{1});
    for (std::size_t first = 0; first < classes; first += tile) {
      std::size_t const count = std::min(tile, classes - first);
      assign(context_, scores.slice(first, count), merge_views_on_grid(context_, views, logits, first, count));
    }
    return scores;
  }

 private:
  /// Cuts the picture into views and takes them through the network.
  std::pair<Views<memory_space>, std::vector<ClassLogits<memory_space>>> look(Image const& picture, Words const& words,
                                                                              SegmentOptions const& options,
                                                                              StageTimes* times) const {
    require<TextError>(words.names.size() > 0, "[CatSeg] there are no words to look for");
    require_one_row_per_class(words, "CatSeg");
    require<ShapeError>(picture.height > 0 && picture.width > 0, "[CatSeg] the picture is empty");
    auto views = [&] {
      Stage stage(context_, "preprocessing", times);
      auto const [height, width] =
          shortest_edge_size(picture.height, picture.width, Config.test.short_edge, Config.test.longest_edge);
      return cut_views(context_, image_tensor(context_, resize_pillow(picture, height, width, ResizeFilter::bilinear)),
                       options.window, Config.test, Config.clip_resolution);
    }();
    typename Aggregator<Config, float, memory_space>::Options head;
    head.times = times;
    head.most_classes = options.most_classes;
    head.most_decoded = options.most_decoded;
    head.layers = options.layers;
    std::vector<ClassLogits<memory_space>> logits;
    for (auto const& view : network_.image_features(context_, views.pixels, times))
      logits.push_back(options.raw_cost_volume ? cosines(view, words)
                                               : network_.transformer(context_, view, words.features, head));
    return {std::move(views), std::move(logits)};
  }

  /// The fingerprint of the text encoder if it pays to know it: it is taken once per file of weights.
  std::optional<Fingerprint> text_encoder() const {
    if constexpr (is_host_execution<Exec>) {
      if (packed_ && !packed_->text_encoder()) packed_->set_text_encoder(fingerprint_of(network_.clip_model.text));
      if (packed_) return packed_->text_encoder();
    }
    return std::nullopt;
  }

  /// The cost volume itself, averaged over templates, in the place of logits.
  ClassLogits<memory_space> cosines(ImageFeatures<memory_space> const& view, Words const& words) const {
    auto const cost = cost_volume(context_, view.dense, words.features);  // [T, S, S, P]
    std::size_t const classes = cost.extent(0), side = cost.extent(1), templates = cost.extent(3);
    auto const mean = mean_over_axis1(
        context_, permute(context_, cost, {0, 3, 1, 2}).reshape(dynamic_extents<3>(classes, templates, side * side)));
    ClassLogits<memory_space> result{mean.reshape(dynamic_extents<3>(classes, side, side)), {}};
    for (std::size_t i = 0; i < classes; ++i) result.classes.push_back(i);
    return result;
  }

  Network network_;
  Tokenizer tokenizer_;
  Context<Exec> context_;
  EmbeddingCache cache_;
  std::shared_ptr<PackedFile> packed_;  // of models from load() only
};

}  // namespace kovos
