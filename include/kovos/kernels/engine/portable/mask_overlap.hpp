// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/mask_overlap.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::MaskOwner const& p) {
  detail::for_each_index(
      context, "kovos::mask_owner", p.positions, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t best = 0;
        float inside = detail::activated(p.masks[i], Activation::sigmoid);
        float top = p.scores[0] * inside;
        for (std::size_t n = 1; n < p.count; ++n) {
          float const probability = detail::activated(p.masks[n * p.positions + i], Activation::sigmoid);
          float const value = p.scores[n] * probability;
          if (value > top) {
            top = value;
            inside = probability;
            best = n;
          }
        }
        auto const number = static_cast<std::int32_t>(best);
        p.owner[i] = inside >= 0.5f ? number : -1 - number;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::MaskExtents const& p) {
  // Sums of short runs, so that a device has enough to do and little is lost by adding floats.
  std::size_t const run = 1024, runs = (p.positions + run - 1) / run;
  auto const numbers = context.template tensor<std::int32_t>(p.count * runs, std::size_t{2});
  auto const sums = context.template tensor<float>(p.count * runs);
  auto* const number = numbers.data();
  auto* const sum = sums.data();
  detail::for_each_index(
      context, "kovos::mask_extents", p.count * runs, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const first = i % runs * run, last = first + run < p.positions ? first + run : p.positions;
        float const* const mask = p.masks + i / runs * p.positions;
        std::int32_t positive = 0, half = 0;
        float total = 0;
        for (std::size_t j = first; j < last; ++j) {
          float const probability = detail::activated(mask[j], Activation::sigmoid);
          if (mask[j] > 0) {
            ++positive;
            total += probability;
          }
          if (probability >= 0.5f) ++half;
        }
        number[2 * i] = positive;
        number[2 * i + 1] = half;
        sum[i] = total;
      });
  detail::for_each_index(
      context, "kovos::mask_extents sums", p.count, KOKKOS_LAMBDA(std::size_t n) {
        std::int32_t positive = 0, half = 0;
        double total = 0;
        for (std::size_t i = n * runs; i < (n + 1) * runs; ++i) {
          positive += number[2 * i];
          half += number[2 * i + 1];
          total += static_cast<double>(sum[i]);
        }
        p.numbers[2 * n] = positive;
        p.numbers[2 * n + 1] = half;
        p.sums[n] = total;
      });
}

}  // namespace kovos::engine
