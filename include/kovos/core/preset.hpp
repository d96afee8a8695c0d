// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace kovos {

/// A configuration that a program chooses at run time, under the name it is called by.
template <class Config>
struct Preset {
  std::string_view name;
  Config config;
};

/// A list of presets with others after it, one's own beside those of Kovos:
///
///     inline constexpr auto presets = with_presets(cat_seg_presets, {{"cat_seg_narrow", cat_seg_narrow}});
///     auto model = AnyModel<>::load<presets>("narrow.safetensors");
template <class Config, std::size_t N, std::size_t M>
constexpr std::array<Preset<Config>, N + M> with_presets(std::array<Preset<Config>, N> const& list,
                                                         Preset<Config> const (&others)[M]) {
  return [&]<std::size_t... I, std::size_t... J>(std::index_sequence<I...>, std::index_sequence<J...>) {
    return std::array<Preset<Config>, N + M>{list[I]..., others[J]...};
  }
  (std::make_index_sequence<N>(), std::make_index_sequence<M>());
}

/// The name of a configuration in a list; "custom" if it is not there.
template <class Config, std::size_t N>
constexpr std::string_view name_in(std::array<Preset<Config>, N> const& list, Config const& config) {
  for (auto const& preset : list)
    if (preset.config == config) return preset.name;
  return "custom";
}

/// Calls f.template operator()<config>(name) for the first preset of a list for which fits.template
/// operator()<config>() is true; whether there is one. What is behind another of the same shape_of is never called, nor
/// compiled: no file tells them apart.
template <auto const& Presets, class Fits, class F>
bool visit_first_preset(Fits const& fits, F const& f) {
  auto const visit = [&]<std::size_t I>() {
    constexpr bool is_first = [] {
      for (std::size_t i = 0; i != I; ++i)  // nvcc finds `<` pointless where I is 0
        if (shape_of(Presets[i].config) == shape_of(Presets[I].config)) return false;
      return true;
    }();
    if constexpr (is_first) {
      if (!fits.template operator()<Presets[I].config>()) return false;
      f.template operator()<Presets[I].config>(Presets[I].name);
      return true;
    }
    return false;
  };
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return (visit.template operator()<I>() || ...); }
  (std::make_index_sequence<Presets.size()>());
}

/// Calls f.template operator()<config>(name) for each preset of a list, until one returns true; whether one did.
template <auto const& Presets, class F>
bool visit_presets(F const& f) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return (f.template operator()<Presets[I].config>(Presets[I].name) || ...);
  }
  (std::make_index_sequence<Presets.size()>());
}

/// "a, b or c": the names of a list, for messages.
template <class Config, std::size_t N>
std::string names_of(std::array<Preset<Config>, N> const& list) {
  std::string text;
  for (std::size_t i = 0; i < N; ++i) text += (i == 0 ? "" : i + 1 == N ? " or " : ", ") + std::string(list[i].name);
  return text;
}

}  // namespace kovos
