// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/window_blending.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddWindow const& p) {
  detail::for_each_entry(
      context, "kovos::add_window", p.n * p.height, p.width * p.c, KOKKOS_LAMBDA(std::size_t line, std::size_t entry) {
        std::size_t const row = line / p.height * p.h + p.top + line % p.height;  // over the rows of all samples
        p.canvas[(row * p.w + p.left) * p.c + entry] += p.window[line * p.width * p.c + entry];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::BlendWindowsWithGlobal const& p) {
  detail::for_each_index(
      context, "kovos::blend_windows_with_global", p.n * p.h * p.w * p.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const count = window_coverage(index / p.c % p.w, p.w, p.window, p.stride) *
                                  window_coverage(index / p.c / p.w % p.h, p.h, p.window, p.stride);
        p.x[index] = (p.x[index] / static_cast<float>(count) + p.y[index]) * 0.5f;
      });
}

}  // namespace kovos::engine
