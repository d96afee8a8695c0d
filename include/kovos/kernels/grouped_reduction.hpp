// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/reduction.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

namespace detail {
/// Where each group of columns starts, and their end. -> [groups + 1].
template <class Exec>
DynamicTensor<std::int32_t, 1, typename Exec::memory_space> group_starts(Context<Exec> const& context,
                                                                         std::span<std::int32_t const> group,
                                                                         std::size_t groups) {
  auto const write = [&](std::int32_t* starts) {
    for (std::size_t n = group.size(); n-- > 0;) starts[group[n]] = static_cast<std::int32_t>(n);
    starts[groups] = static_cast<std::int32_t>(group.size());
  };
  if constexpr (is_host_execution<Exec>) {
    auto const starts = context.template tensor<std::int32_t>(groups + 1);
    write(starts.data());
    return starts;
  } else {
    Tensor<std::int32_t, dynamic_extents<1>> const starts(dynamic_extents<1>(groups + 1));
    write(starts.data());
    return to_device(context, starts);
  }
}
}  // namespace detail

/// Reduces the columns of each group to one: y[m, g] is the mean or the maximum of the x[m, n] with group[n] = g.
/// x: [M, N], group: [N], on the host, ascending from 0 without gaps -> [M, G]. Throws ShapeError if group is not so.
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> reduce_groups(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x,
    std::span<std::int32_t const> group, Reduction reduction) {
  std::size_t const rows = x.extent(0), columns = x.extent(1);
  require_extent("reduce_groups", "the number of columns", columns, group.size());
  std::size_t groups = 0;
  for (std::size_t n = 0; n < columns; ++n) {
    auto const g = static_cast<std::size_t>(group[n]);
    require<ShapeError>(g == groups || (groups > 0 && g == groups - 1), "[reduce_groups] column ", n, " is of group ",
                        group[n], " behind one of group ", groups == 0 ? -1 : static_cast<std::int64_t>(groups) - 1,
                        "; groups ascend from 0 without gaps");
    groups = g + 1;
  }
  auto const first = detail::group_starts(context, group, groups);
  auto y = context.template tensor<float>(rows, groups);
  auto const* const from = x.data();
  auto const* const start = first.data();
  auto* const to = y.data();
  bool const maximum = reduction == Reduction::maximum;
  detail::for_each_index(
      context, "kovos::reduce_groups", rows * groups, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const m = i / groups, g = i % groups;
        auto const begin = static_cast<std::size_t>(start[g]), end = static_cast<std::size_t>(start[g + 1]);
        float const* const row = from + m * columns;
        float result = row[begin];
        for (std::size_t n = begin + 1; n < end; ++n)
          result = maximum ? (row[n] > result ? row[n] : result) : result + row[n];
        to[i] = maximum ? result : result / static_cast<float>(end - begin);
      });
  return y;
}

}  // namespace kovos
