// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/activation.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ActivateInto const& p) {
  if (p.residual.data == p.c.data || p.c.column_stride != 1) return false;  // rows are activated where they end up
  if (p.c.columns == 0) return true;
  auto const& kernels = detail::best_host_kernels();
  std::size_t const columns = p.c.columns, chunk = std::max<std::size_t>(1, 16384 / columns);
  std::size_t const tasks = (p.c.rows + chunk - 1) / chunk;
  detail::for_each_task(context, "kovos::activate_into", detail::workers(context, tasks), tasks,
                        [&](std::size_t task, std::size_t) {
                          for (std::size_t i = task * chunk; i < std::min(p.c.rows, (task + 1) * chunk); ++i) {
                            float* const row = p.c.data + i * p.c.row_stride;
                            std::copy_n(p.z + i * columns, columns, row);
                            kernels.activate(row, columns, p.activation);
                            if (p.residual.data)
                              for (std::size_t j = 0; j < columns; ++j)
                                row[j] += p.residual.data[i * p.residual.row_stride + j * p.residual.column_stride];
                          }
                        });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ActivationGradient const& p) {
  if (p.columns == 0) return true;
  auto const& kernels = detail::best_host_kernels();
  std::size_t const chunk = std::max<std::size_t>(1, 16384 / p.columns), tasks = (p.rows + chunk - 1) / chunk;
  detail::for_each_task(context, "kovos::activation_gradient", detail::workers(context, tasks), tasks,
                        [&](std::size_t task, std::size_t) {
                          for (std::size_t i = task * chunk; i < std::min(p.rows, (task + 1) * chunk); ++i)
                            kernels.activation_gradient(p.z + i * p.columns, p.dy + i * p.dy_stride,
                                                        p.dz + i * p.columns, p.columns, p.activation);
                        });
  return true;
}

}  // namespace kovos::engine
