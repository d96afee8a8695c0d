// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/parameters.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "support/spaces.hpp"
#include "training/toy_network.hpp"

namespace {

using namespace kovos;
using namespace kovos::test;

using Exec = Kokkos::DefaultExecutionSpace;

std::optional<ParameterRule> rule(std::string const& name, ParameterRole) {
  if (name == "frozen") return std::nullopt;
  return ParameterRule{name.starts_with("fc1") ? 0.5 : 2.0, name.ends_with("weight") ? 0.1 : 0.0};
}

template <class T = float>
ToyNetwork<T> counted(Context<Exec> const& context) {
  ToyNetwork<T> network;
  count_up(context, network, 1.0f, 1.0f / 512);
  return network;
}

template <class T>
std::vector<float> host_of(Context<Exec> const& context, T const& parameter) {
  auto const host = to_host(context, copy_of(context, parameter));
  std::vector<float> values(host.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(host.data()[i]);
  return values;
}

}  // namespace

TEST_CASE("trained parameters: each in its place, with its rule") {
  Context<Exec> const context;
  auto network = counted(context);
  auto const before = host_of(context, network.fc2.weight), fixed = host_of(context, network.frozen);
  void const* const frozen = network.frozen.data();
  TrainedParameters<Exec> const parameters(context, network, rule);
  struct Expected {
    std::string name;
    std::vector<std::size_t> shape;
    double multiplier, decay;
  };
  std::vector<Expected> const expected{{"fc1.weight", {6, 4}, 0.5, 0.1},
                                       {"fc1.bias", {6}, 0.5, 0},
                                       {"fc2.weight", {16, 6}, 2, 0.1},
                                       {"fc2.bias", {16}, 2, 0}};
  REQUIRE(parameters.list().size() == expected.size());
  std::size_t end = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    auto const& entry = parameters.list()[i];
    CHECK(entry.name == expected[i].name);
    CHECK(entry.shape == expected[i].shape);
    CHECK(entry.rule.learning_rate_multiplier == expected[i].multiplier);
    CHECK(entry.rule.weight_decay == expected[i].decay);
    CHECK(entry.offset >= end);
    CHECK(entry.offset % 16 == 0);
    end = entry.offset + entry.size;
  }
  CHECK(parameters.values().size() >= end);
  CHECK(parameters.gradients().size() == parameters.values().size());
  for (float const g : all(context, parameters.gradients())) CHECK(g == 0);

  auto const& weight = parameters.list()[2];
  CHECK(part(context, parameters.values(), weight.offset, weight.size) == before);
  CHECK(host_of(context, network.fc2.weight) == before);
  CHECK(network.fc2.weight.data() == parameters.values().data() + weight.offset);
  CHECK(network.frozen.data() == frozen);
  CHECK(host_of(context, network.frozen) == fixed);
}

TEST_CASE("trained parameters: the network sees every change at once") {
  Context<Exec> const context;
  auto network = counted(context);
  TrainedParameters<Exec> const parameters(context, network, rule);
  put(context, parameters.values(), parameters.list()[1].offset, {7, 8, 9, 10, 11, 12});
  CHECK(host_of(context, network.fc1.bias) == std::vector<float>{7, 8, 9, 10, 11, 12});
}

TEST_CASE("trained parameters: the weights a network was copied from stay as they are") {
  Context<Exec> const context;
  auto network = counted(context);
  auto const copy = network;
  auto const before = host_of(context, copy.fc1.bias);
  TrainedParameters<Exec> const parameters(context, network, rule);
  put(context, parameters.values(), parameters.list()[1].offset, {7, 8, 9, 10, 11, 12});
  CHECK(host_of(context, copy.fc1.bias) == before);
}

TEST_CASE("trained parameters: a network outlives them") {
  Context<Exec> const context;
  auto network = counted(context);
  auto const before = host_of(context, network.fc2.weight);
  { TrainedParameters<Exec> const parameters(context, network, rule); }
  CHECK(host_of(context, network.fc2.weight) == before);
}

TEST_CASE("trained parameters: bf16 copies are the rounded master values, from the start and after each change") {
  Context<Exec> const context;
  auto network = counted<bf16>(context);
  auto const before = host_of(context, network.fc1.weight);
  TrainedParameters<Exec> const parameters(context, network, rule);
  auto const& entry = parameters.list()[0];
  CHECK(host_of(context, network.fc1.weight) == before);
  CHECK(part(context, parameters.values(), entry.offset, entry.size) == before);

  // Less than half a unit of bf16's last place away from 2: the copy does not move, the master value does.
  std::vector<float> values(entry.size, 2.001f);
  values[1] = 1.0f + 0x1p-8f;      // a tie: to even, down
  values[2] = 1.0f + 3 * 0x1p-8f;  // a tie: to even, up
  values[3] = -2.0f - 0x1.8p-7f;   // above the half
  values[4] = 1e-40f;              // denormal
  put(context, parameters.values(), entry.offset, values);
  CHECK(host_of(context, network.fc1.weight) == before);
  parameters.publish();
  context.fence();
  std::vector<float> expected(entry.size, 2.0f);
  expected[1] = 1.0f;
  expected[2] = 1.0f + 0x1p-6f;
  expected[3] = -2.0f - 0x1p-6f;
  expected[4] = 0x1p-133f;
  CHECK(host_of(context, network.fc1.weight) == expected);
  CHECK(part(context, parameters.values(), entry.offset, entry.size) == values);
  CHECK(network.fc1.bias.data() == parameters.values().data() + parameters.list()[1].offset);
}

TEST_CASE("trained parameters: gradients arrive at the master values and are added up until they are cleared") {
  Context<Exec> const context;
  auto network = counted<bf16>(context);
  TrainedParameters<Exec> const parameters(context, network, rule);
  auto const x = to_device(context, random_tensor(3, 1.0, std::size_t{5}, std::size_t{4}));
  auto const run = [&] {
    Tape<Exec> tape(context);
    parameters.watch(tape);
    auto const y = network.fc1(tape, x);
    auto const loss = tape.tensor<float>(1);
    fill(context, loss, 0.0f);
    auto const dy = tape.gradient_of(y.data());
    tape.record(loss.data(), {dy}, {}, [dy, size = y.size()](auto const& t, float*) {
      DynamicTensor<float, 1, Exec::memory_space> const g(dy.accumulate(t.context()), dynamic_extents<1>{size},
                                                          nullptr);
      fill(t.context(), g, 1.0f);
    });
    tape.backward(loss);
    context.fence();
  };
  // d sum(y) / d weight[o][i] is the sum of column i of x, d / d bias is the number of rows.
  std::vector<float> expected(4, 0.0f);
  auto const host = to_host(context, x);
  for (std::size_t r = 0; r < 5; ++r)
    for (std::size_t i = 0; i < 4; ++i) expected[i] += host.data()[4 * r + i];
  for (int const times : {1, 2}) {
    CAPTURE(times);
    run();
    auto const weight = part(context, parameters.gradients(), parameters.list()[0].offset, 24);
    for (std::size_t i = 0; i < 24; ++i)
      CHECK(weight[i] == doctest::Approx(static_cast<float>(times) * expected[i % 4]).epsilon(1e-6));
    for (float const g : part(context, parameters.gradients(), parameters.list()[1].offset, 6))
      CHECK(g == static_cast<float>(5 * times));
  }
  parameters.clear_gradients();
  for (float const g : all(context, parameters.gradients())) CHECK(g == 0);
}

TEST_CASE("trained parameters: one without values is refused by name, one that is frozen may lack them") {
  Context<Exec> const context;
  auto network = counted(context);
  network.frozen = decltype(network.frozen){};
  CHECK_NOTHROW(TrainedParameters<Exec>(context, network, rule));
  network.fc2.bias = decltype(network.fc2.bias){};
  CHECK(message_of<CheckpointError>([&] { TrainedParameters<Exec>(context, network, rule); }) ==
        "[TrainedParameters] fc2.bias has no values to start from");
}

TEST_CASE_TEMPLATE("trained parameters: no context keeps what it makes of them", T, float, bf16) {
  Context<Exec> const context;
  auto network = counted<T>(context);
  TrainedParameters<Exec> const parameters(context, network, rule);
  auto copy = network;  // as a model that is evaluated has it
  declare_constant(context, copy);
  auto const constant = [&](auto const& parameter) { return context.packed().is_constant(parameter.data()); };
  CHECK(constant(network.frozen));
  CHECK_FALSE(constant(network.fc1.weight));
  CHECK_FALSE(constant(network.fc1.bias));
  CHECK_FALSE(constant(network.fc2.weight));
  // Values that are given to it afterwards are its own again.
  Tensor<T, Extents<6, 4>> const own{Extents<6, 4>{}};
  network.fc1.weight = own;
  declare_constant(context, network);
  CHECK(constant(network.fc1.weight));
}

TEST_CASE("trained parameters: none at all") {
  Context<Exec> const context;
  auto network = counted(context);
  TrainedParameters<Exec> const parameters(
      context, network, [](std::string const&, ParameterRole) { return std::optional<ParameterRule>(); });
  CHECK(parameters.list().empty());
  CHECK(parameters.values().size() == 0);
}
