// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/embedding.hpp"

namespace kovos::engine {

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::Embed<T> const& p) {
  detail::for_each_entry(
      context, "kovos::embed", p.rows, p.width, KOKKOS_LAMBDA(std::size_t row, std::size_t i) {
        std::size_t const id = static_cast<std::size_t>(p.ids[row]);
        p.y[row * p.width + i] =
            static_cast<float>(p.table[id * p.width + i]) + p.positions[row % p.length * p.width + i];
      });
}

}  // namespace kovos::engine
