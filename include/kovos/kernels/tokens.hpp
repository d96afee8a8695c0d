// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

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
  auto const* const from = map.data();
  auto const* const first = first_token.data();
  auto const* const offset = positions.data();
  auto* const to = x.data();
  detail::for_each_entry(
      context, "kovos::map_to_tokens", n * (1 + pixels), depth, KOKKOS_LAMBDA(std::size_t row, std::size_t channel) {
        std::size_t const token = row % (1 + pixels);
        std::size_t const sample = row / (1 + pixels);
        to[row * depth + channel] = token == 0 ? static_cast<float>(first[channel])
                                               : from[(sample * pixels + token - 1) * depth + channel] +
                                                     static_cast<float>(offset[(token - 1) * depth + channel]);
      });
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
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_entry(
      context, "kovos::tokens_to_map", x.extent(0) * pixels, depth,
      KOKKOS_LAMBDA(std::size_t pixel, std::size_t channel) {
        to[pixel * depth + channel] = from[(pixel + pixel / pixels + 1) * depth + channel];
      });
  return y;
}

/// Token index[n] of sample n. x: [N, L, D], index: [N], each below L -> [N, D].
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> select_tokens(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
    DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& index) {
  require_extent("select_tokens", "index", index.extent(0), x.extent(0));
  std::size_t const length = x.extent(1), depth = x.extent(2);
  auto y = context.template tensor<float>(x.extent(0), depth);
  auto const* const from = x.data();
  auto const* const which = index.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::select_tokens", y.size(), KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const row = i / depth;
        to[i] = from[(row * length + static_cast<std::size_t>(which[row])) * depth + i % depth];
      });
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
  std::size_t const row_size = index.extent(0) == 0 ? 1 : y.size() / index.extent(0);
  auto const* const from = x.data();
  auto const* const which = index.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::gather_rows", y.size(), KOKKOS_LAMBDA(std::size_t i) {
        std::int32_t const row = which[i / row_size];
        to[i] = row < 0 ? fill : from[static_cast<std::size_t>(row) * row_size + i % row_size];
      });
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
  auto const* const from = x.data() + first * depth;
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::columns_of", x.extent(0) * count, KOKKOS_LAMBDA(std::size_t i) {
        float const* const source = from + i / count * length * depth + i % count * depth;
        for (std::size_t j = 0; j < depth; ++j) to[i * depth + j] = source[j];
      });
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
  auto const* const from = y.data();
  auto* const to = x.data() + first * depth;
  detail::for_each_index(
      context, "kovos::assign_columns", y.extent(0) * count, KOKKOS_LAMBDA(std::size_t i) {
        float* const target = to + i / count * length * depth + i % count * depth;
        for (std::size_t j = 0; j < depth; ++j) target[j] = from[i * depth + j];
      });
}

}  // namespace kovos
