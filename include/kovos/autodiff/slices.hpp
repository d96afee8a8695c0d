// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/autodiff/elementwise.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/kernels/slices.hpp"

namespace kovos {

/// map_slices with gradients, in turn; the inside of f is not observed.
template <class Exec, Recompute Policy, class X, class E, class Observer, class F>
Tensor<float, E, typename Exec::memory_space> map_slices(Tape<Exec, Policy> const& tape, char const*, X const& x,
                                                         E const& extents, std::size_t tile, Observer const&,
                                                         F const& f) {
  std::size_t const slices = x.extent(0);
  if (tile >= slices) return f(tape, x, Unobserved{}).reshape(extents);
  auto const y = tape.adopt(tape.context().workspace().template tensor<float>(extents));
  tile = std::max<std::size_t>(1, tile);
  for (std::size_t first = 0; first < slices; first += tile) {
    auto const part = y.slice(first, std::min(tile, slices - first));
    assign(tape, part, f(tape, x.slice(first, part.extent(0)), Unobserved{}).reshape(part.extents()));
  }
  return y;
}

/// map_slices_in_place with gradients: not in place.
template <class Exec, Recompute Policy, class X, class Observer, class F>
X map_slices_in_place(Tape<Exec, Policy> const& tape, char const* label, X const& x, std::size_t tile,
                      Observer const& observe, F const& f) {
  return map_slices(tape, label, x, x.extents(), tile, observe, f);
}

/// map_columns with gradients: all at once.
template <class Exec, Recompute Policy, class F>
DynamicTensor<float, 3, typename Exec::memory_space> map_columns(
    Tape<Exec, Policy> const& tape, char const*, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    std::size_t, F const& f) {
  return f(tape, x);
}

}  // namespace kovos
