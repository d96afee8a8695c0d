// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/trainer.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "kovos/training/batch.hpp"
#include "kovos/training/initialization.hpp"
#include "kovos/training/losses.hpp"
#include "support/spaces.hpp"
#include "training/toy_network.hpp"

namespace {

using namespace kovos;
using kovos::test::all;
using kovos::test::ToyNetwork;

/// Three classes with four features each learn the picture of 4 x 4 labels that depends on the features.
template <class T = float, class Exec = Kokkos::DefaultExecutionSpace>
class ToyTask {
 public:
  ToyTask(Context<Exec> const& context, TrainingConfig const& config) : config_(config) {
    initialize(context, network_, config.seed);
  }

  ToyNetwork<T, Exec>& network() { return network_; }

  std::optional<ParameterRule> rule(std::string const& name, ParameterRole) const {
    if (name == "frozen") return std::nullopt;
    return ParameterRule{name.starts_with("fc1") ? config_.clip_multiplier : 1, config_.weight_decay};
  }

  template <Recompute Policy>
  auto loss(Tape<Exec, Policy> const& tape, std::size_t index) {
    auto const& context = tape.context();
    auto const total = tape.template tensor<float>(1);
    fill(context, total, 0.0f);
    for (std::size_t i = 0; i < config_.batch_size; ++i) {
      auto random = sample_random(config_.seed, index * config_.batch_size + i);
      Tensor<float, dynamic_extents<2>> features(dynamic_extents<2>(3, 4));
      for (std::size_t j = 0; j < features.size(); ++j)
        features.data()[j] = static_cast<float>(draw_below(random, 1000)) / 500 - 1;
      LabelMap labels{4, 4, std::vector<std::uint16_t>(16)};
      for (std::size_t p = 0; p < 16; ++p) labels.labels[p] = static_cast<std::uint16_t>(p % 3);
      if (index == poisoned) features.data()[5] = std::numeric_limits<float>::quiet_NaN();
      auto const x = tape.adopt(to_device(context, features));
      auto const y = network_.fc2(tape, network_.fc1(tape, x, Activation::relu));
      add_in_place(tape, total,
                   segmentation_loss(tape, y.reshape(dynamic_extents<3>(3, 4, 4)), label_tensor(context, labels), 4, 4,
                                     1.0 / static_cast<double>(config_.batch_size)));
    }
    return total;
  }
  void after_step(TrainedParameters<Exec> const&) { ++steps_seen; }

  std::size_t poisoned = static_cast<std::size_t>(-1);  ///< the batch with a NaN in it
  std::size_t steps_seen = 0;

 private:
  TrainingConfig config_;
  ToyNetwork<T, Exec> network_;
};

TrainingConfig toy_config() {
  TrainingConfig config;
  config.steps = 40;
  config.batch_size = 2;
  config.learning_rate = 0.02;
  config.clip_multiplier = 0.5;
  config.max_gradient_norm = 1;
  config.seed = 5;
  return config;
}

/// A task, its trainer, and what they have learned.
template <class T = float, class Exec = Kokkos::DefaultExecutionSpace, Recompute Policy = Recompute::nothing>
struct Run {
  Context<Exec> context;
  ToyTask<T, Exec> task;
  Trainer<ToyTask<T, Exec>, Exec, Policy> trainer;

  explicit Run(TrainingConfig const& config = toy_config(), Context<Exec> const& c = Context<Exec>())
      : context(c), task(context, config), trainer(context, task, config) {}

  std::vector<double> steps(std::size_t count) {
    std::vector<double> losses;
    for (std::size_t i = 0; i < count; ++i) losses.push_back(trainer.step().loss);
    return losses;
  }
  std::vector<float> values() const { return all(context, trainer.parameters().values()); }
};

/// A checkpoint's tensors as numbers, for comparison bit for bit (none is NaN).
std::map<std::string, std::vector<float>> content(NamedTensors const& file) {
  std::map<std::string, std::vector<float>> numbers;
  for (auto const& [name, tensor] : file.tensors) numbers[name] = to_float(tensor);
  return numbers;
}

/// What restore says of a checkpoint that was changed after five steps.
template <class Change>
std::string refusal(Change const& change) {
  Run<> first, second;
  first.steps(5);
  auto file = first.trainer.checkpoint();
  file.source = "last.safetensors";
  change(file);
  auto const message = test::message_of<CheckpointError>([&] { second.trainer.restore(file); });
  CHECK(second.trainer.steps_done() == 0);
  return message;
}

}  // namespace

TEST_CASE("trainer: the loss falls, and each step says what happened") {
  Run<> run;
  CHECK(run.trainer.steps_done() == 0);
  auto const first = run.trainer.step();
  CHECK(first.step == 1);
  CHECK(first.learning_rate == 0.02);
  CHECK(first.gradient_norm > 0);
  CHECK(first.seconds > 0);
  CHECK(first.pictures == 2);
  CHECK(first.peak_bytes > 0);
  CHECK(first.loss == doctest::Approx(std::log(2.0)).epsilon(0.1));
  TrainingStep last;
  while (!run.trainer.finished()) last = run.trainer.step();
  CHECK(last.step == 40);
  CHECK(run.task.steps_seen == 40);
  CHECK(last.learning_rate == doctest::Approx(0.02 * CosineSchedule{.steps = 40}(39)).epsilon(1e-14));
  MESSAGE("loss ", first.loss, " to ", last.loss);
  CHECK(last.loss < 0.95 * first.loss);
}

TEST_CASE("trainer: the same seed gives the same weights, bit for bit, on every context") {
  test::for_each_context([&](auto const& context) {
    using Exec = typename std::remove_cvref_t<decltype(context)>::execution_space;
    Run<float, Exec> one(toy_config(), context), two(toy_config(), context);
    auto const a = one.steps(12), b = two.steps(12);
    CHECK(a == b);
    CHECK(one.values() == two.values());
  });
  auto other = toy_config();
  other.seed = 6;
  Run<> one, two(other);
  CHECK(one.steps(3) != two.steps(3));
  CHECK(one.values() != two.values());
}

TEST_CASE("trainer: recomputation changes nothing") {
  Run<> kept;
  Run<float, Kokkos::DefaultExecutionSpace, Recompute::blocks> again;
  CHECK(kept.steps(8) == again.steps(8));
  CHECK(kept.values() == again.values());
}

TEST_CASE_TEMPLATE("trainer: a run that is continued from its checkpoint is the one that never stopped", T, float,
                   bf16) {
  Run<T> whole, first;
  whole.steps(5);
  first.steps(5);
  auto const file = first.trainer.checkpoint();
  first.steps(1);  // the checkpoint does not share its memory
  auto const expected = whole.steps(7);

  Run<T> second;
  second.trainer.restore(file);
  CHECK(second.trainer.steps_done() == 5);
  CHECK(second.steps(7) == expected);
  CHECK(second.values() == whole.values());
  CHECK(content(second.trainer.checkpoint()) == content(whole.trainer.checkpoint()));
}

TEST_CASE("trainer: a checkpoint holds the model, the optimiser and the settings") {
  Run<> run;
  run.steps(3);
  auto const file = run.trainer.checkpoint();
  CHECK(file.tensors.size() == 5 + 2 * 4);  // what is frozen, too
  for (char const* const name : {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}) {
    std::string const key = name;
    CAPTURE(key);
    REQUIRE(file.tensors.contains(key));
    CHECK(file.tensors.contains("training.exp_avg." + key));
    CHECK(file.tensors.contains("training.exp_avg_sq." + key));
  }
  CHECK(file.tensors.at("fc1.weight").shape == std::vector<std::size_t>{6, 4});
  CHECK(file.metadata.at("kovos.training.step") == "3");
  CHECK(nlohmann::ordered_json::parse(file.metadata.at("kovos.training.config")) == toy_config().to_json());
}

TEST_CASE("trainer: what may change when a run is continued") {
  Run<> run;
  run.steps(2);
  auto const file = run.trainer.checkpoint();
  auto config = toy_config();
  config.log_every = 3, config.checkpoint_every = 7, config.evaluate_every = 9, config.validation_pictures = 11;
  config.initial = "elsewhere.safetensors", config.recompute = true, config.unreadable = "skip";
  Run<> other(config);
  CHECK_NOTHROW(other.trainer.restore(file));
  CHECK(other.steps(2) == run.steps(2));
}

TEST_CASE("trainer: a checkpoint of another run is refused with the difference") {
  Run<> run;
  run.steps(2);
  auto file = run.trainer.checkpoint();
  file.source = "last.safetensors";
  auto const with = [&](auto const& change) {
    auto config = toy_config();
    change(config);
    Run<> other(config);
    return test::message_of<CheckpointError>([&] { other.trainer.restore(file); });
  };
  auto const sentence = [](std::string const& key, std::string const& before, std::string const& now) {
    std::string text = "last.safetensors: the run that wrote this checkpoint had '";
    text.append(key).append("' = ").append(before).append(", this one has ").append(now);
    return text.append("; resume with its settings, or start a new run with it as \"initial\"");
  };
  CHECK(with([](auto& c) { c.learning_rate = 0.5; }) == sentence("learning_rate", "0.02", "0.5"));
  CHECK(with([](auto& c) { c.steps = 41; }) == sentence("steps", "40", "41"));
  CHECK(with([](auto& c) { c.seed = 7; }) == sentence("seed", "5", "7"));
  CHECK(with([](auto& c) { c.batch_size = 3; }) == sentence("batch_size", "2", "3"));
  CHECK(with([](auto& c) { c.fine_tuning = "full"; }) == sentence("fine_tuning", "\"attention\"", "\"full\""));
  CHECK(with([](auto& c) { c.model = "clip_tiny"; }) == sentence("model", "\"cat_seg_vit_b16\"", "\"clip_tiny\""));
}

TEST_CASE("trainer: a checkpoint of before a setting existed has its default") {
  Run<> run;
  run.steps(2);
  auto file = run.trainer.checkpoint();
  auto settings = nlohmann::json::parse(file.metadata.at("kovos.training.config"));
  REQUIRE(settings.erase("bit_depth") == 1);
  file.metadata["kovos.training.config"] = settings.dump();
  Run<> same;
  CHECK_NOTHROW(same.trainer.restore(file));
  auto config = toy_config();
  config.bit_depth = "scale";
  Run<> other(config);
  CHECK(test::message_of<CheckpointError>([&] {
          other.trainer.restore(file);
        }).find("'bit_depth' = \"saturate\", this one has \"scale\"") != std::string::npos);
}

TEST_CASE("trainer: a checkpoint of another network is refused with the key") {
  CHECK(refusal([](NamedTensors& f) { f.tensors.erase("fc2.bias"); }) == "last.safetensors: 'fc2.bias' is missing");
  CHECK(refusal([](NamedTensors& f) { f.tensors.erase("training.exp_avg_sq.fc1.weight"); }) ==
        "last.safetensors: 'training.exp_avg_sq.fc1.weight' is missing");
  CHECK(refusal([](NamedTensors& f) {
          f.tensors.at("fc2.weight").shape = {6, 16};
        }) == "last.safetensors: 'fc2.weight' has another shape than the model; it belongs to another configuration");
  CHECK(refusal([](NamedTensors& f) {
          f.metadata.erase("kovos.training.config");
        }).starts_with("last.safetensors: this file holds no training state to resume from"));
  CHECK(refusal([](NamedTensors& f) { f.metadata["kovos.training.step"] = "7x"; }) ==
        "last.safetensors: the step '7x' is not a number");
  CHECK(refusal([](NamedTensors& f) {
          f.metadata["kovos.training.config"] = "{";
        }).find("'task' = nothing, this one has \"cat_seg\"") != std::string::npos);
}

TEST_CASE("trainer: a loss that is not a number stops the run and changes nothing") {
  Run<> run;
  run.steps(3);
  run.task.poisoned = 3;
  auto const before = content(run.trainer.checkpoint());
  auto const message = test::message_of<GradientError>([&] { run.trainer.step(); });
  CHECK(message.starts_with("the loss of step 4 is not a finite number; the last checkpoint is unharmed"));
  CHECK(run.trainer.steps_done() == 3);
  CHECK(run.task.steps_seen == 3);
  CHECK(content(run.trainer.checkpoint()) == before);
  run.task.poisoned = static_cast<std::size_t>(-1);
  Run<> whole;
  whole.steps(3);
  CHECK(run.steps(3) == whole.steps(3));
}

TEST_CASE("trainer: two batches of two are one batch of four") {
  auto half = toy_config(), whole = toy_config();
  half.accumulation = 2;
  whole.batch_size = 4;
  Run<> two(half), one(whole);
  for (int i = 0; i < 5; ++i) {
    auto const a = two.trainer.step(), b = one.trainer.step();
    CHECK(a.pictures == 4);
    CHECK(b.pictures == 4);
    CHECK(a.loss == doctest::Approx(b.loss).epsilon(1e-6));
    CHECK(a.gradient_norm == doctest::Approx(b.gradient_norm).epsilon(1e-4));
  }
  auto const a = two.values(), b = one.values();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  MESSAGE("largest difference of a weight ", worst);
  CHECK(worst < 1e-5);
  Run<> alone;
  alone.steps(5);
  CHECK(alone.values() != a);
}

TEST_CASE("trainer: where nothing is trained it says so") {
  struct Frozen : ToyTask<> {
    using ToyTask<>::ToyTask;
    std::optional<ParameterRule> rule(std::string const&, ParameterRole) const { return std::nullopt; }
  };
  Context<> const context;
  Frozen task(context, toy_config());
  CHECK(test::message_of<ConfigError>([&] { Trainer<Frozen>(context, task, toy_config()); }) ==
        "[Trainer] with these settings nothing is trained");
}
