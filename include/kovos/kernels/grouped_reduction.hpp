// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/reduction.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/grouped_reduction.hpp"

namespace kovos {

namespace detail {

/// The number of groups. Throws ShapeError if they do not ascend from 0 without gaps.
inline std::size_t count_groups(std::span<std::int32_t const> group) {
  std::size_t groups = 0;
  for (std::size_t n = 0; n < group.size(); ++n) {
    auto const g = static_cast<std::size_t>(group[n]);
    require<ShapeError>(g == groups || (groups > 0 && g == groups - 1), "[reduce_groups] column ", n, " is of group ",
                        group[n], " behind one of group ", groups == 0 ? -1 : static_cast<std::int64_t>(groups) - 1,
                        "; groups ascend from 0 without gaps");
    groups = g + 1;
  }
  return groups;
}

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
  require_extent("reduce_groups", "the number of columns", x.extent(1), group.size());
  std::size_t const groups = detail::count_groups(group);
  auto const starts = detail::group_starts(context, group, groups);
  auto y = context.template tensor<float>(x.extent(0), groups);
  detail::solve(context, problem::GroupedReduction{x.data(), starts.data(), y.data(), x.extent(0), x.extent(1), groups,
                                                   reduction});
  return y;
}

}  // namespace kovos
