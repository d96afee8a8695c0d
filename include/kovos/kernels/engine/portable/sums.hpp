// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/sums.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddParts const& p) {
  detail::for_each_index(
      context, "kovos::add_parts", p.c, KOKKOS_LAMBDA(std::size_t j) {
        float sum = 0;
        for (std::size_t i = 0; i < p.count; ++i) sum += p.parts[i * p.c + j];
        p.sums[j] += sum;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddColumnSums const& p) {
  std::size_t const count = problem::row_parts(p.rows);
  auto const parts = context.template tensor<float>(count, p.c);
  auto* const to = parts.data();
  std::size_t const run = (p.rows + count - 1) / count;
  detail::for_each_index(
      context, "kovos::add_column_sums", count * p.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const j = index % p.c, first = index / p.c * run;
        float sum = 0;
        for (std::size_t i = first; i < first + run && i < p.rows; ++i) sum += p.x[i * p.stride + j];
        to[index] = sum;
      });
  detail::solve(context, problem::AddParts{to, count, p.c, p.sums});
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddPeriodicSums const& p) {
  std::size_t const cycle = p.divisor * p.period;
  detail::for_each_index(
      context, "kovos::add_periodic_sums", p.period * p.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const r = index / p.c, j = index % p.c;
        float sum = 0;
        for (std::size_t first = r * p.divisor; first < p.rows; first += cycle)
          for (std::size_t i = first; i < first + p.divisor && i < p.rows; ++i) sum += p.x[i * p.stride + j];
        p.sums[r * p.sums_stride + j] += sum;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddTo const& p) {
  auto const x = p.x;
  auto const g = p.g;
  if (x.column_stride == 1 && g.column_stride == 1 && x.row_stride == x.columns && g.row_stride == g.columns) {
    detail::for_each_index(
        context, "kovos::add_to", x.rows * x.columns, KOKKOS_LAMBDA(std::size_t i) { g.data[i] += x.data[i]; });
    return;
  }
  detail::for_each_index(
      context, "kovos::add_to", x.rows * x.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / x.columns, j = index % x.columns;
        g.data[i * g.row_stride + j * g.column_stride] += x.data[i * x.row_stride + j * x.column_stride];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::Clear const& p) {
  auto const x = p.x;
  detail::for_each_index(
      context, "kovos::clear", x.rows * x.columns,
      KOKKOS_LAMBDA(std::size_t i) { x.data[i / x.columns * x.row_stride + i % x.columns] = 0; });
}

}  // namespace kovos::engine
