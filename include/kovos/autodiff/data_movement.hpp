// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <cstddef>
#include <cstdint>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/elementwise.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/embedding.hpp"
#include "kovos/kernels/reduction.hpp"
#include "kovos/kernels/tokens.hpp"
#include "kovos/kernels/transpose.hpp"

namespace kovos {

namespace detail {

/// The gradient of map_to_tokens; any of the targets may be nullptr. dy: [n, 1 + pixels, depth].
template <class Exec>
void map_to_tokens_gradient(Context<Exec> const& context, float const* dy, std::size_t n, std::size_t pixels,
                            std::size_t depth, float* dmap, float* dfirst, float* dpositions) {
  std::size_t const length = 1 + pixels;
  if (dmap)
    for_each_index(
        context, "kovos::map_to_tokens map", n * pixels * depth,
        KOKKOS_LAMBDA(std::size_t i) { dmap[i] += dy[i + (i / (pixels * depth) + 1) * depth]; });
  if (dfirst) add_column_sums(context, dy, n, depth, length * depth, dfirst);
  if (dpositions)
    for_each_index(
        context, "kovos::map_to_tokens positions", pixels * depth, KOKKOS_LAMBDA(std::size_t i) {
          float sum = 0;
          for (std::size_t s = 0; s < n; ++s) sum += dy[(s * length + 1) * depth + i];
          dpositions[i] += sum;
        });
}

/// dx[n, 1 + p, :] += dy[n, p, :]. dy: [n, pixels, depth].
template <class Exec>
void tokens_to_map_gradient(Context<Exec> const& context, float const* dy, std::size_t size, std::size_t sample_size,
                            std::size_t depth, float* dx) {
  for_each_index(
      context, "kovos::tokens_to_map_gradient", size,
      KOKKOS_LAMBDA(std::size_t i) { dx[i + (i / sample_size + 1) * depth] += dy[i]; });
}

/// dx[(i * length + index[i]) * depth + j] += dy[i * depth + j].
template <class Exec>
void select_tokens_gradient(Context<Exec> const& context, float const* dy, std::int32_t const* index, std::size_t n,
                            std::size_t length, std::size_t depth, float* dx) {
  for_each_index(
      context, "kovos::select_tokens_gradient", n * depth, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const row = i / depth;
        dx[(row * length + static_cast<std::size_t>(index[row])) * depth + i % depth] += dy[i];
      });
}

/// dx[index[k], j] += dy[k, j]; an index may occur more than once, so each column is summed in order.
template <class Exec>
void scatter_rows(Context<Exec> const& context, float const* dy, std::int32_t const* index, std::size_t count,
                  std::size_t row_size, float* dx) {
  std::size_t const run = 16;  // a cache line
  for_each_index(
      context, "kovos::scatter_rows", (row_size + run - 1) / run, KOKKOS_LAMBDA(std::size_t block) {
        std::size_t const last = (block + 1) * run < row_size ? (block + 1) * run : row_size;
        for (std::size_t k = 0; k < count; ++k)
          if (index[k] >= 0)
            for (std::size_t j = block * run; j < last; ++j)
              dx[static_cast<std::size_t>(index[k]) * row_size + j] += dy[k * row_size + j];
      });
}

}  // namespace detail

/// map_to_tokens with gradients.
template <class Exec, Recompute Policy, class First, class Positions>
auto map_to_tokens(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& map,
                   First const& first_token, Positions const& positions) {
  auto const y = tape.adopt(map_to_tokens(tape.context(), map, first_token, positions));
  auto const dmap = tape.gradient_of(map.data()), dfirst = tape.gradient_of(first_token.data()),
             dpositions = tape.gradient_of(positions.data());
  tape.record(y.data(), {dmap, dfirst, dpositions}, {}, [=, e = map.extents()](auto const& t, float* dy) {
    auto const& context = t.context();
    detail::map_to_tokens_gradient(context, dy, e[0], e[1] * e[2], e[3], detail::wanted(dmap, context),
                                   detail::wanted(dfirst, context), detail::wanted(dpositions, context));
  });
  return y;
}

/// tokens_to_map with gradients.
template <class Exec, Recompute Policy>
auto tokens_to_map(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
                   std::size_t height, std::size_t width) {
  auto const y = tape.adopt(tokens_to_map(tape.context(), x, height, width));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [dx, e = y.extents()](auto const& t, float* dy) {
    detail::tokens_to_map_gradient(t.context(), dy, e.size(), e[1] * e[2] * e[3], e[3], dx.accumulate(t.context()));
  });
  return y;
}

/// select_tokens with gradients.
template <class Exec, Recompute Policy>
auto select_tokens(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
                   DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& index) {
  auto const y = tape.adopt(select_tokens(tape.context(), x, index));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [dx, index, e = x.extents()](auto const& t, float* dy) {
    detail::select_tokens_gradient(t.context(), dy, index.data(), e[0], e[1], e[2], dx.accumulate(t.context()));
  });
  return y;
}

/// gather_rows with gradients.
template <class Exec, Recompute Policy, class Shape>
auto gather_rows(Tape<Exec, Policy> const& tape, Tensor<float, Shape, typename Exec::memory_space> const& x,
                 DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& index, float fill = 0) {
  auto const y = tape.adopt(gather_rows(tape.context(), x, index, fill));
  auto const dx = tape.gradient_of(x.data());
  std::size_t const row_size = index.extent(0) == 0 ? 1 : y.size() / index.extent(0);
  tape.record(y.data(), {dx}, {}, [dx, index, row_size](auto const& t, float* dy) {
    detail::scatter_rows(t.context(), dy, index.data(), index.extent(0), row_size, dx.accumulate(t.context()));
  });
  return y;
}

/// embed with gradients, for the table and the positions.
template <class Exec, Recompute Policy, class Table, class Positions>
auto embed(Tape<Exec, Policy> const& tape, DynamicTensor<std::int32_t, 2, typename Exec::memory_space> const& ids,
           Table const& table, Positions const& positions) {
  auto const y = tape.adopt(embed(tape.context(), ids, table, positions));
  auto const dtable = tape.gradient_of(table.data()), dpositions = tape.gradient_of(positions.data());
  tape.record(y.data(), {dtable, dpositions}, {}, [=, e = y.extents()](auto const& t, float* dy) {
    auto const& context = t.context();
    if (dtable) detail::scatter_rows(context, dy, ids.data(), ids.size(), e[2], dtable.accumulate(context));
    if (dpositions) detail::add_repeats(context, dy, e.size(), e[1] * e[2], dpositions.accumulate(context));
  });
  return y;
}

/// permute with gradients.
template <class Exec, Recompute Policy, class T, class Shape>
auto permute(Tape<Exec, Policy> const& tape, Tensor<T, Shape, typename Exec::memory_space> const& x,
             std::array<std::size_t, Shape::rank()> const& order) {
  auto const y = tape.adopt(permute(tape.context(), x, order));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [dx, order, extents = y.extents()](auto const& t, float* dy) {
    std::array<std::size_t, Shape::rank()> inverse{};
    for (std::size_t i = 0; i < order.size(); ++i) inverse[order[i]] = i;
    using Map = Tensor<float, dynamic_extents<Shape::rank()>, typename Exec::memory_space>;
    auto const back = permute(t.context(), Map(dy, extents, nullptr), inverse);
    detail::add_to(t.context(), back.data(), back.size(), dx.accumulate(t.context()));
  });
  return y;
}

/// row_maximum; it only chooses, nothing flows through it.
template <class Exec, Recompute Policy>
auto row_maximum(Tape<Exec, Policy> const& tape, DynamicTensor<float, 2, typename Exec::memory_space> const& x) {
  return row_maximum(tape.context(), x);
}

/// to_host and to_device move numbers, not gradients.
template <class Exec, Recompute Policy, class X>
auto to_host(Tape<Exec, Policy> const& tape, X const& x) {
  return to_host(tape.context(), x);
}
template <class Exec, Recompute Policy, class X>
auto to_device(Tape<Exec, Policy> const& tape, X const& x) {
  return to_device(tape.context(), x);
}

}  // namespace kovos
