// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/embedding.hpp"

namespace kovos {

/// y[n, l] = table[ids[n, l]] + positions[l]. ids: [N, L] (checked by the caller to be rows of the table),
/// table: [V, D], positions: [>= L, D] -> [N, L, D]. Throws ShapeError if the extents disagree.
template <class Exec, class Table, class Positions>
DynamicTensor<float, 3, typename Exec::memory_space> embed(
    Context<Exec> const& context, DynamicTensor<std::int32_t, 2, typename Exec::memory_space> const& ids,
    Table const& table, Positions const& positions) {
  std::size_t const n = ids.extent(0), length = ids.extent(1), width = table.extent(1);
  require_extent("embed", "positions.extent(1)", positions.extent(1), width);
  require<ShapeError>(length <= positions.extent(0), "[embed] a sequence of ", length,
                      " tokens exceeds the context of ", positions.extent(0));
  auto y = context.template tensor<float>(n, length, width);
  auto const offsets = detail::as_float(context, positions);
  detail::solve(context, problem::Embed<typename Table::value_type>{ids.data(), table.data(), offsets.data(), y.data(),
                                                                    n * length, length, width});
  return y;
}

}  // namespace kovos
