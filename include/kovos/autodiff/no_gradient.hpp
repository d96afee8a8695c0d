// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/autodiff/tape.hpp"

// Kernels without a gradient rule, refused with a sentence where they are run in a Tape; what they return only spares
// the reader a second error.
namespace kovos {

namespace detail {
template <class>
inline constexpr bool has_gradient_rule = false;
}  // namespace detail

template <class Exec, Recompute Policy, class X, class... More>
auto activate(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(
      detail::has_gradient_rule<Exec>,
      "kovos::activate has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto add_window(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(
      detail::has_gradient_rule<Exec>,
      "kovos::add_window has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto argmax(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(detail::has_gradient_rule<Exec>,
                "kovos::argmax has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto blend_windows_with_global(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(detail::has_gradient_rule<Exec>,
                "kovos::blend_windows_with_global has no gradient rule; run it in tape.context() where nothing watched "
                "flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto crop(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(detail::has_gradient_rule<Exec>,
                "kovos::crop has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto fill(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(detail::has_gradient_rule<Exec>,
                "kovos::fill has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto softmax(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(detail::has_gradient_rule<Exec>,
                "kovos::softmax has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto update_argmax(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(
      detail::has_gradient_rule<Exec>,
      "kovos::update_argmax has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto window_partition(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(
      detail::has_gradient_rule<Exec>,
      "kovos::window_partition has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

template <class Exec, Recompute Policy, class X, class... More>
auto window_reverse(Tape<Exec, Policy> const&, X const& x, More const&...) {
  static_assert(
      detail::has_gradient_rule<Exec>,
      "kovos::window_reverse has no gradient rule; run it in tape.context() where nothing watched flows through it");
  return x;
}

}  // namespace kovos
