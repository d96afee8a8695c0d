// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/gather.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::GatherRows const& p) {
  detail::for_each_index(
      context, "kovos::gather_rows", p.rows * p.row_size, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const row = i / p.row_size;
        std::int32_t const from = p.index[row];
        p.y[i] = from < 0 ? p.fill : p.x[(static_cast<std::size_t>(from) + row * p.step) * p.row_size + i % p.row_size];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ScatterRows const& p) {
  std::size_t const run = 16;  // a cache line
  detail::for_each_index(
      context, "kovos::scatter_rows", (p.row_size + run - 1) / run, KOKKOS_LAMBDA(std::size_t block) {
        std::size_t const last = (block + 1) * run < p.row_size ? (block + 1) * run : p.row_size;
        for (std::size_t i = 0; i < p.rows; ++i) {
          if (p.index[i] < 0) continue;
          float* const to = p.dx + (static_cast<std::size_t>(p.index[i]) + i * p.step) * p.row_size;
          for (std::size_t j = block * run; j < last; ++j) to[j] += p.dy[i * p.row_size + j];
        }
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::CopyRuns const& p) {
  detail::for_each_entry(
      context, "kovos::copy_runs", p.n * p.count, p.depth, KOKKOS_LAMBDA(std::size_t row, std::size_t j) {
        std::size_t const i = row / p.count, place = row % p.count * p.depth + j;
        float const x = p.x[i * p.x_stride + place];
        float& y = p.y[i * p.y_stride + place];
        y = p.add ? y + x : x;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::MapToTokens const& p) {
  detail::for_each_entry(
      context, "kovos::map_to_tokens", p.n * (1 + p.pixels), p.depth, KOKKOS_LAMBDA(std::size_t row, std::size_t i) {
        std::size_t const token = row % (1 + p.pixels), sample = row / (1 + p.pixels);
        p.y[row * p.depth + i] =
            token == 0 ? p.first[i]
                       : p.map[(sample * p.pixels + token - 1) * p.depth + i] + p.positions[(token - 1) * p.depth + i];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::MapToTokensPositionGradient const& p) {
  detail::for_each_index(
      context, "kovos::map_to_tokens_gradient", p.pixels * p.depth, KOKKOS_LAMBDA(std::size_t i) {
        float sum = 0;
        for (std::size_t s = 0; s < p.n; ++s) sum += p.dy[(s * (1 + p.pixels) + 1) * p.depth + i];
        p.dpositions[i] += sum;
      });
}

}  // namespace kovos::engine
