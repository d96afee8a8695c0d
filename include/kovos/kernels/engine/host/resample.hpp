// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/bilinear_rows.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/interpolation.hpp"
#include "kovos/kernels/problem/resample.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ResizeBilinear const& p) {
  std::size_t const line = p.width * p.c;
  std::size_t const band = std::clamp<std::size_t>(65536 / std::max<std::size_t>(1, line), 1, p.height);
  std::size_t const bands = (p.height + band - 1) / band;
  detail::BilinearRows const rows(context, p.h, p.w, p.c, p.height, p.width, p.alignment, p.n * bands);
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::resize_bilinear", rows.threads, p.n * bands,
                        [&](std::size_t task, std::size_t worker) {
                          std::size_t const sample = task / bands, first = task % bands * band;
                          rows.visit(worker, p.x + sample * p.h * p.w * p.c, first, std::min(first + band, p.height),
                                     [&](std::size_t row, float const* top, float const* bottom, float weight) {
                                       kernels.blend(top, bottom, weight, p.y + (sample * p.height + row) * line, line);
                                     });
                        });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::AddResizedPart const& p) {
  std::size_t const rows = p.n * p.part_height, w = p.part_width;
  std::vector<detail::LinearTap> columns(w);
  for (std::size_t i = 0; i < w; ++i) columns[i] = detail::linear_tap(p.left + i, p.w, p.width, Alignment::half_pixel);
  auto const* const taps = columns.data();
  // A few thousand pixels are one thread's work.
  std::size_t const threads = rows * w < 16384 ? 1 : detail::workers(context, rows);
  detail::for_each_task(context, "kovos::add_resized_part", threads, rows, [=](std::size_t row, std::size_t) {
    auto const tap = detail::linear_tap(p.top + row % p.part_height, p.h, p.height, Alignment::half_pixel);
    float const* const map = p.x + row / p.part_height * p.h * p.w;
    float const *const above = map + tap.first * p.w, *const below = map + tap.second * p.w;
    float* const target = p.y + row * w;
    for (std::size_t i = 0; i < w; ++i) target[i] += detail::interpolate(above, below, taps[i], tap.weight, 1, 0);
  });
  return true;
}

}  // namespace kovos::engine
