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
                                                         E const& extents, SliceTiles tiles, Observer const&,
                                                         F const& f) {
  std::size_t const of_group = tiles.of_group(x.extent(0)), tile = std::max<std::size_t>(1, tiles.tile);
  if (tiles.groups == 1 && tile >= of_group) return f(tape, x, std::size_t{0}, Unobserved{}).reshape(extents);
  auto const y = tape.adopt(tape.context().workspace().template tensor<float>(extents));
  for (std::size_t group = 0; group < tiles.groups; ++group)
    for (std::size_t place = 0; place < of_group; place += tile) {
      auto const part = y.slice(group * of_group + place, std::min(tile, of_group - place));
      auto const from = x.slice(group * of_group + place, part.extent(0));
      assign(tape, part, f(tape, from, group, Unobserved{}).reshape(part.extents()));
    }
  return y;
}

/// map_slices_in_place with gradients: not in place.
template <class Exec, Recompute Policy, class X, class Observer, class F>
X map_slices_in_place(Tape<Exec, Policy> const& tape, char const* label, X const& x, SliceTiles tiles,
                      Observer const& observe, F const& f) {
  return map_slices(tape, label, x, x.extents(), tiles, observe, f);
}

/// map_columns with gradients: a group at once.
template <class Exec, Recompute Policy, class F>
DynamicTensor<float, 3, typename Exec::memory_space> map_columns(
    Tape<Exec, Policy> const& tape, char const*, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    std::size_t groups, std::size_t, F const& f) {
  return map_groups(tape, x, groups, f);
}

}  // namespace kovos
