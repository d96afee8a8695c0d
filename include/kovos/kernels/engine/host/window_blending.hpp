// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/window_blending.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::BlendWindowsWithGlobal const& p) {
  // The divisions of the coverage are done once for all rows.
  std::size_t const line = p.w * p.c, rows = p.n * p.h;
  std::vector<float> along(line);
  for (std::size_t i = 0; i < line; ++i)
    along[i] = static_cast<float>(window_coverage(i / p.c, p.w, p.window, p.stride));
  detail::for_each_task(context, "kovos::blend_windows_with_global", detail::workers(context, rows), rows,
                        [&](std::size_t row, std::size_t) {
                          auto const down = static_cast<float>(window_coverage(row % p.h, p.h, p.window, p.stride));
                          float* const x = p.x + row * line;
                          float const* const y = p.y + row * line;
                          for (std::size_t i = 0; i < line; ++i) x[i] = (x[i] / (down * along[i]) + y[i]) * 0.5f;
                        });
  return true;
}

}  // namespace kovos::engine
