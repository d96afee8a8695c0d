// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/training/adamw.hpp"
#include "kovos/training/cat_seg_training.hpp"
#include "kovos/training/schedule.hpp"
#include "support/oracle.hpp"

namespace kovos::test {

/// The fixed batch of tests/data/oracle/train: two pictures of 96 x 96 pixels.
inline SegmentationBatch recorded_batch() {
  auto const file = read_safetensors(std::string(KOVOS_TEST_DATA) + "/oracle/train/batch.safetensors");
  auto const& images = file.tensors.at("images");
  auto const labels = to_float(file.tensors.at("sem_seg"));
  std::size_t const side = images.shape[1], pixels = side * side;
  SegmentationBatch batch;
  for (std::size_t n = 0; n < images.shape[0]; ++n) {
    Image image{side, side, std::vector<std::uint8_t>(pixels * 3)};
    for (std::size_t i = 0; i < image.pixels.size(); ++i)
      image.pixels[i] = std::to_integer<std::uint8_t>(images.bytes[n * pixels * 3 + i]);
    batch.images.push_back(image);
    LabelMap map{side, side, std::vector<std::uint16_t>(pixels)};
    for (std::size_t i = 0; i < pixels; ++i) {
      float const label = labels[n * pixels + i];
      map.labels[i] = label == 255 ? LabelMap::unknown : static_cast<std::uint16_t>(label);
    }
    batch.labels.push_back(map);
  }
  return batch;
}

/// The five prompts of case `pipeline`: all 77 positions, as the authors run them.
inline std::vector<std::vector<std::int32_t>> recorded_prompts() {
  auto const ids = Oracle::instance().stored("pipeline", "text.tokens");
  std::vector<std::vector<std::int32_t>> prompts(ids.size() / 77);
  for (std::size_t i = 0; i < ids.size(); ++i) prompts[i / 77].push_back(static_cast<std::int32_t>(ids[i]));
  return prompts;
}

/// The settings and the curves of 20 steps that tests/reference/training_curve.py recorded with PyTorch: "rate_x1" with
/// the authors' learning rate, "rate_x10" with ten times that.
inline nlohmann::json const& recorded_curves() {
  static nlohmann::json const json = [] {
    nlohmann::json j;
    std::ifstream(std::string(KOVOS_TEST_DATA) + "/training/loss_curve.json") >> j;
    return j;
  }();
  return json;
}

/// Fine-tuning of the tiny network on the recorded batch with the settings of a recorded curve.
template <class T = float, class Exec = Kokkos::DefaultExecutionSpace>
class RecordedRun {
 public:
  using Network = CatSegNetwork<cat_seg_tiny, T, typename Exec::memory_space>;

  RecordedRun(Context<Exec> const& context, char const* curve,
              NamedTensors const& weights = Oracle::instance().weights_of("c3"))
      : context_(context),
        network_(loaded(context_, weights)),
        parameters_(context_, network_,
                    CatSegParameterRule{FineTuning::attention, setting("clip_multiplier"), setting("weight_decay")}),
        optimizer_(context_,
                   AdamWConfig{.learning_rate = recorded_curves().at("curves").at(curve).at("learning_rate"),
                               .max_gradient_norm = setting("max_gradient_norm")},
                   parameters_) {}

  Context<Exec> const& context() const { return context_; }
  Network& network() { return network_; }
  TrainedParameters<Exec> const& parameters() const { return parameters_; }

  /// Writes the gradients of the batch and returns its loss.
  template <Recompute Policy = Recompute::nothing>
  double gradients() {
    parameters_.clear_gradients();
    Tape<Exec, Policy> tape(context_);
    parameters_.watch(tape);
    auto const loss = cat_seg_loss(tape, network_, batch_, prompts_);
    double const value = static_cast<double>(to_host(context_, loss).data()[0]);
    tape.backward(loss);
    return value;
  }

  /// The losses before each of the recorded steps.
  template <Recompute Policy = Recompute::nothing>
  std::vector<double> curve() {
    std::size_t const steps = recorded_curves().at("steps");
    CosineSchedule const schedule{.steps = steps};
    std::vector<double> losses;
    for (std::size_t i = 0; i < steps; ++i) {
      losses.push_back(gradients<Policy>());
      optimizer_.step(parameters_, schedule(i));
    }
    return losses;
  }

 private:
  static double setting(char const* key) { return recorded_curves().at(key).get<double>(); }

  static Network loaded(Context<Exec> const& context, NamedTensors const& weights) {
    Network network;
    load_parameters_or_throw(context, network, weights, "the geometry");
    return network;
  }

  Context<Exec> context_;
  Network network_;
  TrainedParameters<Exec> parameters_;
  AdamW<Exec> optimizer_;
  SegmentationBatch batch_ = recorded_batch();
  std::vector<std::vector<std::int32_t>> prompts_ = recorded_prompts();
};

/// max |a - b| / |b| over two curves, infinite if their lengths differ or anything is NaN.
inline double largest_relative_difference(std::vector<double> const& a, std::vector<double> const& b) {
  if (a.size() != b.size() || a.empty()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const difference = std::fabs(a[i] - b[i]) / std::fabs(b[i]);
    if (std::isnan(difference)) return INFINITY;
    worst = std::max(worst, difference);
  }
  return worst;
}

}  // namespace kovos::test
