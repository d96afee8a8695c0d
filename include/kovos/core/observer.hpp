// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kovos {

/// The observer nobody listens to. A model calls observe(name, tensor) for each intermediate result, whole and once per
/// name; pass a callable of your own to look at them (tests compare them with the authors' code, examples draw them).
/// What is computed does not depend on who observes it; what only an observer sees is computed for it in addition.
struct Unobserved {
  template <class V>
  void operator()(std::string_view, V const&) const {}
};

template <class Observer>
inline constexpr bool is_observed = !std::is_same_v<std::decay_t<Observer>, Unobserved>;

/// An observer whose names continue a prefix of those of another, which it refers to.
template <class Observer>
auto observe_below(Observer const& observe, std::string prefix) {
  if constexpr (!is_observed<Observer>) return Unobserved{};
  else
    return [&observe, prefix = std::move(prefix)](std::string_view name, auto const& x) {
      observe(prefix + std::string(name), x);
    };
}

/// The observer for the inside of a block of layers: none in a context that may run blocks twice.
template <class C, class Observer>
auto observe_inside_block(C const&, Observer const& observe) {
  if constexpr (C::in_place) return observe;
  else return Unobserved{};
}

}  // namespace kovos
