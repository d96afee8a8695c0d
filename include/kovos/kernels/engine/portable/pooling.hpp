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

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AveragePoolGradient const& p) {
  float const factor = 1.0f / static_cast<float>(p.k * p.k);
  std::size_t const rows = p.height / p.k, columns = p.width / p.k;
  detail::for_each_index(
      context, "kovos::average_pool2d_gradient", p.n * p.height * p.width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const row = index / p.width % p.height / p.k, column = index % p.width / p.k;
        if (row >= rows || column >= columns) return;
        float const* const from = p.dy + ((index / p.width / p.height * rows + row) * columns + column) * p.c;
        for (std::size_t i = 0; i < p.c; ++i) p.dx[index * p.c + i] += factor * from[i];
      });
}

}  // namespace kovos::engine
