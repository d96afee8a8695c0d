// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/sums.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::AddColumnSums const& p) {
  std::size_t const rows = p.rows, c = p.c;
  std::size_t const count = problem::row_parts(rows);
  auto const parts = context.template tensor<float>(count, c);
  auto* const to = parts.data();
  std::size_t const run = (rows + count - 1) / count;
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::add_column_sums", detail::workers(context, rows * c < 32768 ? 1 : count),
                        count, [&](std::size_t part, std::size_t) {
                          std::fill_n(to + part * c, c, 0.0f);
                          std::size_t const first = std::min(rows, part * run), last = std::min(rows, first + run);
                          if (p.stride == c) kernels.channel_sums(p.x + first * c, last - first, c, to + part * c);
                          else
                            for (std::size_t i = first; i < last; ++i)
                              kernels.channel_sums(p.x + i * p.stride, 1, c, to + part * c);
                        });
  detail::solve(context, problem::AddParts{to, count, c, p.sums});
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::AddPeriodicSums const& p) {
  std::size_t const cycle = p.divisor * p.period;
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::add_periodic_sums", detail::workers(context, p.period), p.period,
                        [&](std::size_t r, std::size_t) {
                          for (std::size_t first = r * p.divisor; first < p.rows; first += cycle)
                            for (std::size_t i = first; i < std::min(p.rows, first + p.divisor); ++i)
                              kernels.channel_sums(p.x + i * p.stride, 1, p.c, p.sums + r * p.sums_stride);
                        });
  return true;
}

}  // namespace kovos::engine
