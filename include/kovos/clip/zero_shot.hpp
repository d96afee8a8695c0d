// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/architecture.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/clip/config.hpp"
#include "kovos/clip/embedding_cache.hpp"
#include "kovos/clip/encoded_words.hpp"
#include "kovos/clip/preprocess.hpp"
#include "kovos/clip/presets.hpp"
#include "kovos/clip/settings.hpp"
#include "kovos/clip/settings_beside.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/preset.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/softmax.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/vocabulary.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos {

/// Zero-shot classification of whole pictures with plain CLIP. Radford et al. 2021, section 3.1.
template <ClipConfig Config, class T = float, class Exec = Kokkos::DefaultExecutionSpace>
class Clip {
 public:
  using memory_space = typename Exec::memory_space;
  using Words = EncodedWords<memory_space>;
  using Model = ClipModel<Config, T, memory_space>;

  /// The context keeps what it makes of the weights; they must not change, unless they are trained
  /// (TrainedParameters): then nothing is kept of those that are.
  Clip(Model model, Tokenizer tokenizer, Context<Exec> context = {}, ClipSettings const& settings = settings_of(Config))
      : model_(std::move(model)), tokenizer_(std::move(tokenizer)), context_(std::move(context)), settings_(settings) {
    if constexpr (requires { model_.visual.activation; }) model_.visual.activation = settings.image_activation;
    model_.text.activation = settings.text_activation;
    declare_constant(context_, model_);
  }

  /// Reads OpenAI's archive, a state dict with its names, open_clip's or Hugging Face's files of this architecture,
  /// with the activation and normalisation that are told beside the weights (find_clip_settings), else the
  /// configuration's. Throws FileError, CheckpointError or TextError.
  static Clip load(std::filesystem::path const& weights, std::optional<std::filesystem::path> const& vocabulary = {},
                   Context<Exec> context = {}) {
    auto const file = read_checkpoint(weights);
    auto const canonical = with_canonical_names(file);
    return from_tensors(canonical, find_vocabulary(canonical, weights, vocabulary), std::move(context),
                        find_clip_settings(file, Config).settings);
  }

  /// The same from tensors in memory, under their canonical names. Throws CheckpointError if they do not fit, or if
  /// there are parameters inside the encoders that this architecture would not use.
  static Clip from_tensors(NamedTensors const& tensors, Vocabulary vocabulary, Context<Exec> context = {},
                           ClipSettings const& settings = settings_of(Config)) {
    Model model;
    auto const report = load_parameters_or_throw(context, model, tensors, "this CLIP architecture");
    auto const foreign = foreign_parameter(report);
    require<CheckpointError>(foreign.empty(), tensors.source, ": the encoders have parameters that a CLIP of OpenAI's ",
                             "architecture does not use, such as '", foreign,
                             "'; without them the numbers would be wrong");
    return Clip(std::move(model), Tokenizer(std::move(vocabulary)), std::move(context), settings);
  }

  Model const& model() const { return model_; }
  Context<Exec> const& context() const { return context_; }
  ClipSettings const& settings() const { return settings_; }

  /// One unit vector per class: the mean over words and templates, as OpenAI's zero-shot classifiers.
  Words encode(ClassList const& classes, PromptTemplates const& templates) const {
    auto words = encode_words(context_, model_.text, tokenizer_, classes, templates, EmbeddingCache());
    auto const mean = l2_normalize(context_, mean_over_axis1(context_, words.features));
    words.features = mean.reshape(dynamic_extents<3>(mean.extent(0), 1, mean.extent(1)));
    return words;
  }

  /// Probability of each class for a picture: softmax(exp(logit_scale) cos(image, text)). -> one number per class.
  std::vector<float> classify(Image const& picture, Words const& words) const {
    require_one_row_per_class(words, "Clip");
    auto const pixels =
        clip_preprocess(context_, picture, Config.vision.image_size, settings_.pixel_mean, settings_.pixel_std);
    auto const image = model_.visual.encode(context_, pixels);  // [1, embed_dim]
    auto const text = words.features.reshape(dynamic_extents<2>(words.names.size(), Config.embed_dim));
    auto const cosine = to_host(context_, cosine_similarity(context_, image, text));
    auto const stored = to_host(context_, model_.logit_scale);
    float const scale = std::exp(static_cast<float>(stored.data()[0]));
    Tensor<float, dynamic_extents<2>> logits(dynamic_extents<2>(1, words.names.size()));
    for (std::size_t i = 0; i < logits.size(); ++i) logits(0, i) = scale * cosine(0, i);
    auto const p = to_host(context_, softmax(context_, to_device(context_, logits)));
    return {p.data(), p.data() + p.size()};
  }

 private:
  Model model_;
  Tokenizer tokenizer_;
  Context<Exec> context_;
  ClipSettings settings_;
};

/// Returns what f.template operator()<Config>() gives for the preset that has the file's shapes. file: under canonical
/// names. Throws CheckpointError if no preset has them, or if half of the model is missing.
template <class F>
auto with_clip_preset(NamedTensors const& file, F const& f) {
  using Result = decltype(f.template operator()<clip_tiny>());
  auto const found = recognise(file);
  require<CheckpointError>(found.complete(), file.source, ": this is ",
                           found.image ? "the image half of a CLIP, without a text encoder"
                                       : "the text half of a CLIP, without an image encoder",
                           "; pictures can only be compared with words by both: give the whole model's file");
  std::string const prefix(found.layout->clip_prefix);
  std::optional<std::conditional_t<std::is_void_v<Result>, bool, Result>> result;
  visit_clip_preset(file, prefix, [&]<ClipConfig Config>(std::string_view) {
    if constexpr (std::is_void_v<Result>) {
      f.template operator()<Config>();
      result = true;
    } else {
      result.emplace(f.template operator()<Config>());
    }
  });
  require<CheckpointError>(result.has_value(), file.source, ": no CLIP preset has this geometry (",
                           clip_shape(file, prefix).to_string(),
                           "); instantiate kovos::Clip with a configuration of your own for it");
  if constexpr (!std::is_void_v<Result>) return std::move(*result);
}

}  // namespace kovos
