// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/clip/architecture.hpp"
#include "kovos/clip/checkpoint.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/clip/config.hpp"
#include "kovos/clip/embedding_cache.hpp"
#include "kovos/clip/preprocess.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/softmax.hpp"
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

  Clip(Model model, Tokenizer tokenizer, Context<Exec> context = {})
      : model_(std::move(model)), tokenizer_(std::move(tokenizer)), context_(std::move(context)) {}

  /// Reads OpenAI's archive, a state dict with its names, open_clip's or Hugging Face's files of this architecture.
  /// Throws FileError, CheckpointError or TextError.
  static Clip load(std::filesystem::path const& weights, std::optional<std::filesystem::path> const& vocabulary = {},
                   Context<Exec> context = {}) {
    return from_tensors(with_canonical_names(read_checkpoint(weights)), find_vocabulary(weights, vocabulary),
                        std::move(context));
  }

  /// The same from tensors in memory, under their canonical names.
  static Clip from_tensors(NamedTensors const& tensors, Vocabulary vocabulary, Context<Exec> context = {}) {
    Model model;
    load_parameters_or_throw(context, model, tensors, "this CLIP architecture");
    return Clip(std::move(model), Tokenizer(std::move(vocabulary)), std::move(context));
  }

  Model const& model() const { return model_; }
  Context<Exec> const& context() const { return context_; }

  /// One unit vector per class: the mean over words and templates, as OpenAI's zero-shot classifiers.
  Words encode(ClassList const& classes, PromptTemplates const& templates) const {
    auto words = encode_words(context_, model_.text, tokenizer_, classes, templates, EmbeddingCache());
    auto const mean = l2_normalize(context_, mean_over_axis1(context_, words.features));
    words.features = mean.reshape(dynamic_extents<3>(mean.extent(0), 1, mean.extent(1)));
    return words;
  }

  /// Probability of each class for a picture: softmax(exp(logit_scale) cos(image, text)). -> one number per class.
  std::vector<float> classify(Image const& picture, Words const& words) const {
    auto const pixels = clip_preprocess(context_, picture, Config.vision.image_size);
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
};

/// Calls f.template operator()<Config>() with the published CLIP preset that has the file's shapes.
/// Throws CheckpointError if none has.
template <class F>
auto with_clip_preset(NamedTensors const& file, F const& f) {
  std::string const prefix = recognise_maker(file) == Maker::cat_seg ? std::string(cat_seg_clip_prefix) : "";
  auto const shape = clip_shape(file, prefix);
  if (shape.fits(clip_vit_b32)) return f.template operator()<clip_vit_b32>();
  if (shape.fits(clip_vit_b16)) return f.template operator()<clip_vit_b16>();
  if (shape.fits(clip_vit_l14)) return f.template operator()<clip_vit_l14>();
  if (shape.fits(clip_vit_l14_336)) return f.template operator()<clip_vit_l14_336>();
  if (shape.fits(clip_tiny)) return f.template operator()<clip_tiny>();
  fail<CheckpointError>(file.source, ": no CLIP preset has this geometry (", shape.to_string(),
                        "); instantiate kovos::Clip with a configuration of your own for it");
}

}  // namespace kovos
