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

inline bool is_normalisation(std::string_view name) {
  for (std::string_view const part : {"norm", "ln_", "double_conv.1.", "double_conv.4."})
    if (name.find(part) != std::string_view::npos) return true;
  return false;
}

}  // namespace detail

/// Gives values to all parameters that have none: OpenAI's initialisation for CLIP (Radford et al. 2021, released
/// code), PyTorch's defaults for the rest, which is what CAT-Seg's head starts from (catseg 6.3). The values depend on
/// the seed and the parameter's name only.
template <class Exec, class Network>
void initialize(Context<Exec> const& context, Network& network, std::uint64_t seed) {
  std::size_t fan_in = 1;  // of the last weight: PyTorch draws its bias from the same range
  auto give = [&]<class T, class Memory, std::size_t... E>(std::string const& name,
                                                           Parameter<T, Memory, E...>& parameter) {
    std::size_t const size = Extents<E...>{}.size();
    constexpr std::size_t rank = sizeof...(E);
    std::size_t first = 1, last = 1;
    if constexpr (rank > 0) {
      std::size_t const extents[] = {E...};
      first = extents[0];
      last = extents[rank - 1];
    }
    auto const has = [&](std::string_view part) { return name.find(part) != name.npos; };
    if (rank >= 2) fan_in = size / first;
    if (!parameter.empty()) return;
    Tensor<T, Extents<E...>> host{Extents<E...>{}};
    detail::NamedRandom random(seed, name);
    auto const normal = [&](double deviation) {
      for (std::size_t i = 0; i < size; ++i) host.data()[i] = T(static_cast<float>(deviation * random.normal()));
    };
    auto const constant = [&](float value) {
      for (std::size_t i = 0; i < size; ++i) host.data()[i] = T(value);
    };
    bool const encoder = has("transformer.resblocks.");
    if (name.ends_with("logit_scale")) constant(std::log(1.0f / 0.07f));
    else if (has("padding_tokens") || has("padding_guidance")) constant(0);
    else if (detail::is_normalisation(name)) constant(name.ends_with("weight") ? 1.0f : 0.0f);
    else if (has("token_embedding")) normal(0.02);
    else if (name.ends_with("visual.positional_embedding") || name.ends_with("class_embedding") ||
             name.ends_with("visual.proj") || name.ends_with("text_projection"))
      normal(1 / std::sqrt(static_cast<double>(name.ends_with("class_embedding")        ? size
                                               : name.ends_with("positional_embedding") ? last
                                                                                        : first)));
    else if (name.ends_with("positional_embedding")) normal(0.01);
    else if (encoder && rank == 1) constant(0);
    else if (encoder && (has("out_proj") || has("c_proj"))) normal(0.25 / std::sqrt(static_cast<double>(first)));
    else if (encoder && has("c_fc")) normal(1 / std::sqrt(2.0 * static_cast<double>(last)));
    else if (encoder) normal(1 / std::sqrt(static_cast<double>(last)));
    else {
      double const bound = 1 / std::sqrt(static_cast<double>(fan_in));
      for (std::size_t i = 0; i < size; ++i) host.data()[i] = T(static_cast<float>(bound * (2 * random.uniform() - 1)));
    }
    Tensor<T const, Extents<E...>> const values(host.data(), host.extents(), host.owner());
    parameter = to_device(context, values);
  };
  network.visit(give, "");
}

}  // namespace kovos
