// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos {

namespace detail {
/// A float copy of a short vector of parameters, or the vector itself; nothing of an empty one.
template <class Exec, class P>
DynamicTensor<float, 1, typename Exec::memory_space> as_float(Context<Exec> const& context, P const& p) {
  DynamicTensor<float, 1, typename Exec::memory_space> wide;
  if constexpr (std::is_same_v<typename P::value_type, float>) {
    wide = {const_cast<float*>(p.data()), dynamic_extents<1>(p.size()), nullptr};
  } else if (p.data() != nullptr) {
    wide = context.template tensor<float>(p.size());
    solve(context, problem::Widen<typename P::value_type>{p.data(), wide.data(), p.size()});
  }
  return wide;
}
}  // namespace detail

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
  detail::solve(context, problem::Fill<typename X::value_type>{x.data(), x.size(), value});
}

/// x = y, copied into x's memory unless it is y's. Throws ShapeError if the extents differ.
template <class Exec, class X, class Y>
void assign(Context<Exec> const& context, X const& x, Y const& y) {
  require<ShapeError>(x.extents() == y.extents(), "[assign] ", y.extents(), " does not fit into ", x.extents());
  if (static_cast<void const*>(x.data()) == y.data()) return;
  detail::solve(context,
                problem::Convert<typename Y::value_type, typename X::value_type>{y.data(), x.data(), x.size()});
}

/// The mean over the middle axis. x: [A, B, C] -> [A, C].
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> mean_over_axis1(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x) {
  std::size_t const a = x.extent(0), b = x.extent(1), c = x.extent(2);
  require<ShapeError>(b > 0, "[mean_over_axis1] the middle axis is empty");
  auto y = context.template tensor<float>(a, c);
  detail::solve(context, problem::MeanOverAxis1{x.data(), y.data(), a, b, c});
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
  auto const wide = detail::as_float(context, y);
  detail::solve(context, problem::AddRepeats{x.data(), wide.data(), x.size(), period});
}

/// y = (x - shift[c]) / divisor[c] for channels-last maps. x: [N, H, W, C], shift, divisor: C numbers (C <= 4).
template <class Exec, std::size_t C>
DynamicTensor<float, 4, typename Exec::memory_space> normalize_channels(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    Kokkos::Array<float, C> shift, Kokkos::Array<float, C> divisor) {
  static_assert(C > 0 && C <= problem::NormalizeChannels::most_channels, "[normalize_channels] one to four channels");
  require_extent("normalize_channels", "the last extent of x", x.extent(3), C);
  auto y = context.workspace().template tensor<float>(x.extents());
  problem::NormalizeChannels p{x.data(), y.data(), x.size() / C, C};
  std::copy_n(shift.data(), C, p.shift);
  std::copy_n(divisor.data(), C, p.divisor);
  detail::solve(context, p);
  return y;
}

}  // namespace kovos
