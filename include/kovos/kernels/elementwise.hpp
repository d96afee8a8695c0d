// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos {

/// A float copy. x: any shape, float or bf16 -> the same extents, all dynamic.
template <class Exec, class X>
DynamicTensor<float, X::rank(), typename Exec::memory_space> copy_of(Context<Exec> const& context, X const& x) {
  auto y = [&]<std::size_t... I>(std::index_sequence<I...>) { return context.template tensor<float>(x.extent(I)...); }
  (std::make_index_sequence<X::rank()>{});
  detail::solve(context, problem::Widen<typename X::value_type>{x.data(), y.data(), x.size()});
  return y;
}

/// x = value everywhere.
template <class Exec, class X>
void fill(Context<Exec> const& context, X const& x, typename X::value_type value) {
  auto* const to = x.data();
  detail::for_each_index(
      context, "kovos::fill", x.size(), KOKKOS_LAMBDA(std::size_t i) { to[i] = value; });
}

/// x = y, copied into x's memory unless it is y's. Throws ShapeError if the extents differ.
template <class Exec, class X, class Y>
void assign(Context<Exec> const& context, X const& x, Y const& y) {
  require<ShapeError>(x.extents() == y.extents(), "[assign] ", y.extents(), " does not fit into ", x.extents());
  auto* const to = x.data();
  auto const* const from = y.data();
  if (to == from) return;
  detail::for_each_index(
      context, "kovos::assign", x.size(), KOKKOS_LAMBDA(std::size_t i) { to[i] = from[i]; });
}

/// The mean over the middle axis. x: [A, B, C] -> [A, C].
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> mean_over_axis1(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x) {
  std::size_t const b = x.extent(1), c = x.extent(2);
  require<ShapeError>(b > 0, "[mean_over_axis1] the middle axis is empty");
  auto y = context.template tensor<float>(x.extent(0), c);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::mean_over_axis1", y.size(), KOKKOS_LAMBDA(std::size_t i) {
        float sum = 0;
        for (std::size_t j = 0; j < b; ++j) sum += from[(i / c * b + j) * c + i % c];
        to[i] = sum / static_cast<float>(b);
      });
  return y;
}

/// x += y in place, where y repeats along the leading axes of x. x: [..., A, B], y: [A, B] or any trailing part of x's
/// shape. Throws ShapeError if y's size does not divide x's.
template <class Exec, class Shape, class Y>
void add_in_place(Context<Exec> const& context, Tensor<float, Shape, typename Exec::memory_space> const& x,
                  Y const& y) {
  if (x.size() == 0) return;
  std::size_t const period = y.size();
  require<ShapeError>(period > 0 && x.size() % period == 0, "[add_in_place] ", period,
                      " elements do not repeat evenly in ", x.extents());
  auto* const to = x.data();
  auto const* const from = y.data();
  if constexpr (is_host_execution<Exec>) {
    // Runs without a division for each element; compilers make vectors of them.
    std::size_t const run = std::min<std::size_t>(period, 4096), per_period = (period + run - 1) / run;
    detail::for_each_index(context, "kovos::add_in_place", x.size() / period * per_period, [=](std::size_t index) {
      std::size_t const first = index % per_period * run, last = std::min(period, first + run);
      auto* const row = to + index / per_period * period;
      for (std::size_t i = first; i < last; ++i) row[i] += static_cast<float>(from[i]);
    });
    return;
  }
  detail::for_each_index(
      context, "kovos::add_in_place", x.size(),
      KOKKOS_LAMBDA(std::size_t i) { to[i] += static_cast<float>(from[i % period]); });
}

/// y = (x - shift[c]) / divisor[c] for channels-last maps. x: [N, H, W, C], shift, divisor: C numbers (C <= 4).
template <class Exec, std::size_t C>
DynamicTensor<float, 4, typename Exec::memory_space> normalize_channels(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    Kokkos::Array<float, C> shift, Kokkos::Array<float, C> divisor) {
  require_extent("normalize_channels", "the last extent of x", x.extent(3), C);
  auto y = context.workspace().template tensor<float>(x.extents());
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::normalize_channels", x.size(),
      KOKKOS_LAMBDA(std::size_t i) { to[i] = (from[i] - shift[i % C]) / divisor[i % C]; });
  return y;
}

}  // namespace kovos
