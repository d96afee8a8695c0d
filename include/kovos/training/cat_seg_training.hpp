// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/training/losses.hpp"
#include "kovos/training/parameters.hpp"
#include "kovos/training/pixels.hpp"

namespace kovos {

/// Which parameters of CLIP are trained along with the head (MODEL.SEM_SEG_HEAD.CLIP_FINETUNE in cat_seg_model.py; the
/// paper's section on fine-tuning CLIP).
enum class FineTuning : std::uint8_t {
  frozen,     ///< none
  attention,  ///< query and value projections of both encoders: the released models
  prompt,     ///< names with "prompt"; there are none unless a model has prompts
  full,       ///< everything inside the transformers
};

/// Learning-rate multiplier and weight decay of the authors' parameter groups (their train_net.py), or nothing for a
/// parameter that is frozen. name: the official key, which tells whose it is. Normalisations and embeddings do not
/// decay.
struct CatSegParameterRule {
  FineTuning fine_tuning = FineTuning::attention;
  double clip_multiplier = 0.01;
  double weight_decay = 1e-4;

  std::optional<ParameterRule> operator()(std::string_view name, ParameterRole role) const {
    auto const has = [name](std::string_view part) { return name.find(part) != std::string_view::npos; };
    ParameterRule rule{1, is_norm(role) || role == ParameterRole::embedding ? 0 : weight_decay};
    auto const clip = name.find("clip_model.");
    if (clip == std::string_view::npos) return rule;
    rule.learning_rate_multiplier = clip_multiplier;
    auto const inner = name.substr(clip + std::string_view("clip_model.").size());
    if (inner.find("transformer") == std::string_view::npos) return std::nullopt;
    bool const trains = fine_tuning == FineTuning::full ||
                        (fine_tuning == FineTuning::attention && has("attn.") && (has("q_proj") || has("v_proj"))) ||
                        (fine_tuning == FineTuning::prompt && has("prompt"));
    return trains ? std::optional(rule) : std::nullopt;
  }
};

/// One batch for CAT-Seg: pictures of clip_resolution x clip_resolution pixels with their labels.
struct SegmentationBatch {
  std::vector<Image> images;
  std::vector<LabelMap> labels;
};

/// The pooling of class aggregation that the models are trained with.
template <CatSegConfig Config>
constexpr auto training_pooling() {
  std::array<std::size_t, Config.num_layers> pooling{};
  pooling.fill(Config.grid() % 2 == 0 ? 2 : 1);
  return pooling;
}

/// What cat_seg_loss takes: CatSegNetwork, or a network with another head in its place.
template <class Network>
concept segmentation_network = requires(Network const& network) {
  { Network::config } -> std::convertible_to<CatSegConfig>;
  network.clip_model.text;
  network.transformer;
};

/// The loss of CAT-Seg on a batch: the mean over its pictures (their cat_seg_model.py). Both encoders run inside the
/// tape. prompts: those of all classes, `num_templates` each, class by class. observe("logits", [T, 4 S, 4 S]) is
/// called for each picture. -> [1].
template <segmentation_network Network, class Exec, Recompute Policy, class Observer = Unobserved>
auto cat_seg_loss(Tape<Exec, Policy> const& tape, Network const& network, SegmentationBatch const& batch,
                  std::span<std::vector<std::int32_t> const> prompts, Observer const& observe = {}) {
  constexpr CatSegConfig Config = Network::config;
  auto const& context = tape.context();
  std::size_t const side = Config.clip_resolution;
  require<DataError>(!batch.images.empty() && batch.images.size() == batch.labels.size(),
                     "[cat_seg_loss] the batch has ", batch.images.size(), " pictures and ", batch.labels.size(),
                     " label maps");
  auto const pixels = normalized_pixels(tape, std::span<Image const>(batch.images), side, side, Config.test.pixel_mean,
                                        Config.test.pixel_std);
  auto const encoded = l2_normalize(tape, network.clip_model.text.encode(tape, prompts));
  auto const text = encoded.reshape(
      dynamic_extents<3>(prompts.size() / Config.num_templates, Config.num_templates, encoded.extent(1)));

  auto const features = network.image_features(tape, pixels, text);

  typename std::remove_cvref_t<decltype(network.transformer)>::Options options;
  options.pooling = training_pooling<Config>();
  options.class_tile = text.extent(0);
  auto const total = tape.template tensor<float>(1);
  fill(context, total, 0.0f);
  for (std::size_t n = 0; n < features.views(); ++n) {
    auto const result = network.transformer(tape, features.slice(n, 1), text, options).front();
    observe("logits", result.logits);
    auto const& map = batch.labels[n];
    require<ShapeError>(map.height == side && map.width == side, "[cat_seg_loss] label map ", n, " is ", map.height,
                        " x ", map.width, ", expected ", side, " x ", side);
    auto labels = map;
    if (result.classes.size() < text.extent(0)) {  // the classes that were pruned have no logits
      std::vector<std::uint16_t> place(text.extent(0), LabelMap::unknown);
      for (std::size_t i = 0; i < result.classes.size(); ++i) place[result.classes[i]] = static_cast<std::uint16_t>(i);
      for (auto& label : labels.labels)
        if (label != LabelMap::unknown) label = place[label];
    }
    add_in_place(tape, total,
                 segmentation_loss(tape, result.logits, label_tensor(context, labels), side, side,
                                   1.0 / static_cast<double>(features.views())));
  }
  return total;
}

}  // namespace kovos
