// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/clip/embedding_cache.hpp"
#include "kovos/clip/encoded_words.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/nn/start_cache.hpp"
#include "kovos/segmentation/decode/labels.hpp"
#include "kovos/segmentation/decode/mask_classes.hpp"
#include "kovos/segmentation/outputs.hpp"
#include "kovos/segmentation/segmentation.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/text/prompt_rows.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/vocabulary.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos {

/// What a Segmenter asks of a network: parameters (visit) and mathematics, but no files, no cache and no tokenizer.
///
/// - `config`, its constexpr configuration; `name` and `preset`, what messages call the model and the configuration;
///   `storage`, the type of its weights ("fp32", "bf16").
/// - `text_encoder()`, and how words become rows: `rows`, `num_templates` (0: any number) and `default_templates`. With
///   a `void_row()`, [P, embed_dim], words get it as their last row.
/// - `canonical_names(file)`, if its checkpoints are not CAT-Seg's or CLIP's (with_canonical_names): the tensors of a
///   file under the names that visit() gives.
/// - `output(context, picture, words, options, times)`: what it says of a picture, as a class_map_source or a MaskSet
///   whose masks cover the picture.
template <class N, class Exec>
concept segmenter_network = requires(N const& network, Context<Exec> const& context, Image const& picture,
                                     EncodedWords<typename Exec::memory_space> const& words,
                                     SegmentOptions const& options, StageTimes* times) {
  N::config;
  { N::name } -> std::convertible_to<std::string_view>;
  { N::preset } -> std::convertible_to<std::string_view>;
  { N::storage } -> std::convertible_to<std::string_view>;
  { N::rows } -> std::convertible_to<RowOptions>;
  { N::num_templates } -> std::convertible_to<std::size_t>;
  { N::default_templates } -> std::convertible_to<std::string_view>;
  network.text_encoder();
  network.output(context, picture, words, options, times);
};

/// A network ready for use: its weights, tokenizer, execution context and what is kept on disk between starts. Net is
/// the network (segmenter_network), Exec the Kokkos execution space. One object may be used by one thread at a time;
/// copies made with `with_context` share the weights. CatSeg is one.
template <class Net, class Exec = Kokkos::DefaultExecutionSpace>
requires segmenter_network<Net, Exec>
class Segmenter {
 public:
  static constexpr auto config = Net::config;
  using memory_space = typename Exec::memory_space;
  using Network = Net;
  using Words = EncodedWords<memory_space>;

  /// The context keeps what it makes of the weights; they must not change, unless they are trained
  /// (TrainedParameters): then nothing is kept of those that are.
  Segmenter(Network network, Tokenizer tokenizer, Context<Exec> context = {}, EmbeddingCache cache = {})
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
  static Segmenter load(std::filesystem::path const& weights,
                        std::optional<std::filesystem::path> const& vocabulary = {}, Context<Exec> context = {},
                        EmbeddingCache cache = {});

  /// The same from tensors in memory, under their canonical names.
  static Segmenter from_tensors(NamedTensors const& tensors, Vocabulary vocabulary, Context<Exec> context = {},
                                EmbeddingCache cache = {});

  Network const& network() const { return network_; }
  Tokenizer const& tokenizer() const { return tokenizer_; }
  Context<Exec> const& context() const { return context_; }

  /// This model on another execution space instance; the weights are shared, what is packed of them is not.
  Segmenter with_context(Context<Exec> context) const {
    return Segmenter(network_, tokenizer_, std::move(context), cache_);
  }

  /// Text features of the classes, computed once: in memory as long as you keep the result, on disk for the next start.
  /// Throws TextError for an empty list, a word that is not UTF-8, or one longer than the context; ConfigError if the
  /// number of templates is not the model's.
  Words encode(ClassList const& classes,
               PromptTemplates const& templates = prompt_templates(Net::default_templates)) const;
  /// Each name is one class and one word.
  Words encode(std::vector<std::string> const& names) const { return encode(class_list(names)); }
  Words encode(std::initializer_list<char const*> names) const {
    return encode(class_list(std::vector<std::string>(names.begin(), names.end())));
  }

  /// Keeps what the engine made of the weights by now (StartCache) in the cache's folder, so that the next load() maps
  /// it and reads little else. Call it after a picture: before the first one nothing is packed. About as large as the
  /// weights at this precision; writes nothing if nothing is new, if there is no folder, or if the model was not loaded
  /// from a file. Whether it wrote; throws nothing.
  bool save_packed() const;

  /// What the network says of a picture, for a decoder of your choice (segmentation/decode/): class maps or a MaskSet.
  /// Throws TextError if there are no words, ShapeError for an empty picture, ConfigError for an impossible option.
  auto output(Image const& picture, Words const& words, SegmentOptions const& options = {},
              StageTimes* times = nullptr) const {
    require<TextError>(words.names.size() > 0, "[", Net::name, "] there are no words to look for");
    require<ShapeError>(picture.height > 0 && picture.width > 0, "[", Net::name, "] the picture is empty");
    return network_.output(context_, picture, words, options, times);
  }

  /// Labels every pixel of a picture with one of the words. Throws as output().
  Segmentation segment(Image const& picture, Words const& words, SegmentOptions const& options = {}) const;

  /// What segment() resizes to the picture's size and compares: the score of every word on the network's own grid, 0
  /// for words without a map. -> [T, h, w, 1]. Throws as output().
  DynamicTensor<float, 4, memory_space> grid_scores(Image const& picture, Words const& words,
                                                    SegmentOptions const& options = {},
                                                    StageTimes* times = nullptr) const;

 private:
  static NamedTensors canonical_names(NamedTensors const& file) {
    if constexpr (requires { Net::canonical_names(file); }) return Net::canonical_names(file);
    else return with_canonical_names(file);
  }

  /// Class maps of what the network said: masks are resized first, if a size is given, as their authors do.
  template <class Output>
  decltype(auto) class_maps(Output const& said, std::size_t height = 0, std::size_t width = 0) const {
    if constexpr (class_map_source<Output, Exec>) {
      return (said);
    } else {
      std::size_t const h = said.masks.extent(1), w = said.masks.extent(2);
      return MaskClassMaps(context_, height == 0 ? said : resize_masks(context_, said, {h, w, h, w}, height, width));
    }
  }

  /// The fingerprint of the text encoder if it pays to know it: it is taken once per file of weights.
  std::optional<Fingerprint> text_fingerprint() const {
    if constexpr (is_host_execution<Exec>) {
      if (packed_ && !packed_->text_encoder()) packed_->set_text_encoder(fingerprint_of(network_.text_encoder()));
      if (packed_) return packed_->text_encoder();
    }
    return std::nullopt;
  }

  Network network_;
  Tokenizer tokenizer_;
  Context<Exec> context_;
  EmbeddingCache cache_;
  std::shared_ptr<StartCache> packed_;  // of models from load() only
};

// Not in the class, where they would be inline: what is inline is instantiated even where it is linked.

template <class Net, class Exec>
requires segmenter_network<Net, Exec> Segmenter<Net, Exec> Segmenter<Net, Exec>::load(
    std::filesystem::path const& weights, std::optional<std::filesystem::path> const& vocabulary, Context<Exec> context,
    EmbeddingCache cache) {
  auto const file = canonical_names(read_checkpoint(weights));
  return from_tensors(file, find_vocabulary(file, weights, vocabulary), std::move(context), std::move(cache));
}

template <class Net, class Exec>
requires segmenter_network<Net, Exec> Segmenter<Net, Exec> Segmenter<Net, Exec>::from_tensors(
    NamedTensors const& tensors, Vocabulary vocabulary, Context<Exec> context, EmbeddingCache cache) {
  Network network;
  std::shared_ptr<StartCache> packed;
  if constexpr (is_host_execution<Exec>)
    packed = std::make_shared<StartCache>(cache.folder(), tensors, engine_name(context), std::string(Net::storage));
  load_parameters_or_throw(context, network, packed ? packed->ready(tensors) : tensors, Net::preset);
  Segmenter model(std::move(network), Tokenizer(std::move(vocabulary)), std::move(context), std::move(cache));
  if constexpr (is_host_execution<Exec>) packed->restore(model.context_, model.network_, tensors);
  model.packed_ = std::move(packed);
  return model;
}

template <class Net, class Exec>
requires segmenter_network<Net, Exec>
auto Segmenter<Net, Exec>::encode(ClassList const& classes, PromptTemplates const& templates) const -> Words {
  require<ConfigError>(Net::num_templates == 0 || templates.size() == Net::num_templates, "[", Net::name,
                       "] the model was made for ", Net::num_templates, " prompt template",
                       Net::num_templates == 1 ? "" : "s", ", got ", templates.size(), "; choose another template set");
  auto words = encode_words(context_, network_.text_encoder(), tokenizer_, classes, templates, cache_,
                            text_fingerprint(), Net::rows);
  if constexpr (requires { network_.void_row(); }) return with_void_row(context_, words, network_.void_row());
  else return words;
}

template <class Net, class Exec>
requires segmenter_network<Net, Exec>
bool Segmenter<Net, Exec>::save_packed() const {
  if constexpr (is_host_execution<Exec>) {
    if (packed_) {
      (void)text_fingerprint();
      return packed_->save(context_, network_);
    }
  }
  return false;
}

template <class Net, class Exec>
requires segmenter_network<Net, Exec> Segmentation Segmenter<Net, Exec>::segment(Image const& picture,
                                                                                 Words const& words,
                                                                                 SegmentOptions const& options)
const {
  Segmentation result;
  StageTimes* const times = options.time_stages ? &result.times : nullptr;
  auto const said = output(picture, words, options, times);
  {
    Stage stage(context_, "labels", times);
    auto chosen = choose_labels(context_, class_maps(said, picture.height, picture.width), picture.height,
                                picture.width, options.keep_scores ? words.names.size() : 0);
    result.names = words.names;
    result.labels = std::move(chosen.labels);
    result.confidence = std::move(chosen.confidence);
    result.scores = std::move(chosen.scores);
  }
  finish(result, options);
  return result;
}

template <class Net, class Exec>
requires segmenter_network<Net, Exec>
auto Segmenter<Net, Exec>::grid_scores(Image const& picture, Words const& words, SegmentOptions const& options,
                                       StageTimes* times) const -> DynamicTensor<float, 4, memory_space> {
  auto const said = output(picture, words, options, times);
  Stage stage(context_, "labels", times);
  auto const& maps = class_maps(said);
  auto const& classes = maps.classes();
  auto const [height, width] = maps.size();
  auto const scores = context_.template tensor<float>(words.names.size(), height, width, std::size_t{1});
  if (classes.size() < words.names.size()) fill(context_, scores, 0.0f);
  std::size_t const tile = 16;
  for (std::size_t first = 0; first < classes.size(); first += tile) {
    std::size_t const count = std::min(tile, classes.size() - first);
    auto const part = maps.tile(context_, first, count);
    for (std::size_t t = 0; t < count; ++t) assign(context_, scores.slice(classes[first + t], 1), part.slice(t, 1));
  }
  return scores;
}

}  // namespace kovos
