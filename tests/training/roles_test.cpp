// SPDX-License-Identifier: Apache-2.0
// Roles that modules tell against the rules by which they were once guessed from CLIP's and CAT-Seg's names.

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kovos/clip/presets.hpp"
#include "kovos/core/preset.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"
#include "kovos/training/cat_seg_training.hpp"
#include "kovos/training/clip_training.hpp"
#include "kovos/training/initialization.hpp"

namespace {

using namespace kovos;
using detail::Start;

bool name_has(std::string_view name, std::string_view part) { return name.find(part) != name.npos; }

/// nn.LayerNorm, nn.GroupNorm and nn.Embedding in the authors' model, by their keys.
bool is_norm_or_embedding(std::string_view name) {
  for (std::string_view const part : {"norm", ".ln_", "double_conv.1.", "double_conv.4.", "token_embedding"})
    if (name_has(name, part)) return true;
  return name.starts_with("ln_");
}

/// The authors' parameter groups by key alone.
std::optional<ParameterRule> cat_seg_rule(CatSegParameterRule const& how, std::string_view name) {
  ParameterRule rule{1, is_norm_or_embedding(name) ? 0 : how.weight_decay};
  auto const clip = name.find("clip_model.");
  if (clip == name.npos) return rule;
  rule.learning_rate_multiplier = how.clip_multiplier;
  if (!name_has(name.substr(clip + 11), "transformer")) return std::nullopt;
  bool const trains = how.fine_tuning == FineTuning::full ||
                      (how.fine_tuning == FineTuning::attention && name_has(name, "attn.") &&
                       (name_has(name, "q_proj") || name_has(name, "v_proj"))) ||
                      (how.fine_tuning == FineTuning::prompt && name_has(name, "prompt"));
  return trains ? std::optional(rule) : std::nullopt;
}

bool clip_decays(std::string_view name) {
  return (name_has(name, "weight") && !is_norm_or_embedding(name)) || name.ends_with("proj") ||
         name.ends_with("projection");
}

Start start_by_name(std::string_view name, std::vector<std::size_t> const& shape, std::size_t fan_in) {
  double size = 1;
  for (std::size_t const n : shape) size *= static_cast<double>(n);
  double const first = shape.empty() ? 1 : static_cast<double>(shape.front());
  double const last = shape.empty() ? 1 : static_cast<double>(shape.back());
  auto const constant = [](double value) { return Start{Start::Kind::constant, value}; };
  auto const normal = [](double deviation) { return Start{Start::Kind::normal, deviation}; };
  bool const encoder = name_has(name, "transformer.resblocks.");
  if (name.ends_with("logit_scale")) return constant(std::log(1.0f / 0.07f));
  if (name_has(name, "padding_tokens") || name_has(name, "padding_guidance")) return constant(0);
  if (name_has(name, "norm") || name_has(name, "ln_") || name_has(name, "double_conv.1.") ||
      name_has(name, "double_conv.4."))
    return constant(name.ends_with("weight") ? 1 : 0);
  if (name_has(name, "token_embedding")) return normal(0.02);
  if (name.ends_with("class_embedding")) return normal(1 / std::sqrt(size));
  if (name.ends_with("visual.positional_embedding")) return normal(1 / std::sqrt(last));
  if (name.ends_with("visual.proj") || name.ends_with("text_projection")) return normal(1 / std::sqrt(first));
  if (name.ends_with("positional_embedding")) return normal(0.01);
  if (encoder && shape.size() == 1) return constant(0);
  if (encoder && (name_has(name, "out_proj") || name_has(name, "c_proj"))) return normal(0.25 / std::sqrt(first));
  if (encoder && name_has(name, "c_fc")) return normal(1 / std::sqrt(2.0 * last));
  if (encoder) return normal(1 / std::sqrt(last));
  return {Start::Kind::uniform, 1 / std::sqrt(static_cast<double>(fan_in))};
}

/// f(name, role, shape) for each parameter.
template <class Module, class F>
void for_each_shape(F const& f) {
  Module const network;
  for (auto const& parameter : parameters_of(network))
    f(parameter.name(), parameter.role(), std::vector<std::size_t>(parameter.shape().begin(), parameter.shape().end()));
}

/// Starts of all parameters by role and by name. How many there were.
template <class Module>
std::size_t check_starts() {
  std::size_t count = 0, weight_fan_in = 1, any_fan_in = 1;
  for_each_shape<Module>([&](std::string const& name, ParameterRole role, std::vector<std::size_t> const& shape) {
    std::size_t size = 1;
    for (std::size_t const n : shape) size *= n;
    std::size_t const first = shape.empty() ? 1 : shape.front(), last = shape.empty() ? 1 : shape.back();
    if (role == ParameterRole::weight) weight_fan_in = size / first;
    if (shape.size() >= 2) any_fan_in = size / first;
    auto const got = detail::start_of(role, size, first, last, weight_fan_in);
    CHECK_MESSAGE(got == start_by_name(name, shape, any_fan_in), name);
    ++count;
  });
  return count;
}

bool same(std::optional<ParameterRule> const& a, std::optional<ParameterRule> const& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->learning_rate_multiplier == b->learning_rate_multiplier && a->weight_decay == b->weight_decay;
}

template <CatSegConfig Config>
void check_cat_seg() {
  using Network = CatSegNetwork<Config, float, Kokkos::HostSpace>;
  CHECK(check_starts<Network>() > 100);
  for (auto const mode : {FineTuning::frozen, FineTuning::attention, FineTuning::prompt, FineTuning::full}) {
    CatSegParameterRule const rule{mode, 0.01, 1e-4};
    std::size_t decaying = 0, resting = 0;
    for_each_shape<Network>([&](std::string const& name, ParameterRole role, auto const&) {
      auto const got = rule(name, role);
      CHECK_MESSAGE(same(got, cat_seg_rule(rule, name)), name);
      if (got) ++(got->weight_decay > 0 ? decaying : resting);
    });
    CHECK(decaying > 20);
    CHECK(resting > 20);
  }
}

template <ClipConfig Config>
void check_clip() {
  using Model = ClipModel<Config, float, Kokkos::HostSpace>;
  CHECK(check_starts<Model>() > 20);
  for_each_shape<Model>([&](std::string const& name, ParameterRole role, auto const&) {
    auto const got = ClipParameterRule{}(name, role);
    CHECK_MESSAGE(same(got, ParameterRule{1, clip_decays(name) ? 0.1 : 0}), name);
  });
}

/// A batch normalisation as PyTorch has it. Not of Kovos: what a user with a ResNet would write.
template <std::size_t Channels>
struct BatchNorm {
  Parameter<float, Kokkos::HostSpace, Channels> weight, bias, running_mean, running_var;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::norm_weight);
    f(prefix + "bias", bias, ParameterRole::norm_bias);
    f(prefix + "running_mean", running_mean, ParameterRole::running_mean);
    f(prefix + "running_var", running_var, ParameterRole::running_variance);
  }
};

/// The corner of a ResNet whose names tell nothing.
struct Bottleneck {
  Conv2d<3, 8, 3, float, Kokkos::HostSpace, false> conv1, downsample_0;
  BatchNorm<8> bn1, downsample_1;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    conv1.visit(f, prefix + "conv1.");
    bn1.visit(f, prefix + "bn1.");
    downsample_0.visit(f, prefix + "downsample.0.");
    downsample_1.visit(f, prefix + "downsample.1.");
  }
};

}  // namespace

TEST_CASE("roles: CAT-Seg's parameters start and are grouped as by the authors' names, in every preset") {
  visit_presets<cat_seg_presets>([]<CatSegConfig Config>(std::string_view name) {
    CAPTURE(std::string(name));
    check_cat_seg<Config>();
    return false;
  });
}

TEST_CASE("roles: CLIP's parameters start and decay as by OpenAI's names, in every preset") {
  visit_presets<clip_presets>([]<ClipConfig Config>(std::string_view name) {
    CAPTURE(std::string(name));
    check_clip<Config>();
    return false;
  });
}

TEST_CASE("roles: normalisations of a ResNet start, decay and rest as such, whatever they are called") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  Bottleneck network;
  initialize(context, network, 1);
  for (auto const* const norm : {&network.bn1, &network.downsample_1})
    for (std::size_t i = 0; i < 8; ++i) {
      CHECK(norm->weight(i) == 1);
      CHECK(norm->bias(i) == 0);
      CHECK(norm->running_mean(i) == 0);
      CHECK(norm->running_var(i) == 1);
    }
  for (std::size_t i = 0; i < network.conv1.weight.size(); ++i)
    CHECK(std::fabs(network.conv1.weight.data()[i]) <= 1 / std::sqrt(27.0f));

  TrainedParameters<Kokkos::DefaultHostExecutionSpace> const trained(context, network, CatSegParameterRule{});
  std::map<std::string, double> decay;
  for (auto const& entry : trained.list()) decay[entry.name] = entry.rule.weight_decay;
  CHECK(decay == std::map<std::string, double>{{"conv1.weight", 1e-4},
                                               {"bn1.weight", 0},
                                               {"bn1.bias", 0},
                                               {"downsample.0.weight", 1e-4},
                                               {"downsample.1.weight", 0},
                                               {"downsample.1.bias", 0}});
}

TEST_CASE("roles: a module that is not const gives its parameters away to be changed, a const one does not") {
  BatchNorm<2> network;
  auto const changes = [](std::string const&, auto& parameter) {
    CHECK_FALSE(std::is_const_v<std::remove_reference_t<decltype(parameter)>>);
    parameter = Tensor<float, Extents<2>>(Extents<2>{});
  };
  for_each_parameter(network, changes);
  CHECK_FALSE(network.running_var.empty());
  BatchNorm<2> const fixed = network;
  std::size_t count = 0;
  for_each_parameter(fixed, [&](std::string const&, auto& parameter) {
    CHECK(std::is_const_v<std::remove_reference_t<decltype(parameter)>>);
    ++count;
  });
  CHECK(count == 4);
  CHECK(count_parameters(fixed) == 8);
}
