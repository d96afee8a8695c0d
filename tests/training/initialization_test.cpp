// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/initialization.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "kovos/segmentation/cat_seg_network.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;

using Exec = Kokkos::DefaultExecutionSpace;
template <class T = float>
using Network = CatSegNetwork<cat_seg_tiny, T, Exec::memory_space>;
using Values = std::map<std::string, std::vector<float>>;

template <class N>
Values values_of(N const& network) {
  using Memory = Exec::memory_space;
  Context<Exec> const context;
  Values values;
  for (auto const& parameter : parameters_of(network)) {
    REQUIRE_MESSAGE(!parameter.empty(), parameter.name());
    auto const host =
        to_host(context, parameter.dtype() == DType::f32 ? copy_of(context, parameter.template flat<float, Memory>())
                                                         : copy_of(context, parameter.template flat<bf16, Memory>()));
    values[parameter.name()].assign(host.data(), host.data() + host.size());
  }
  return values;
}

template <class T = float>
Network<T> drawn(std::uint64_t seed) {
  Network<T> network;
  initialize(Context<Exec>(), network, seed);
  return network;
}

struct Moments {
  double mean = 0, deviation = 0, lowest = 0, highest = 0;
};
Moments moments(std::vector<float> const& values) {
  Moments m{0, 0, INFINITY, -INFINITY};
  double const n = static_cast<double>(values.size());
  for (float const x : values) {
    m.mean += static_cast<double>(x) / n;
    m.lowest = std::min(m.lowest, static_cast<double>(x)), m.highest = std::max(m.highest, static_cast<double>(x));
  }
  for (float const x : values) m.deviation += std::pow(static_cast<double>(x) - m.mean, 2) / n;
  m.deviation = std::sqrt(m.deviation);
  return m;
}

std::string const clip = "sem_seg_head.predictor.clip_model.", head = "sem_seg_head.predictor.transformer.";

/// A normal distribution around 0: mean and deviation within five standard errors.
void check_normal(Values const& values, std::string const& name, double deviation) {
  CAPTURE(name);
  auto const& list = values.at(name);
  auto const m = moments(list);
  double const error = deviation / std::sqrt(static_cast<double>(list.size()));
  CHECK(std::fabs(m.mean) < 5 * error);
  CHECK(std::fabs(m.deviation - deviation) < 5 * error / std::sqrt(2.0));
  CHECK(m.highest > 2 * deviation);  // not cut off
}

/// Even between -bound and bound, and near both ends.
void check_uniform(Values const& values, std::string const& name, double fan_in) {
  CAPTURE(name);
  auto const& list = values.at(name);
  auto const m = moments(list);
  double const bound = 1 / std::sqrt(fan_in), n = static_cast<double>(list.size());
  CHECK(m.lowest >= -bound * (1 + 1e-6));
  CHECK(m.highest <= bound * (1 + 1e-6));
  CHECK(m.highest - m.lowest > 2 * bound * (1 - 12 / n));
  CHECK(std::fabs(m.mean) < 5 * bound / std::sqrt(3 * n));
}

void check_constant(Values const& values, std::string const& name, float value) {
  CAPTURE(name);
  auto const& list = values.at(name);
  CHECK(std::all_of(list.begin(), list.end(), [&](float x) { return x == value; }));
}

}  // namespace

TEST_CASE("initialization: the same seed gives the same bytes, another seed others") {
  auto const a = values_of(drawn(3)), b = values_of(drawn(3)), c = values_of(drawn(4));
  CHECK(a == b);
  for (auto const& [name, list] : a) {
    if (list.size() == 1) continue;
    bool const constant = list == std::vector<float>(list.size(), list.front());
    CHECK_MESSAGE((list == c.at(name)) == constant, name);
  }
}

TEST_CASE("initialization: pinned numbers") {
  // A seed gives the same start on every machine and in every version; normal numbers go through log and cos.
  detail::NamedRandom random(7, "fc1.weight");
  CHECK(random.uniform() == 0.9910711552171438);
  CHECK(random.uniform() == 0.5890541473267843);
  CHECK(random.normal() == doctest::Approx(0.742736474084496).epsilon(1e-14));
}

TEST_CASE("initialization: no two parameters are alike") {
  auto const values = values_of(drawn(3));
  std::map<std::vector<float>, std::string> seen;
  for (auto const& [name, list] : values) {
    if (list == std::vector<float>(list.size(), list.front())) continue;
    auto const start = std::vector<float>(list.begin(), list.begin() + 3);
    CHECK_MESSAGE(seen.emplace(start, name).second, name, " starts as ", seen[start]);
  }
  CHECK(seen.size() > 60);
}

TEST_CASE("initialization: what has values keeps them, and does not change what the others get") {
  auto const all = values_of(drawn(3));
  Context<Exec> const context;
  Network<> network;
  Tensor<float, Extents<32, 1, 7, 7>> host{Extents<32, 1, 7, 7>{}};
  for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = static_cast<float>(i);
  using Given = Tensor<float const, Extents<32, 1, 7, 7>>;
  std::string given;
  auto give = [&]<class T, class M, std::size_t... E>(std::string const& name, Parameter<T, M, E...>& parameter) {
    if constexpr (std::is_same_v<Extents<E...>, Extents<32, 1, 7, 7>> && std::is_same_v<T, float>) {
      given = name;
      parameter = to_device(context, Given(host.data(), host.extents(), host.owner()));
    }
  };
  for_each_parameter(network, give);
  REQUIRE(given == head + "conv1.weight");
  initialize(context, network, 3);
  auto const some = values_of(network);
  CHECK(some.size() == all.size());
  for (auto const& [name, list] : some) {
    CAPTURE(name);
    if (name != given) CHECK(list == all.at(name));
  }
  CHECK(some.at(given) == std::vector<float>(host.data(), host.data() + host.size()));
  initialize(context, network, 4);
  CHECK(values_of(network) == some);
}

TEST_CASE("initialization: CLIP starts as OpenAI's code starts it") {
  auto const values = values_of(drawn(3));
  std::string const block = clip + "visual.transformer.resblocks.1.", text = clip + "transformer.resblocks.1.";
  check_constant(values, clip + "logit_scale", static_cast<float>(std::log(1 / 0.07)));
  check_normal(values, clip + "token_embedding.weight", 0.02);
  check_normal(values, clip + "positional_embedding", 0.01);
  check_normal(values, clip + "text_projection", 1 / std::sqrt(64.0));
  check_normal(values, clip + "visual.positional_embedding", 1 / std::sqrt(64.0));
  check_normal(values, clip + "visual.class_embedding", 1 / std::sqrt(64.0));
  check_normal(values, clip + "visual.proj", 1 / std::sqrt(64.0));
  for (auto const& in : {block, text}) {
    for (char const* const part : {"q", "k", "v"}) {
      std::string name = in;
      check_normal(values, name.append("attn.").append(part).append("_proj_weight"), 1 / std::sqrt(64.0));
    }
    check_constant(values, in + "attn.in_proj_bias", 0);
    check_constant(values, in + "attn.out_proj.bias", 0);
    check_constant(values, in + "mlp.c_fc.bias", 0);
    check_constant(values, in + "ln_1.weight", 1);
    check_constant(values, in + "ln_2.bias", 0);
    check_normal(values, in + "mlp.c_fc.weight", 1 / std::sqrt(2 * 64.0));
    check_normal(values, in + "attn.out_proj.weight", 0.25 / std::sqrt(64.0));  // what (2 layers)^-0.5 is for eight
    check_normal(values, in + "mlp.c_proj.weight", 0.25 / std::sqrt(64.0));
  }
  check_uniform(values, clip + "visual.conv1.weight", 3 * 16 * 16);
  check_constant(values, clip + "ln_final.weight", 1);
  check_constant(values, clip + "visual.ln_post.bias", 0);
}

TEST_CASE("initialization: the head starts as PyTorch's layers start") {
  auto const values = values_of(drawn(3));
  std::string const layer = head + "layers.0.";
  check_constant(values, layer + "attention.padding_tokens", 0);
  check_constant(values, layer + "attention.padding_guidance", 0);
  check_constant(values, layer + "swin_block.guidance_norm.weight", 1);
  check_constant(values, layer + "swin_block.block_1.norm1.bias", 0);
  check_constant(values, head + "decoder1.conv.double_conv.1.weight", 1);
  check_constant(values, head + "decoder2.conv.double_conv.4.bias", 0);
  check_uniform(values, head + "conv1.weight", 49);
  check_uniform(values, head + "conv1.bias", 49);
  check_uniform(values, head + "guidance_projection.0.weight", 48 * 9);
  check_uniform(values, head + "decoder1.conv.double_conv.0.weight", 32 * 9);
  check_uniform(values, head + "head.weight", 16 * 9);
  check_uniform(values, layer + "swin_block.block_1.attn.q.weight", 32 + 16);
  check_uniform(values, layer + "swin_block.block_1.attn.q.bias", 32 + 16);
  check_uniform(values, layer + "swin_block.block_1.mlp.fc2.weight", 4 * 32);
  check_uniform(values, layer + "attention.attention.v.weight", 32);
  check_uniform(values, "upsample1.weight", 32 * 4);  // of a transposed convolution: outputs x area
  check_uniform(values, "upsample1.bias", 32 * 4);
  check_uniform(values, "upsample2.weight", 16 * 16);
}

TEST_CASE("initialization: bf16 parameters are the rounded fp32 ones") {
  auto const full = values_of(drawn(3)), stored = values_of(drawn<bf16>(3));
  CHECK(full.size() == stored.size());
  bool rounded = false;
  for (auto const& [name, list] : stored) {
    auto expected = full.at(name);
    if (list != expected) {
      rounded = true;
      for (float& x : expected) x = static_cast<float>(bf16(x));
    }
    CHECK_MESSAGE(list == expected, name);
  }
  CHECK(rounded);
}
