// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/gather.hpp"

namespace kovos {

/// A sequence per sample: first_token, then the map's pixels row by row, pixel p with positions[p] added.
/// map: [N, H, W, D], first_token: [D], positions: [H * W, D] -> [N, 1 + H * W, D].
/// Throws ShapeError if the extents disagree.
template <class Exec, class First, class Positions>
DynamicTensor<float, 3, typename Exec::memory_space> map_to_tokens(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& map,
    First const& first_token, Positions const& positions) {
  std::size_t const n = map.extent(0), pixels = map.extent(1) * map.extent(2), depth = map.extent(3);
  require_extent("map_to_tokens", "first_token", first_token.size(), depth);
  require_extent("map_to_tokens", "positions", positions.size(), pixels * depth);
  auto x = context.template tensor<float>(n, 1 + pixels, depth);
  auto const first = detail::as_float(context, first_token);
  auto const offsets = detail::as_float(context, positions);
  detail::solve(context, problem::MapToTokens{map.data(), first.data(), offsets.data(), x.data(), n, pixels, depth});
  return x;
}

/// Drops the first token of each sample. x: [N, 1 + H * W, D] -> [N, H, W, D].
/// Throws ShapeError if the number of tokens is another.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> tokens_to_map(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x, std::size_t height,
    std::size_t width) {
  require_extent("tokens_to_map", "x.extent(1)", x.extent(1), 1 + height * width);
  std::size_t const depth = x.extent(2), pixels = height * width;
  auto y = context.template tensor<float>(x.extent(0), height, width, depth);
  detail::solve(context, problem::CopyRuns{x.data() + depth, (1 + pixels) * depth, y.data(), pixels * depth,
                                           x.extent(0), pixels, depth});
  return y;
}

/// Token index[n] of sample n. x: [N, L, D], index: [N], each below L -> [N, D].
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> select_tokens(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& index) {
  require_extent("select_tokens", "index", index.extent(0), x.extent(0));
  std::size_t const n = x.extent(0), length = x.extent(1), depth = x.extent(2);
  auto y = context.template tensor<float>(n, depth);
  detail::solve(context, problem::GatherRows{x.data(), index.data(), y.data(), n, depth, length});
  return y;
}

/// Rows index[i] of the leading axis; a negative index gives a row of `fill`. x: [N, ...], index: [K], each below N ->
/// [K, ...].
template <class Exec, class Shape>
DynamicTensor<float, Shape::rank(), typename Exec::memory_space> gather_rows(
    Context<Exec> const& context, Tensor<float, Shape, typename Exec::memory_space> const& x,
    DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& index, float fill = 0) {
  auto y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return context.template tensor<float>(index.extent(0), x.extent(I + 1)...);
  }
  (std::make_index_sequence<Shape::rank() - 1>{});
  std::size_t const rows = index.extent(0), row_size = rows == 0 ? 1 : y.size() / rows;
  detail::solve(context, problem::GatherRows{x.data(), index.data(), y.data(), rows, row_size, 0, fill});
  return y;
}

/// Elements [first, first + count) of the second axis. x: [A, B, C] -> [A, count, C]. Throws ShapeError beyond its end.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> columns_of(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x, std::size_t first,
    std::size_t count) {
  std::size_t const length = x.extent(1), depth = x.extent(2);
  require<ShapeError>(first <= length && count <= length - first, "[columns_of] ", count, " elements from ", first,
                      " on leave an axis of ", length);
  auto y = context.template tensor<float>(x.extent(0), count, depth);
  detail::solve(context, problem::CopyRuns{x.data() + first * depth, length * depth, y.data(), count * depth,
                                           x.extent(0), count, depth});
  return y;
}

/// Writes y to elements [first, first + count) of the second axis of x. x: [A, B, C], y: [A, count, C]. Throws
/// ShapeError if y does not fit there.
template <class Exec>
void assign_columns(Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
                    std::size_t first, DynamicTensor<float, 3, typename Exec::memory_space> const& y) {
  std::size_t const length = x.extent(1), depth = x.extent(2), count = y.extent(1);
  require_extent("assign_columns", "y.extent(0)", y.extent(0), x.extent(0));
  require_extent("assign_columns", "y.extent(2)", y.extent(2), depth);
  require<ShapeError>(first <= length && count <= length - first, "[assign_columns] ", count, " elements from ", first,
                      " on leave an axis of ", length);
  detail::solve(context, problem::CopyRuns{y.data(), count * depth, x.data() + first * depth, length * depth,
                                           y.extent(0), count, depth});
}

}  // namespace kovos
