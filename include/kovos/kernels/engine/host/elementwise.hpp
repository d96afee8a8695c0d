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

}  // namespace kovos::engine
