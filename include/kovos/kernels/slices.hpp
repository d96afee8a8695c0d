// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/tokens.hpp"

namespace kovos {

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
void run_slices(Context<Exec> const& context, char const* label, X const& x, Y const& y, std::size_t tile,
                Observer const& observe, F const& f) {
  std::size_t const slices = x.extent(0);
  tile = runs_side_by_side(context, slices) ? 1 : std::max<std::size_t>(1, tile);
  ObservedSlices<Exec, Observer> observed(context, slices, observe);
  for_each_alone(context, label, (slices + tile - 1) / tile, [&](Context<Exec> const& one, std::size_t task) {
    std::size_t const first = task * tile, count = std::min(tile, slices - first);
    auto const part = y.slice(first, count);
    assign(one, part, f(one, x.slice(first, count), observed.from(one, first)).reshape(part.extents()));
  });
  observed.tell();
}

}  // namespace detail

/// f of each slice of x along its leading axis, where slices do not depend on each other: side by side, each on one
/// core with all it needs in its cache, where that is better, else `tile` at a time. x: [T, ...], f(context, slices [t,
/// ...], observe) -> t slices of as many elements as `extents` has in each; what f shows there is shown to `observe`
/// put together -> extents, which begin with T.
template <class Exec, class X, class E, class Observer, class F>
Tensor<float, E, typename Exec::memory_space> map_slices(Context<Exec> const& context, char const* label, X const& x,
                                                         E const& extents, std::size_t tile, Observer const& observe,
                                                         F const& f) {
  auto const y = context.workspace().template tensor<float>(extents);
  detail::run_slices(context, label, x, y, tile, observe, f);
  return y;
}

/// The same where f keeps the extents; x is overwritten where the context allows it.
template <class Exec, class X, class Observer, class F>
X map_slices_in_place(Context<Exec> const& context, char const* label, X const& x, std::size_t tile,
                      Observer const& observe, F const& f) {
  detail::run_slices(context, label, x, x, tile, observe, f);
  return x;
}

/// f of x where places of the second axis do not depend on each other: up to `most` at a time side by side, so that all
/// of what belongs to them stays in one core's cache, where that is better, else all at once.
/// x: [T, L, D], f(context, [T, l, D]) -> the same extents. -> [T, L, D].
template <class Exec, class F>
DynamicTensor<float, 3, typename Exec::memory_space> map_columns(
    Context<Exec> const& context, char const* label, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    std::size_t most, F const& f) {
  std::size_t const length = x.extent(1), blocks = (length + most - 1) / most;
  if (!detail::runs_side_by_side(context, blocks)) return f(context, x);
  auto const y = context.template tensor<float>(x.extent(0), length, x.extent(2));
  detail::for_each_alone(context, label, blocks, [&](Context<Exec> const& one, std::size_t task) {
    std::size_t const first = length * task / blocks, count = length * (task + 1) / blocks - first;
    assign_columns(one, y, first, f(one, columns_of(one, x, first, count)));
  });
  return y;
}

}  // namespace kovos
