// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/bilinear_rows.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/interpolation.hpp"
#include "kovos/kernels/problem/label_choice.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::UpdateArgmax const& p) {
  // So many positions that best and label stay in the first-level cache while rows pass.
  std::size_t const run = 2048, tasks = (p.positions + run - 1) / run;
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(
      context, "kovos::update_argmax", detail::workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
        std::size_t const i = task * run, size = std::min(run, p.positions - i);
        for (std::size_t t = 0; t < p.count; ++t) {
          float const* const row = p.x + t * p.positions + i;
          kernels.blend_argmax(row, row, 0, size, p.best + i, p.label + i, static_cast<std::int32_t>(p.first + t));
        }
      });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ResizeArgmax const& p) {
  // Bands of rows whose best and label stay in the second-level cache while the maps pass.
  std::size_t const band = std::clamp<std::size_t>(32768 / p.width, 1, p.height);
  std::size_t const bands = (p.height + band - 1) / band;
  detail::BilinearRows const rows(context, p.h, p.w, 1, p.height, p.width, Alignment::half_pixel, bands);
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(
      context, "kovos::resize_bilinear_argmax", rows.threads, bands, [&](std::size_t task, std::size_t worker) {
        for (std::size_t t = 0; t < p.count; ++t)
          rows.visit(worker, p.x + t * p.h * p.w, task * band, std::min((task + 1) * band, p.height),
                     [&](std::size_t row, float const* top, float const* bottom, float weight) {
                       kernels.blend_argmax(top, bottom, weight, p.width, p.best + row * p.width,
                                            p.label + row * p.width, static_cast<std::int32_t>(p.first + t));
                     });
      });
  return true;
}

}  // namespace kovos::engine
