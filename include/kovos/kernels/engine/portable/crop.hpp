// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/crop.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::Crop const& p) {
  detail::for_each_entry(
      context, "kovos::crop", p.n * p.height, p.width * p.c, KOKKOS_LAMBDA(std::size_t line, std::size_t entry) {
        std::size_t const row = p.top + line % p.height, sample = line / p.height;
        std::size_t const from_entry = p.left * p.c + entry;
        bool const inside = row < p.h && from_entry < p.w * p.c;
        p.y[line * p.width * p.c + entry] = inside ? p.x[(sample * p.h + row) * p.w * p.c + from_entry] : 0.0f;
      });
}

}  // namespace kovos::engine
