// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/label_choice.hpp"
#include "kovos/kernels/problem/resample.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::Argmax const& p) {
  detail::for_each_index(
      context, "kovos::argmax", p.positions, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t best = 0;
        for (std::size_t t = 1; t < p.count; ++t)
          if (p.x[t * p.positions + i] > p.x[best * p.positions + i]) best = t;
        p.label[i] = static_cast<std::int32_t>(best);
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::UpdateArgmax const& p) {
  detail::for_each_index(
      context, "kovos::update_argmax", p.positions, KOKKOS_LAMBDA(std::size_t i) {
        for (std::size_t t = 0; t < p.count; ++t)
          if (p.x[t * p.positions + i] > p.best[i]) {
            p.best[i] = p.x[t * p.positions + i];
            p.label[i] = static_cast<std::int32_t>(p.first + t);
          }
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ResizeArgmax const& p) {
  problem::UpdateArgmax choice{p.x, p.best, p.label, p.count, p.height * p.width, p.first};
  if (p.h == p.height && p.w == p.width) {
    detail::solve(context, choice);
    return;
  }
  auto const resized = context.template tensor<float>(p.count, choice.positions);
  detail::solve(context, problem::ResizeBilinear{p.x, resized.data(), p.count, p.h, p.w, 1, p.height, p.width});
  choice.x = resized.data();
  detail::solve(context, choice);
}

}  // namespace kovos::engine
