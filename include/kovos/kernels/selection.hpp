// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/selection.hpp"

namespace kovos {

/// Largest element of each row. x: [N, C] -> [N]. Throws ShapeError if C is 0.
template <class Exec>
DynamicTensor<float, 1, typename Exec::memory_space> row_maximum(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x) {
  std::size_t const c = x.extent(1);
  require<ShapeError>(c > 0, "[row_maximum] rows are empty");
  auto y = context.template tensor<float>(x.extent(0));
  detail::solve(context, problem::RowMaximum{x.data(), y.data(), x.extent(0), c});
  return y;
}

/// Indices of the k largest of the values, ascending by index; on ties the smaller index wins, NaN comes last. Host.
/// Throws ShapeError if there are fewer than k values.
inline std::vector<std::size_t> top_k(float const* values, std::size_t count, std::size_t k) {
  require<ShapeError>(k <= count, "[top_k] ", k, " of only ", count, " values asked for");
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto const before = [&](std::size_t a, std::size_t b) {
    float const x = values[a], y = values[b];
    if (x > y || x < y) return x > y;
    // Equal, or one of them is NaN: without an order among those the selection could run off its ends.
    return (x != x) != (y != y) ? y != y : a < b;
  };
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(), before);
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace kovos
