// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::Activate<float> const& p) {
  std::size_t const chunk = 16384;
  std::size_t const tasks = (p.count + chunk - 1) / chunk;
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::activate", detail::workers(context, tasks), tasks,
                        [&](std::size_t task, std::size_t) {
                          std::size_t const first = task * chunk;
                          kernels.activate(p.x + first, std::min(chunk, p.count - first), p.activation);
                        });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::AddRepeats const& p) {
  // Runs without a division for each element; compilers make vectors of them.
  std::size_t const run = std::min<std::size_t>(p.period, 4096), per_period = (p.period + run - 1) / run;
  detail::for_each_index(context, "kovos::add_in_place", p.count / p.period * per_period, [=](std::size_t index) {
    std::size_t const first = index % per_period * run, last = std::min(p.period, first + run);
    float* const row = p.x + index / per_period * p.period;
    for (std::size_t i = first; i < last; ++i) row[i] += p.y[i];
  });
  return true;
}

}  // namespace kovos::engine
