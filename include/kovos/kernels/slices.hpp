// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gather.hpp"

// Control flow over a caller's functions, no kernels: above for_each_alone, and not in core as kernels copy the slices.
namespace kovos {

/// How slices of a leading axis are taken that belong to equal groups, one group after the other: so many at a time,
/// and never of two groups.
struct SliceTiles {
  std::size_t tile = 1;
  std::size_t groups = 1;

  /// How many slices each group has. Throws ShapeError if they do not share `slices` equally.
  std::size_t of_group(std::size_t slices) const {
    require<ShapeError>(groups > 0 && slices % groups == 0, "[SliceTiles] ", slices, " slices are not ", groups,
                        " equal groups");
    return slices / groups;
  }
};

namespace detail {

/// What is seen inside of slices of a leading axis, put together for an observer of the whole. Thread-safe but for
/// tell().
template <class Exec, class Observer>
class ObservedSlices {
 public:
  using Map = DynamicTensor<float, 4, typename Exec::memory_space>;

  ObservedSlices(Context<Exec> const& context, std::size_t slices, Observer const& observe)
      : context_(context), slices_(slices), observe_(observe) {}

  /// The observer for slices from `first` on, worked through in `one`.
  auto from(Context<Exec> const& one, std::size_t first) {
    if constexpr (!is_observed<Observer>) return Unobserved{};
    else
      return [this, &one, first](std::string_view name, Map const& part) {
        assign(one, whole_of(name, part).slice(first, part.extent(0)), part);
      };
  }

  /// Shows everything, in the order in which a slice showed it.
  void tell() const {
    for (auto const& [name, map] : maps_) observe_(name, map);
  }

 private:
  Map whole_of(std::string_view name, Map const& part) {
    std::lock_guard const lock(mutex_);
    for (auto const& [known, map] : maps_)
      if (known == name) return map;
    maps_.emplace_back(name, context_.template tensor<float>(slices_, part.extent(1), part.extent(2), part.extent(3)));
    return maps_.back().second;
  }

  Context<Exec> const& context_;
  std::size_t slices_;
  Observer const& observe_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, Map>> maps_;
};

/// y = f(x), slice by slice; y may be x.
template <class Exec, class X, class Y, class Observer, class F>
void run_slices(Context<Exec> const& context, char const* label, X const& x, Y const& y, SliceTiles tiles,
                Observer const& observe, F const& f) {
  std::size_t const slices = x.extent(0), of_group = tiles.of_group(slices);
  std::size_t const tile = runs_side_by_side(context, slices) ? 1 : std::max<std::size_t>(1, tiles.tile);
  std::size_t const tasks = (of_group + tile - 1) / tile;  // of each group
  ObservedSlices<Exec, Observer> observed(context, slices, observe);
  for_each_alone(context, label, tiles.groups * tasks, [&](Context<Exec> const& one, std::size_t task) {
    std::size_t const group = task / tasks, place = task % tasks * tile, first = group * of_group + place;
    auto const part = y.slice(first, std::min(tile, of_group - place));
    assign(one, part, f(one, x.slice(first, part.extent(0)), group, observed.from(one, first)).reshape(part.extents()));
  });
  observed.tell();
}

}  // namespace detail

/// f of each slice of x along its leading axis, where slices do not depend on each other: side by side, each on one
/// core with all it needs in its cache, where that is better, else a tile at a time. x: [T, ...], f(context, slices [t,
/// ...] of one group, the group's number, observe) -> t slices of as many elements as `extents` has in each; what f
/// shows there is shown to `observe` put together -> extents, which begin with T.
template <class Exec, class X, class E, class Observer, class F>
Tensor<float, E, typename Exec::memory_space> map_slices(Context<Exec> const& context, char const* label, X const& x,
                                                         E const& extents, SliceTiles tiles, Observer const& observe,
                                                         F const& f) {
  auto const y = context.workspace().template tensor<float>(extents);
  detail::run_slices(context, label, x, y, tiles, observe, f);
  return y;
}

/// The same where f keeps the extents; x is overwritten where the context allows it.
template <class Exec, class X, class Observer, class F>
X map_slices_in_place(Context<Exec> const& context, char const* label, X const& x, SliceTiles tiles,
                      Observer const& observe, F const& f) {
  detail::run_slices(context, label, x, x, tiles, observe, f);
  return x;
}

/// f of each of `groups` equal parts of x's leading axis, in turn. x: [G * T, ...], f(context, [T, ...], the group's
/// number) -> the same extents. -> [G * T, ...]. Throws ShapeError if the groups are not equal.
template <execution_context C, class X, class F>
X map_groups(C const& context, X const& x, std::size_t groups, F const& f) {
  if (groups == 1) return f(context, x, std::size_t{0});
  std::size_t const of_group = SliceTiles{1, groups}.of_group(x.extent(0));
  X const y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return context.template tensor<float>(x.extent(I)...);
  }
  (std::make_index_sequence<X::rank()>{});
  for (std::size_t group = 0; group < groups; ++group)
    assign(context, y.slice(group * of_group, of_group), f(context, x.slice(group * of_group, of_group), group));
  return y;
}

/// f of x where places of the second axis do not depend on each other: up to `most` at a time side by side, so that all
/// of what belongs to them stays in one core's cache, where that is better, else a group at once.
/// x: [G * T, L, D], f(context, [T, l, D], the group's number) -> the same extents. -> [G * T, L, D]. Throws ShapeError
/// if the groups are not equal.
template <class Exec, class F>
DynamicTensor<float, 3, typename Exec::memory_space> map_columns(
    Context<Exec> const& context, char const* label, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    std::size_t groups, std::size_t most, F const& f) {
  std::size_t const length = x.extent(1), blocks = (length + most - 1) / most;
  if (!detail::runs_side_by_side(context, groups * blocks)) return map_groups(context, x, groups, f);
  std::size_t const of_group = SliceTiles{1, groups}.of_group(x.extent(0));
  auto const y = context.template tensor<float>(x.extent(0), length, x.extent(2));
  detail::for_each_alone(context, label, groups * blocks, [&](Context<Exec> const& one, std::size_t task) {
    std::size_t const group = task / blocks, block = task % blocks;
    std::size_t const first = length * block / blocks, count = length * (block + 1) / blocks - first;
    auto const from = x.slice(group * of_group, of_group), to = y.slice(group * of_group, of_group);
    assign_columns(one, to, first, f(one, columns_of(one, from, first, count), group));
  });
  return y;
}

}  // namespace kovos
