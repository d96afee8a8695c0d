// SPDX-License-Identifier: Apache-2.0
// Fine-tuning CAT-Seg against the authors' recorded numbers: loss, every gradient, parameters after three steps.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/training/adamw.hpp"
#include "kovos/training/cat_seg_training.hpp"
#include "kovos/training/schedule.hpp"
#include "support/oracle.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using kovos::test::Oracle;

using Exec = Kokkos::DefaultExecutionSpace;
using Memory = Exec::memory_space;
template <class T = float>
using Network = CatSegNetwork<cat_seg_tiny, T, Memory>;

std::string train_file(std::string const& name) { return std::string(KOVOS_TEST_DATA) + "/oracle/train/" + name; }

nlohmann::json const& recorded() {
  static nlohmann::json const json = [] {
    nlohmann::json j;
    std::ifstream(train_file("train.json")) >> j;
    return j;
  }();
  return json;
}

SegmentationBatch recorded_batch() {
  auto const file = read_safetensors(train_file("batch.safetensors"));
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
    for (std::size_t i = 0; i < pixels; ++i)
      map.labels[i] =
          labels[n * pixels + i] == 255 ? LabelMap::unknown : static_cast<std::uint16_t>(labels[n * pixels + i]);
    batch.labels.push_back(map);
  }
  return batch;
}

/// The prompts of an inference case: all 77 positions, as the authors run them.
std::vector<std::vector<std::int32_t>> prompts_of(std::string const& name) {
  auto const ids = Oracle::instance().stored(name, "text.tokens");
  std::vector<std::vector<std::int32_t>> prompts(ids.size() / 77);
  for (std::size_t i = 0; i < ids.size(); ++i) prompts[i / 77].push_back(static_cast<std::int32_t>(ids[i]));
  return prompts;
}

/// A network with the recorded weights, its trained parameters and an optimiser.
template <class T = float>
struct Run {
  Context<Exec> context;
  Network<T> network;
  TrainedParameters<Exec> parameters;
  AdamW<Exec> optimizer;
  SegmentationBatch batch = recorded_batch();
  std::vector<std::vector<std::int32_t>> prompts = prompts_of("pipeline");

  explicit Run(Engine engine, double rate_factor = 1, FineTuning mode = FineTuning::attention)
      : context(Exec(), engine),
        network(loaded(context)),
        parameters(context, network, CatSegParameterRule{.fine_tuning = mode}),
        optimizer(context, AdamWConfig{.learning_rate = 2e-4 * rate_factor}, parameters) {}

  static Network<T> loaded(Context<Exec> const& context) {
    Network<T> network;
    load_parameters_or_throw(context, network, Oracle::instance().weights_of("c3"), "the geometry");
    return network;
  }

  template <Recompute Policy = Recompute::nothing>
  double gradients() {
    parameters.clear_gradients();
    Tape<Exec, Policy> tape(context);
    parameters.watch(tape);
    auto const loss = cat_seg_loss(tape, network, batch, prompts);
    double const value = static_cast<double>(to_host(context, loss).data()[0]);
    tape.backward(loss);
    peak = context.workspace().peak_bytes();
    return value;
  }
  double loss() {
    Tape<Exec> tape(context);
    return static_cast<double>(to_host(context, cat_seg_loss(tape, network, batch, prompts)).data()[0]);
  }
  std::size_t peak = 0;
};

std::map<std::string, std::vector<float>> slices(TrainedParameters<Exec> const& parameters,
                                                 TrainedParameters<Exec>::Flat const& flat) {
  auto const host = to_host(Context<Exec>{}, flat);
  std::map<std::string, std::vector<float>> result;
  for (auto const& entry : parameters.list())
    result[entry.name].assign(host.data() + entry.offset, host.data() + entry.offset + entry.size);
  return result;
}

/// The largest |a - b|, infinite if the sizes differ or anything is NaN.
double largest_difference(std::vector<float> const& a, std::vector<float> const& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const difference = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= worst)) worst = difference;
    if (std::isnan(difference)) return INFINITY;
  }
  return worst;
}

/// max |a - b| / max |b|.
double relative_error(std::vector<float> const& a, std::vector<float> const& b) {
  double const worst = largest_difference(a, b);
  double top = 0;
  for (float const x : b) top = std::max(top, std::fabs(static_cast<double>(x)));
  return worst == 0 ? 0 : worst / top;
}

/// Softmax does not see a bias of the keys: their gradient is rounding noise, in the recording too.
bool is_key_bias(std::string const& name) { return name.find("swin_block") != name.npos && name.ends_with(".k.bias"); }

template <class T>
void check_gradients(Run<T>& run, double tolerance) {
  auto const file = read_safetensors(train_file("grads_attention.safetensors"));
  auto const gradients = slices(run.parameters, run.parameters.gradients());
  std::size_t compared = 0;
  double worst = 0;
  for (auto const& [key, tensor] : file.tensors) {
    if (!key.starts_with("grad.")) continue;
    std::string const name = key.substr(5);
    CAPTURE(name);
    REQUIRE(gradients.contains(name));
    ++compared;
    auto const& ours = gradients.at(name);
    auto const theirs = to_float(tensor);
    if (is_key_bias(name)) {
      REQUIRE(ours.size() == theirs.size());
      for (float const g : ours) CHECK(std::fabs(g) < 1e-8f);
      continue;
    }
    double const error = relative_error(ours, theirs);
    worst = std::max(worst, error);
    CHECK(error <= tolerance);
  }
  CHECK(compared == 144);
  CHECK(gradients.size() == 144);
  MESSAGE("largest relative error of a gradient: ", worst);
}

}  // namespace

TEST_CASE("The loss and every gradient equal PyTorch's" * doctest::test_suite("oracle")) {
  for (auto const engine : test::engines<Exec>()) {
    Run<> run(engine);
    CAPTURE(engine_name(run.context));
    CHECK(run.gradients() == doctest::Approx(recorded().at("loss").get<double>()).epsilon(2e-6));
    check_gradients(run, 1e-4);
    double const norm = l2_norm(run.context, run.parameters.gradients());
    CHECK(norm ==
          doctest::Approx(recorded().at("runs").at("constant").at("grad_norms")[0].get<double>()).epsilon(1e-5));
  }
}

TEST_CASE("Blocks that are computed again give the same gradients with less memory" * doctest::test_suite("oracle")) {
  Run<> kept(Engine::automatic), again(Engine::automatic);
  double const loss = kept.gradients<Recompute::nothing>();
  CHECK(again.gradients<Recompute::blocks>() == loss);
  auto const a = to_host(kept.context, kept.parameters.gradients()),
             b = to_host(again.context, again.parameters.gradients());
  bool same = true;
  for (std::size_t i = 0; i < a.size(); ++i) same = same && a.data()[i] == b.data()[i];
  CHECK(same);
  MESSAGE("peak workspace ", kept.peak, " bytes, with recomputation ", again.peak);
  CHECK(again.peak < kept.peak * 3 / 4);
}

TEST_CASE("With 256 classes no padding token takes part" * doctest::test_suite("oracle")) {
  Run<> run(Engine::automatic);
  run.prompts = prompts_of("c256");
  CHECK(run.gradients() == doctest::Approx(recorded().at("loss_256_classes").get<double>()).epsilon(1e-5));
  auto const gradients = slices(run.parameters, run.parameters.gradients());
  for (auto const& name : recorded().at("no_gradient_with_256_classes"))
    for (float const g : gradients.at(name.get<std::string>())) CHECK(g == 0);
}

TEST_CASE("Each fine-tuning mode trains exactly the authors' parameters, in their groups") {
  Context<Exec> context;
  auto network = Run<>::loaded(context);
  std::map<std::string, ParameterRole> roles;
  for (auto const& [mode, key] : {std::pair{FineTuning::attention, "attention"}, std::pair{FineTuning::full, "full"},
                                  std::pair{FineTuning::prompt, "prompt"}, std::pair{FineTuning::frozen, "none"}}) {
    CAPTURE(key);
    std::set<std::string> expected, got;
    for (auto const& name : recorded().at("trainable").at(key)) expected.insert(name.get<std::string>());
    CatSegParameterRule const rule{.fine_tuning = mode};
    for (auto const& parameter : parameters_of(network)) {
      if (rule(parameter.name(), parameter.role())) got.insert(parameter.name());
      roles[parameter.name()] = parameter.role();
    }
    CHECK(got == expected);
  }
  for (auto const& [name, expected] : recorded().at("param_rules").items()) {
    CAPTURE(name);
    auto const rule = CatSegParameterRule{}(name, roles.at(name));
    REQUIRE(rule);
    CHECK(2e-4 * rule->learning_rate_multiplier == doctest::Approx(expected.at("lr").get<double>()).epsilon(1e-12));
    CHECK(rule->weight_decay == expected.at("weight_decay").get<double>());
  }
}

TEST_CASE("Three AdamW steps follow PyTorch" * doctest::test_suite("oracle")) {
  auto const initial = Oracle::instance().weights_of("c3");
  struct Case {
    std::string name;
    double factor;
    char const* parameters;
  };
  for (Case const& c : {Case{"constant", 1, "params_after_3_steps"}, Case{"cosine4", 1, nullptr},
                        Case{"constant_lr_x10", 10, "params_after_3_steps_lr_x10"}}) {
    CAPTURE(c.name);
    auto const& expected = recorded().at("runs").at(c.name);
    Run<> run(Engine::automatic, c.factor);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(run.gradients() == doctest::Approx(expected.at("losses")[i].get<double>()).epsilon(1e-4));
      double const multiplier = c.name == "cosine4" ? CosineSchedule{.steps = 4}(i) : 1.0;
      CHECK(multiplier == doctest::Approx(expected.at("lr_multipliers")[i].get<double>()).epsilon(1e-12));
      CHECK(run.optimizer.step(run.parameters, multiplier) ==
            doctest::Approx(expected.at("grad_norms")[i].get<double>()).epsilon(1e-3));
    }
    CHECK(run.loss() == doctest::Approx(expected.at("losses")[3].get<double>()).epsilon(1e-4));
    if (!c.parameters) continue;
    auto const file = read_safetensors(train_file(std::string(c.parameters) + ".safetensors"));
    auto const values = slices(run.parameters, run.parameters.values());
    CHECK(file.tensors.size() == 144);
    // An error is seen beside how far the parameter has moved, and beside the rounding of the recording itself.
    double worst = 0;
    for (auto const& [name, tensor] : file.tensors) {
      CAPTURE(name);
      if (is_key_bias(name)) continue;
      auto const& spread = expected.at("param_spread").at(name);
      double const moved = spread.at("moved"), rounding = spread.at("fp32_err");
      double const error = largest_difference(values.at(name), to_float(tensor));
      if (moved > 0) worst = std::max(worst, (error - rounding) / moved);
      // Adam divides elements whose gradient is near zero by their own noise: a few move by up to 0.2 % differently.
      CHECK(error <= 2 * rounding + 4e-3 * moved);
      CHECK(relative_error(values.at(name), to_float(tensor)) <= 1e-4);
    }
    MESSAGE(c.name, ": largest error of a parameter beyond the recording's rounding, as a share of its way: ", worst);
  }
}
