// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/pooling.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AveragePool const& p) {
  std::size_t const rows = p.height / p.k, columns = p.width / p.k;
  float const factor = 1.0f / static_cast<float>(p.k * p.k);
  detail::for_each_index(
      context, "kovos::average_pool2d", p.n * rows * columns * p.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const channel = index % p.c;
        std::size_t const column = index / p.c % columns;
        std::size_t const row = index / p.c / columns % rows;
        std::size_t const first = index / p.c / columns / rows * p.height + row * p.k;  // over the rows of all samples
        float sum = 0;
        for (std::size_t i = 0; i < p.k; ++i)
          for (std::size_t j = 0; j < p.k; ++j) sum += p.x[((first + i) * p.width + column * p.k + j) * p.c + channel];
        p.y[index] = sum * factor;
      });
}

}  // namespace kovos::engine
