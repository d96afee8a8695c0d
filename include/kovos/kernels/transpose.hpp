// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/transpose.hpp"

namespace kovos {

/// y with axis i = axis order[i] of x, copied. permute(context, x, {0, 3, 1, 2}) turns [N, H, W, C] into [N, C, H, W].
/// Throws ShapeError if order is not a permutation.
template <class Exec, class T, class Shape>
DynamicTensor<std::remove_const_t<T>, Shape::rank(), typename Exec::memory_space> permute(
    Context<Exec> const& context, Tensor<T, Shape, typename Exec::memory_space> const& x,
    std::array<std::size_t, Shape::rank()> const& order) {
  constexpr std::size_t rank = Shape::rank();
  problem::Permute<std::remove_const_t<T>> p;
  static_assert(rank <= p.most_axes, "[permute] a tensor has too many axes");
  std::array<std::size_t, rank> strides{};
  std::array<bool, rank> seen{};
  std::size_t stride = 1;
  for (std::size_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= x.extent(i);
  }
  for (std::size_t i = 0; i < rank; ++i) {
    require<ShapeError>(order[i] < rank && !seen[order[i]], "[permute] axis ", i, " of the order (", order[i],
                        ") is out of range or used twice");
    seen[order[i]] = true;
    p.extents[i] = x.extent(order[i]);
    p.strides[i] = strides[order[i]];
  }
  auto y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return context.template tensor<std::remove_const_t<T>>(p.extents[I]...);
  }
  (std::make_index_sequence<rank>{});
  p.x = x.data(), p.y = y.data(), p.size = y.size(), p.axes = rank;
  detail::solve(context, p);
  return y;
}

}  // namespace kovos
