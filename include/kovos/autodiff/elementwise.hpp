// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos {

namespace detail {

/// g[j] += sum over i of x[i * period + j].
template <class Exec>
void add_repeats(Context<Exec> const& context, float const* x, std::size_t size, std::size_t period, float* g) {
  if (size == period) add_to(context, x, size, g);
  else add_column_sums(context, x, size / period, period, period, g);
}

}  // namespace detail

/// copy_of with gradients.
template <class Exec, Recompute Policy, class X>
auto copy_of(Tape<Exec, Policy> const& tape, X const& x) {
  auto const y = tape.adopt(copy_of(tape.context(), x));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [dx, size = x.size()](auto const& t, float* dy) {
    detail::add_to(t.context(), dy, size, dx.accumulate(t.context()));
  });
  return y;
}

/// assign with gradients: what was in x before has none.
template <class Exec, Recompute Policy, class X, class Y>
void assign(Tape<Exec, Policy> const& tape, X const& x, Y const& y) {
  assign(tape.context(), x, y);
  tape.overwritten(x.data());
  auto const dy = tape.gradient_of(y.data());
  tape.record(x.data(), {dy, tape.gradient_of(x.data())}, {}, [dy, size = x.size()](auto const& t, float* dx) {
    if (dy) detail::add_to(t.context(), dx, size, dy.accumulate(t.context()));
    detail::clear(t.context(), Matrix<float>{dx, 1, size, size, 1});
  });
}

/// add_in_place with gradients.
template <class Exec, Recompute Policy, class Shape, class Y>
void add_in_place(Tape<Exec, Policy> const& tape, Tensor<float, Shape, typename Exec::memory_space> const& x,
                  Y const& y) {
  add_in_place(tape.context(), x, y);
  tape.overwritten(x.data());
  auto const dy = tape.gradient_of(y.data());
  tape.record(x.data(), {dy}, {}, [dy, size = x.size(), period = y.size()](auto const& t, float* dx) {
    detail::add_repeats(t.context(), dx, size, period, dy.accumulate(t.context()));
  });
}

/// mean_over_axis1 with gradients.
template <class Exec, Recompute Policy>
auto mean_over_axis1(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& x) {
  auto const y = tape.adopt(mean_over_axis1(tape.context(), x));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [dx, extents = x.extents()](auto const& t, float* dy) {
    detail::solve(t.context(),
                  problem::MeanOverAxis1Gradient{dy, dx.accumulate(t.context()), extents[0], extents[1], extents[2]});
  });
  return y;
}

/// normalize_channels; pixels have no gradient.
template <class Exec, Recompute Policy, std::size_t C>
auto normalize_channels(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                        Kokkos::Array<float, C> shift, Kokkos::Array<float, C> divisor) {
  require<GradientError>(!tape.gradient_of(x.data()), "[normalize_channels] there is no gradient for pixels");
  return tape.adopt(normalize_channels(tape.context(), x, shift, divisor));
}

}  // namespace kovos
