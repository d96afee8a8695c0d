// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// y with axis i = axis order[i] of x, copied. permute(context, x, {0, 3, 1, 2}) turns [N, H, W, C] into [N, C, H, W].
/// Throws ShapeError if order is not a permutation.
template <class Exec, class T, class Shape>
DynamicTensor<std::remove_const_t<T>, Shape::rank(), typename Exec::memory_space> permute(
    Context<Exec> const& context, Tensor<T, Shape, typename Exec::memory_space> const& x,
    std::array<std::size_t, Shape::rank()> const& order) {
  constexpr std::size_t rank = Shape::rank();
  Kokkos::Array<std::size_t, rank> strides{}, extents{}, source{};
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
    extents[i] = x.extent(order[i]);
    source[i] = strides[order[i]];
  }
  auto y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return context.template tensor<std::remove_const_t<T>>(extents[I]...);
  }
  (std::make_index_sequence<rank>{});
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::permute", y.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t rest = index;
        std::size_t offset = 0;
        for (std::size_t i = rank; i-- > 0;) {
          offset += rest % extents[i] * source[i];
          rest /= extents[i];
        }
        to[index] = from[offset];
      });
  return y;
}

}  // namespace kovos
