// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/elementwise.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/embedding.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/problem/gather.hpp"
#include "kovos/kernels/selection.hpp"
#include "kovos/kernels/transpose.hpp"

namespace kovos {

/// map_to_tokens with gradients.
template <class Exec, Recompute Policy, class First, class Positions>
auto map_to_tokens(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& map,
                   First const& first_token, Positions const& positions) {
  auto const y = tape.adopt(map_to_tokens(tape.context(), map, first_token, positions));
  auto const dmap = tape.gradient_of(map.data()), dfirst = tape.gradient_of(first_token.data()),
             dpositions = tape.gradient_of(positions.data());
  tape.record(y.data(), {dmap, dfirst, dpositions}, {}, [=, e = map.extents()](auto const& t, float* dy) {
    auto const& context = t.context();
    std::size_t const n = e[0], pixels = e[1] * e[2], depth = e[3], length = 1 + pixels;
    if (dmap)
      detail::solve(context, problem::CopyRuns{dy + depth, length * depth, dmap.accumulate(context), pixels * depth, n,
                                               pixels, depth, true});
    if (dfirst) detail::add_column_sums(context, dy, n, depth, length * depth, dfirst.accumulate(context));
    if (dpositions)
      detail::solve(context,
                    problem::MapToTokensPositionGradient{dy, dpositions.accumulate(context), n, pixels, depth});
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
    std::size_t const pixels = e[1] * e[2], depth = e[3];
    detail::solve(t.context(), problem::CopyRuns{dy, pixels * depth, dx.accumulate(t.context()) + depth,
                                                 (1 + pixels) * depth, e[0], pixels, depth, true});
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
    detail::solve(t.context(), problem::ScatterRows{dy, index.data(), dx.accumulate(t.context()), e[0], e[2], e[1]});
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
    detail::solve(t.context(),
                  problem::ScatterRows{dy, index.data(), dx.accumulate(t.context()), index.extent(0), row_size});
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
    if (dtable)
      detail::solve(context, problem::ScatterRows{dy, ids.data(), dtable.accumulate(context), ids.size(), e[2]});
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
