// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/data/sample.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/elementwise.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/training/batch.hpp"
#include "kovos/training/cat_seg_training.hpp"
#include "kovos/training/clip_training.hpp"
#include "kovos/training/config.hpp"
#include "kovos/training/parameters.hpp"

namespace kovos {

/// "A photo of a {} in the scene" with the name in its place.
inline std::string in_template(std::string const& text, std::string const& name) {
  auto const at = text.find("{}");
  return text.substr(0, at) + name + text.substr(at + 2);
}

/// Sample number `position` of a run, counted through all epochs; depends on nothing else.
using SegmentationSource = std::function<SegmentationSample(std::size_t position)>;

/// A picture, what is said about it, and the things in it, if the source knows them. Pictures of one batch must call
/// the same thing the same.
struct CaptionSample {
  Image image;
  std::string caption;
  std::vector<std::string> things;
};
using CaptionSource = std::function<CaptionSample(std::size_t position)>;

namespace detail {
inline FineTuning fine_tuning_of(std::string const& name) {
  if (name == "frozen") return FineTuning::frozen;
  if (name == "prompt") return FineTuning::prompt;
  return name == "full" ? FineTuning::full : FineTuning::attention;
}
}  // namespace detail

/// Fine-tuning of CAT-Seg. The words are the class names; the labels of the samples are their numbers.
template <CatSegConfig Config, class T = float, class Exec = Kokkos::DefaultExecutionSpace,
          segmentation_network Net = CatSegNetwork<Config, T, typename Exec::memory_space>>
class CatSegTask {
 public:
  using Network = Net;

  /// trained: the classes that are words in training; empty means all. Throws TextError if a name is longer than the
  /// context, DataError if there is no class.
  CatSegTask(Network& network, Tokenizer const& tokenizer, std::vector<std::string> const& class_names,
             std::vector<std::size_t> trained, SegmentationSource source, TrainingConfig const& config)
      : network_(network), source_(std::move(source)), config_(config), trained_(std::move(trained)) {
    require<DataError>(!class_names.empty(), "[CatSegTask] there are no classes to learn");
    require<ConfigError>(Config.num_templates == 1,
                         "[CatSegTask] models with several prompt templates cannot be trained yet");
    for (auto const& name : class_names)
      prompts_.push_back(
          tokenizer.encode_prompt(in_template(config.class_template, name), Config.clip.text.context_length));
    if (trained_.empty())
      for (std::size_t i = 0; i < class_names.size(); ++i) trained_.push_back(i);
  }

  Network& network() { return network_; }

  std::optional<ParameterRule> rule(std::string const& name, ParameterRole role) const {
    return CatSegParameterRule{detail::fine_tuning_of(config_.fine_tuning), config_.clip_multiplier,
                               config_.weight_decay}(name, role);
  }

  template <Recompute Policy>
  auto loss(Tape<Exec, Policy> const& tape, std::size_t index) {
    auto samples =
        make_samples(config_.batch_size, [&](std::size_t i) { return source_(index * config_.batch_size + i); });
    SegmentationBatch batch;
    for (auto& sample : samples) {
      batch.images.push_back(std::move(sample.image));
      batch.labels.push_back(std::move(sample.labels));
    }
    auto const chosen = choose_classes(batch.labels, index);
    std::vector<std::uint16_t> place(prompts_.size(), LabelMap::unknown);
    std::vector<std::vector<std::int32_t>> prompts;
    for (std::size_t const c : chosen) {
      place[c] = static_cast<std::uint16_t>(prompts.size());
      prompts.push_back(prompts_[c]);
    }
    for (auto& map : batch.labels)
      for (auto& label : map.labels)
        if (label < place.size()) label = place[label];
    return cat_seg_loss(tape, network_, batch, std::span<std::vector<std::int32_t> const>(prompts));
  }

  void after_step(TrainedParameters<Exec> const&) {}

 private:
  /// All trained classes, or those of the labels and others by lot until there are classes_per_step. Ascending.
  std::vector<std::size_t> choose_classes(std::vector<LabelMap> const& maps, std::size_t index) const {
    if (config_.classes_per_step == 0 || config_.classes_per_step >= trained_.size()) return trained_;
    std::vector<bool> present(prompts_.size(), false);
    for (auto const& map : maps)
      for (auto const label : map.labels)
        if (label < present.size()) present[label] = true;
    std::vector<std::size_t> chosen, rest;
    for (std::size_t const c : trained_) (present[c] ? chosen : rest).push_back(c);
    auto random = sample_random(config_.seed ^ 0x636C617373u, index);
    while (chosen.size() < config_.classes_per_step && !rest.empty()) {
      std::size_t const i = draw_below(random, rest.size());
      chosen.push_back(rest[i]);
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
  }

  Network& network_;
  SegmentationSource source_;
  TrainingConfig config_;
  std::vector<std::size_t> trained_;
  std::vector<std::vector<std::int32_t>> prompts_;
};

/// Contrastive pre-training of CLIP from captions (Radford et al. 2021).
template <ClipConfig Config, class T = float, class Exec = Kokkos::DefaultExecutionSpace>
class ClipTask {
 public:
  using Network = ClipModel<Config, T, typename Exec::memory_space>;

  /// mean, deviation: of the pixels 0..255.
  ClipTask(Network& network, Tokenizer const& tokenizer, CaptionSource source, TrainingConfig const& config,
           std::array<float, 3> const& mean, std::array<float, 3> const& deviation)
      : network_(network),
        tokenizer_(tokenizer),
        source_(std::move(source)),
        config_(config),
        loss_{mean, deviation, config.resolution, config.dense_share, config.dense_sharpness} {
    require<ConfigError>(config.resolution % Config.vision.patch_size == 0, "\"resolution\" is ", config.resolution,
                         ", expected a multiple of the patch size ", Config.vision.patch_size);
  }

  Network& network() { return network_; }

  std::optional<ParameterRule> rule(std::string const& name, ParameterRole role) const {
    return ClipParameterRule{config_.weight_decay}(name, role);
  }

  template <Recompute Policy>
  auto loss(Tape<Exec, Policy> const& tape, std::size_t index) {
    std::size_t const length = Config.text.context_length;
    auto samples =
        make_samples(config_.batch_size, [&](std::size_t i) { return source_(index * config_.batch_size + i); });
    std::vector<Image> images;
    std::vector<std::vector<std::int32_t>> captions;
    std::map<std::string, std::vector<std::uint8_t>> named;  // by which pictures
    for (std::size_t i = 0; i < samples.size(); ++i) {
      images.push_back(std::move(samples[i].image));
      captions.push_back(tokenizer_.encode_prompt(samples[i].caption, length));
      for (auto const& thing : samples[i].things) {
        auto& pictures = named[thing];
        pictures.resize(samples.size(), 0);
        pictures[i] = 1;
      }
    }
    NamedThings things;
    for (auto const& [thing, pictures] : named) {
      things.prompts.push_back(tokenizer_.encode_prompt(thing, length));
      things.named.insert(things.named.end(), pictures.begin(), pictures.end());
    }
    return clip_loss(tape, network_, std::span<Image const>(images),
                     std::span<std::vector<std::int32_t> const>(captions), things, loss_);
  }

  /// The temperature stays at or above 0.01 (Radford et al. 2021, section 2.5).
  void after_step(TrainedParameters<Exec> const& parameters) {
    for (auto const& entry : parameters.list())
      if (entry.name.ends_with("logit_scale"))
        detail::solve(parameters.context(),
                      problem::AtMost{parameters.values().data() + entry.offset, 1, std::log(100.0f)});
  }

 private:
  Network& network_;
  Tokenizer const& tokenizer_;
  CaptionSource source_;
  TrainingConfig config_;
  ClipLossConfig loss_;
};

}  // namespace kovos
