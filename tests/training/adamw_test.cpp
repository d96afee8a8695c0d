// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/adamw.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "support/spaces.hpp"
#include "support/tools_probe.hpp"
#include "training/toy_network.hpp"

namespace {

using namespace kovos;
using namespace kovos::test;

/// Two parameters with rates and decays of their own, as the numbers of PyTorch below have them.
template <class Exec>
struct TwoGroups {
  using Memory = typename Exec::memory_space;
  Parameter<float, Memory, 6> a;
  Parameter<float, Memory, 4> b;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "a", a, ParameterRole::weight);
    f(prefix + "b", b, ParameterRole::weight);
  }
  static std::optional<ParameterRule> rule(std::string const& name, ParameterRole) {
    return name == "a" ? ParameterRule{1, 0.1} : ParameterRule{0.2, 0};
  }
};

using Numbers = std::vector<float>;

Numbers const start_a{0.8032760620117188f,  0.17483338713645935f, 0.08897809684276581f,
                      -0.6137180328369141f, 0.04618244990706444f, -1.3682591915130615f};
Numbers const start_b{0.3374950885772705f, 1.0111159086227417f, -1.435179352760315f, 0.9774317741394043f};
Numbers const gradients_a[] = {
    {0.5220499634742737f, 1.2379167079925537f, 0.0f, 0.2989608347415924f, 0.41921865940093994f, -0.0798543244600296f},
    {0.0009264108957722783f, 0.0008156775729730725f, 0.0f, -0.0001643169962335378f, -0.0006779622053727508f,
     -0.001059107482433319f},
    {22.430898666381836f, 7.167522430419922f, 0.0f, 4.5574469566345215f, -35.51199722290039f, 16.030820846557617f}};
Numbers const gradients_b[] = {
    {-1.451022744178772f, -0.6293740272521973f, 0.154415100812912f, -0.24799016118049622f},
    {0.0004535011830739677f, 1.2091091775801033e-05f, 0.0013420355971902609f, 0.001462003798224032f},
    {13.084829330444336f, 30.510406494140625f, -65.77580261230469f, 6.369920253753662f}};
double const multipliers[] = {1, 0.75, 0.25};

/// What torch.optim.AdamW of PyTorch 1.13 makes of them in three steps: rates 0.05 and 0.01, betas 0.8 and 0.95,
/// epsilon 1e-6, after torch.nn.utils.clip_grad_norm_.
struct Recorded {
  double max_norm;
  Numbers a, b, exp_avg_a, exp_avg_sq_a;
};
Recorded const recorded[] = {
    {0.5,
     {0.7110661864280701f, 0.09232857823371887f, 0.08809094876050949f, -0.6897271871566772f, -0.022159835323691368f,
      -1.2866889238357544f},
     {0.35299840569496155f, 1.025254726409912f, -1.4485605955123901f, 0.9920260310173035f},
     {0.04141373187303543f, 0.04506024345755577f, 0.0f, 0.014074591919779778f, -0.02852015383541584f,
      0.015898069366812706f},
     {0.0014909784076735377f, 0.0037920731119811535f, 0.0f, 0.0002505460870452225f, 0.002509629586711526f,
      0.0004402510530781001f}},
    {0,
     {0.7128362655639648f, 0.08998921513557434f, 0.08809094876050949f, -0.6901789307594299f, -0.019241739064455032f,
      -1.2892506122589111f},
     {0.3506700098514557f, 1.0241841077804565f, -1.448278784751892f, 0.9904855489730835f},
     {4.553150653839111f, 1.5920883417129517f, 0.0f, 0.9497300982475281f, -7.0488481521606445f, 3.1957733631134033f},
     {25.169559478759766f, 2.637820243835449f, 0.0f, 1.0425493717193604f, 63.063026428222656f, 12.849648475646973f}}};
double const norms[] = {2.159489393234253, 0.0026974494103342295, 86.96267700195312};

/// Parameters of sizes around those of the pieces that a step is made of, each with a rate and a decay of its own.
template <class Exec>
struct ManySizes {
  using Memory = typename Exec::memory_space;
  static constexpr std::size_t piece = ParameterPiece::most;
  Parameter<float, Memory, 1> a;
  Parameter<float, Memory, piece - 1> b;
  Parameter<bf16, Memory, piece> c;
  Parameter<float, Memory, piece + 1> frozen;
  Parameter<float, Memory, piece + 1> d;
  Parameter<bf16, Memory, 3 * piece + 5> e;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "a", a, ParameterRole::weight);
    f(prefix + "b", b, ParameterRole::weight);
    f(prefix + "c", c, ParameterRole::weight);
    f(prefix + "frozen", frozen, ParameterRole::weight);
    f(prefix + "d", d, ParameterRole::weight);
    f(prefix + "e", e, ParameterRole::weight);
  }
  static std::optional<ParameterRule> rule(std::string const& name, ParameterRole) {
    if (name == "frozen") return std::nullopt;
    double const which = name[0] - 'a';
    return ParameterRule{1 / (1 + which), 0.01 * which};
  }
};

/// A network of two groups with its parameters and an optimiser.
template <class Exec>
struct Run {
  Context<Exec> context;
  TwoGroups<Exec> network;
  std::optional<TrainedParameters<Exec>> parameters;
  std::optional<AdamW<Exec>> optimizer;

  Run(Context<Exec> const& c, AdamWConfig const& config) : context(c) {
    count_up(context, network, 0.0f, 1.0f);
    parameters.emplace(context, network, TwoGroups<Exec>::rule);
    optimizer.emplace(context, config, *parameters);
    put(context, parameters->values(), parameters->list()[0].offset, start_a);
    put(context, parameters->values(), parameters->list()[1].offset, start_b);
  }
  void gradients(std::size_t step) {
    put(context, parameters->gradients(), parameters->list()[0].offset, gradients_a[step]);
    put(context, parameters->gradients(), parameters->list()[1].offset, gradients_b[step]);
  }
  Numbers slice(std::size_t entry, typename TrainedParameters<Exec>::Flat const& flat) const {
    return part(context, flat, parameters->list()[entry].offset, parameters->list()[entry].size);
  }
};

AdamWConfig config_of(double max_norm) {
  return {.learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .max_gradient_norm = max_norm};
}

/// The largest |a - b| beside the largest |b|.
double error(Numbers const& a, Numbers const& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0, top = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    top = std::max(top, std::fabs(static_cast<double>(b[i])));
    if (std::isnan(a[i])) return INFINITY;
  }
  return worst / top;
}

}  // namespace

TEST_CASE("AdamW equals torch.optim.AdamW: groups, decay, multipliers of the schedule, clipping") {
  for_each_context([](auto const& context) {
    using Exec = typename std::remove_cvref_t<decltype(context)>::execution_space;
    for (auto const& expected : recorded) {
      CAPTURE(expected.max_norm);
      Run<Exec> run(context, config_of(expected.max_norm));
      for (std::size_t i = 0; i < 3; ++i) {
        run.gradients(i);
        CHECK(run.optimizer->step(*run.parameters, multipliers[i]) == doctest::Approx(norms[i]).epsilon(3e-7));
      }
      CHECK(run.optimizer->steps() == 3);
      CHECK(error(run.slice(0, run.parameters->values()), expected.a) < 3e-7);
      CHECK(error(run.slice(1, run.parameters->values()), expected.b) < 3e-7);
      CHECK(error(run.slice(0, run.optimizer->exp_avg()), expected.exp_avg_a) < 3e-7);
      CHECK(error(run.slice(0, run.optimizer->exp_avg_sq()), expected.exp_avg_sq_a) < 3e-7);
    }
  });
}

TEST_CASE("AdamW follows its definition in double precision over a hundred steps") {
  using Exec = Kokkos::DefaultExecutionSpace;
  Context<Exec> const context;
  ToyNetwork<> network;
  count_up(context, network, -0.5f, 1.0f / 128);
  auto const rule = [](std::string const& name, ParameterRole) -> std::optional<ParameterRule> {
    if (name == "frozen") return std::nullopt;
    return ParameterRule{name.starts_with("fc1") ? 0.1 : 1, name.ends_with("weight") ? 0.02 : 0};
  };
  TrainedParameters<Exec> const parameters(context, network, rule);
  AdamWConfig const config{.learning_rate = 1e-2, .max_gradient_norm = 1};
  AdamW<Exec> optimizer(context, config, parameters);
  auto const first = all(context, parameters.values());
  std::vector<double> value(first.begin(), first.end()), m(first.size()), v(first.size());
  Random random(7);
  for (int t = 1; t <= 100; ++t) {
    Numbers gradient(first.size(), 0.0f);
    double square = 0;
    for (auto const& entry : parameters.list())
      for (std::size_t i = entry.offset; i < entry.offset + entry.size; ++i) {
        gradient[i] = random.number() * (t % 3 == 0 ? 0.01f : 1.0f);
        square += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
      }
    put(context, parameters.gradients(), 0, gradient);
    double const multiplier = 1.0 / t, norm = std::sqrt(square);
    CHECK(optimizer.step(parameters, multiplier) == doctest::Approx(norm).epsilon(1e-12));
    double const scale = std::min(1.0, config.max_gradient_norm / (norm + 1e-6));
    for (auto const& entry : parameters.list())
      for (std::size_t i = entry.offset; i < entry.offset + entry.size; ++i) {
        double const g = static_cast<double>(gradient[i]) * scale;
        double const rate = config.learning_rate * entry.rule.learning_rate_multiplier * multiplier;
        m[i] = config.beta1 * m[i] + (1 - config.beta1) * g;
        v[i] = config.beta2 * v[i] + (1 - config.beta2) * g * g;
        value[i] *= 1 - rate * entry.rule.weight_decay;
        value[i] -= rate * (m[i] / (1 - std::pow(config.beta1, t))) /
                    (std::sqrt(v[i] / (1 - std::pow(config.beta2, t))) + config.epsilon);
      }
  }
  auto const last = all(context, parameters.values());
  double worst = 0, moved = 0;
  for (std::size_t i = 0; i < last.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(last[i]) - value[i]));
    moved = std::max(moved, std::fabs(value[i] - static_cast<double>(first[i])));
  }
  MESSAGE("largest error ", worst, " beside a way of ", moved);
  CHECK(moved > 1e-2);
  CHECK(worst < 3e-6);  // a hundred roundings of values near 1, 6e-8 each, mostly cancel
}

TEST_CASE("AdamW: one launch for all parameters gives each the bits of its own loop") {
  for_each_context([](auto const& context) {
    using Exec = typename std::remove_cvref_t<decltype(context)>::execution_space;
    ManySizes<Exec> network;
    count_up(context, network, -0.5f, 1.0f / 4096);
    TrainedParameters<Exec> const parameters(context, network, ManySizes<Exec>::rule);
    REQUIRE(parameters.list().size() == 5);
    AdamWConfig const config{.learning_rate = 1e-2, .max_gradient_norm = 1};
    AdamW<Exec> optimizer(context, config, parameters);
    auto value = all(context, parameters.values());
    Numbers m(value.size(), 0.0f), v(value.size(), 0.0f), gradient(value.size(), 0.0f);
    Random random(17);
    for (int t = 1; t <= 3; ++t) {
      for (auto const& entry : parameters.list())
        for (std::size_t i = 0; i < entry.size; ++i) gradient[entry.offset + i] = random.number();
      put(context, parameters.gradients(), 0, gradient);
      double norm = 0;
      std::size_t steps = 0, rounded = 0;
      {
        ToolsProbe const probe;
        norm = optimizer.step(parameters, 0.5);
        for (auto const& name : probe.kernels) {
          steps += name == "kovos::AdamW";
          rounded += name == "kovos::round";
        }
      }
      CHECK(steps == 1);
      CHECK(rounded == 1);
      auto const scale = static_cast<float>(config.max_gradient_norm / (norm + 1e-6));
      float const beta1 = 0.9f, beta2 = 0.999f;
      auto const root = static_cast<float>(std::sqrt(1 - std::pow(config.beta2, t)));
      for (auto const& entry : parameters.list()) {
        double const rate = config.learning_rate * entry.rule.learning_rate_multiplier * 0.5;
        auto const keep = static_cast<float>(1 - rate * entry.rule.weight_decay);
        auto const step_size = static_cast<float>(rate / (1 - std::pow(config.beta1, t)));
        for (std::size_t i = entry.offset; i < entry.offset + entry.size; ++i) {
          float const g = gradient[i] * scale;
          m[i] = m[i] * beta1 + g * (1 - beta1);
          v[i] = v[i] * beta2 + g * g * (1 - beta2);
          value[i] = value[i] * keep - step_size * (m[i] / (std::sqrt(v[i]) / root + 1e-8f));
        }
      }
#ifdef __FMA__
      double const allowed = 1e-6;
#else
      double const allowed = is_host_execution<Exec> ? 0 : 1e-6;
#endif
      CHECK(error(all(context, parameters.values()), value) <= allowed);
      CHECK(error(all(context, optimizer.exp_avg()), m) <= allowed);
      CHECK(error(all(context, optimizer.exp_avg_sq()), v) <= allowed);
    }
    auto const& e = parameters.list().back();
    auto const copy = values(network.e);
    auto const master = part(context, parameters.values(), e.offset, e.size);
    std::size_t different = 0;
    for (std::size_t i = 0; i < copy.size(); ++i)
      different += copy[i] != static_cast<double>(static_cast<float>(bf16(master[i])));
    CHECK(different == 0);
    CHECK(values(network.frozen)[1] == 1.0 / 4096);
  });
}

TEST_CASE("AdamW leaves everything as it is where a gradient is not finite") {
  using Exec = Kokkos::DefaultExecutionSpace;
  for (float const bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    CAPTURE(bad);
    Run<Exec> run({}, config_of(0.5));
    run.gradients(0);
    run.optimizer->step(*run.parameters);
    auto const values = all(run.context, run.parameters->values()), m = all(run.context, run.optimizer->exp_avg()),
               v = all(run.context, run.optimizer->exp_avg_sq());
    run.gradients(1);
    put(run.context, run.parameters->gradients(), run.parameters->list()[1].offset + 3, {bad});
    CHECK_FALSE(std::isfinite(run.optimizer->step(*run.parameters)));
    CHECK(run.optimizer->steps() == 1);
    CHECK(all(run.context, run.parameters->values()) == values);
    CHECK(all(run.context, run.optimizer->exp_avg()) == m);
    CHECK(all(run.context, run.optimizer->exp_avg_sq()) == v);
  }
}

TEST_CASE("AdamW with the authors' settings does not move a weight whose gradient is zero") {
  // 1 - 2e-4 * 1e-4 is 1 in fp32.
  using Exec = Kokkos::DefaultExecutionSpace;
  Context<Exec> const context;
  TwoGroups<Exec> network;
  count_up(context, network, 0.3f, 1.0f);
  TrainedParameters<Exec> const parameters(context, network, [](std::string const&, ParameterRole) {
    return std::optional(ParameterRule{1, 1e-4});
  });
  AdamW<Exec> optimizer(context, AdamWConfig{}, parameters);
  auto const before = all(context, parameters.values());
  for (int i = 0; i < 3; ++i) CHECK(optimizer.step(parameters) == 0);
  CHECK(all(context, parameters.values()) == before);
}

TEST_CASE("AdamW: a rate of zero changes the averages only") {
  using Exec = Kokkos::DefaultExecutionSpace;
  Run<Exec> run({}, config_of(0));
  auto const before = all(run.context, run.parameters->values());
  run.gradients(0);
  run.optimizer->step(*run.parameters, 0);
  CHECK(all(run.context, run.parameters->values()) == before);
  CHECK(run.slice(0, run.optimizer->exp_avg())[1] == doctest::Approx(0.2 * 1.2379167).epsilon(1e-6));
}

TEST_CASE("AdamW: gradients below the limit are not scaled up") {
  using Exec = Kokkos::DefaultExecutionSpace;
  Run<Exec> clipped({}, config_of(1e3)), free({}, config_of(0));
  for (std::size_t i = 0; i < 3; ++i) {
    clipped.gradients(i), free.gradients(i);
    clipped.optimizer->step(*clipped.parameters), free.optimizer->step(*free.parameters);
  }
  CHECK(all(clipped.context, clipped.parameters->values()) == all(free.context, free.parameters->values()));
}

TEST_CASE("AdamW publishes the master values to bf16 copies") {
  using Exec = Kokkos::DefaultExecutionSpace;
  Context<Exec> const context;
  ToyNetwork<bf16> network;
  count_up(context, network, 1.0f, 0.0f);
  TrainedParameters<Exec> const parameters(
      context, network, [](std::string const&, ParameterRole) { return std::optional(ParameterRule{}); });
  AdamW<Exec> optimizer(context, AdamWConfig{.learning_rate = 1e-3}, parameters);
  // Each step takes 1e-3 off: a fifth of bf16's unit below 1, which four steps add up to.
  bool moved = false;
  for (int t = 1; t <= 4; ++t) {
    put(context, parameters.gradients(), 0, {1.0f});
    optimizer.step(parameters);
    auto const copy = to_host(context, copy_of(context, network.fc1.weight));
    float const master = part(context, parameters.values(), 0, 1)[0];
    CHECK(master == doctest::Approx(1 - 1e-3 * t).epsilon(1e-6));
    CHECK(static_cast<float>(copy.data()[0]) == static_cast<float>(bf16(master)));
    moved = moved || static_cast<float>(copy.data()[0]) != 1.0f;
  }
  CHECK(moved);
}

TEST_CASE("the L2 norm is summed in double precision, in the same order on every space") {
  std::vector<double> got;
  std::size_t const size = 3 * 4096 + 17;
  auto const numbers = random_tensor(11, 1.0, size);
  double square = 0;
  for (std::size_t i = 0; i < size; ++i)
    square += static_cast<double>(numbers.data()[i]) * static_cast<double>(numbers.data()[i]);
  for_each_context([&](auto const& context) { got.push_back(l2_norm(context, to_device(context, numbers))); });
  CHECK(got.front() == doctest::Approx(std::sqrt(square)).epsilon(1e-14));
  for (double const norm : got) CHECK(norm == got.front());
  Context<> const context;
  auto const large = to_device(context, random_tensor(11, 1e30, std::size_t{100}));
  CHECK(std::isfinite(l2_norm(context, large)));
  CHECK(l2_norm(context, context.tensor<float>(0)) == 0);
}
