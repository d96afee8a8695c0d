// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string>
#include <string_view>

#include "kovos/core/execution.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

namespace detail {

/// A stream of numbers that depends on the seed and a name only, so that one parameter's start does not depend on which
/// others exist. SplitMix64 (Steele, Lea, Flood 2014).
class NamedRandom {
 public:
  NamedRandom(std::uint64_t seed, std::string_view name) : state_(seed * 0x9E3779B97F4A7C15u) {
    for (char const c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    next();
  }
  /// In [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  /// Mean 0, deviation 1 (Box, Muller 1958).
  double normal() {
    double const radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// How the values of a parameter are drawn.
struct Start {
  enum class Kind : std::uint8_t { constant, normal, uniform } kind;
  double value;  // the constant, the deviation around 0, or the bound of [-value, value)
  friend bool operator==(Start const&, Start const&) = default;
};

/// size: number of elements, first and last: the extents of these axes, 1 if there are none; fan_in: of the weight that
/// a bias belongs to.
inline Start start_of(ParameterRole role, std::size_t size, std::size_t first, std::size_t last, std::size_t fan_in) {
  auto const constant = [](double value) { return Start{Start::Kind::constant, value}; };
  auto const normal = [](double deviation) { return Start{Start::Kind::normal, deviation}; };
  auto const root = [](std::size_t n) { return std::sqrt(static_cast<double>(n)); };
  switch (role) {
    case ParameterRole::weight:
      return {Start::Kind::uniform, 1 / root(size / first)};
    case ParameterRole::bias:
      return {Start::Kind::uniform, 1 / root(fan_in)};
    case ParameterRole::attention_weight:
      return normal(1 / root(last));
    case ParameterRole::hidden_weight:
      return normal(1 / std::sqrt(2.0 * static_cast<double>(last)));
    case ParameterRole::residual_weight:
      return normal(0.25 / root(first));
    case ParameterRole::block_bias:
    case ParameterRole::norm_bias:
    case ParameterRole::running_mean:
    case ParameterRole::padding:
      return constant(0);
    case ParameterRole::norm_weight:
    case ParameterRole::running_variance:
      return constant(1);
    case ParameterRole::projection:
      return normal(1 / root(first));
    case ParameterRole::embedding:
      return normal(0.02);
    case ParameterRole::word_positions:
      return normal(0.01);
    case ParameterRole::patch_positions:
      return normal(1 / root(last));
    case ParameterRole::class_token:
      return normal(1 / root(size));
    case ParameterRole::logit_scale:
      return constant(std::log(1.0f / 0.07f));
  }
  return constant(0);
}

/// size values of a parameter.
template <class T>
Tensor<T const, dynamic_extents<1>> drawn(Start const& start, std::size_t size, std::uint64_t seed,
                                          std::string_view name) {
  Tensor<T, dynamic_extents<1>> const values(dynamic_extents<1>{size});
  NamedRandom random(seed, name);
  for (std::size_t i = 0; i < size; ++i) {
    double const value = start.kind == Start::Kind::constant ? start.value
                         : start.kind == Start::Kind::normal ? start.value * random.normal()
                                                             : start.value * (2 * random.uniform() - 1);
    values.data()[i] = T(static_cast<float>(value));
  }
  return {values.data(), values.extents(), values.owner()};
}

}  // namespace detail

/// Gives values to all parameters that have none: OpenAI's initialisation for CLIP (Radford et al. 2021, released
/// code), PyTorch's defaults for the rest, which is what CAT-Seg's head starts from. The values depend on the seed, the
/// parameter's name and its role only.
template <class Exec, class Network>
void initialize(Context<Exec> const& context, Network& network, std::uint64_t seed) {
  using Memory = typename Exec::memory_space;
  std::size_t fan_in = 1;  // of the last weight: PyTorch draws its bias from the same range
  for (auto const& parameter : parameters_of(network)) {
    auto const shape = parameter.shape();
    std::size_t const size = parameter.size();
    std::size_t const first = shape.empty() ? 1 : shape.front(), last = shape.empty() ? 1 : shape.back();
    if (parameter.role() == ParameterRole::weight) fan_in = size / first;
    if (!parameter.empty()) continue;
    auto const start = detail::start_of(parameter.role(), size, first, last, fan_in);
    if (parameter.dtype() == DType::f32)
      parameter.template give<float const, Memory>(
          to_device(context, detail::drawn<float>(start, size, seed, parameter.name())));
    else
      parameter.template give<bf16 const, Memory>(
          to_device(context, detail::drawn<bf16>(start, size, seed, parameter.name())));
  }
}

}  // namespace kovos
