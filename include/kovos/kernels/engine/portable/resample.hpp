// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/interpolation.hpp"
#include "kovos/kernels/problem/resample.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ResizeBilinear const& p) {
  detail::for_each_index(
      context, "kovos::resize_bilinear", p.n * p.height * p.width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / p.width / p.height;
        auto const ty = detail::linear_tap(index / p.width % p.height, p.h, p.height, p.alignment);
        auto const tx = detail::linear_tap(index % p.width, p.w, p.width, p.alignment);
        float const* const top = p.x + (sample * p.h + ty.first) * p.w * p.c;
        float const* const bottom = p.x + (sample * p.h + ty.second) * p.w * p.c;
        for (std::size_t i = 0; i < p.c; ++i)
          p.y[index * p.c + i] = detail::interpolate(top, bottom, tx, ty.weight, p.c, i);
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ResizeBicubic const& p) {
  detail::for_each_index(
      context, "kovos::resize_bicubic", p.n * p.height * p.width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / p.width / p.height;
        auto const ty = detail::cubic_taps(index / p.width % p.height, p.h, p.height);
        auto const tx = detail::cubic_taps(index % p.width, p.w, p.width);
        for (std::size_t i = 0; i < p.c; ++i) {
          float sum = 0;
          for (int ky = 0; ky < 4; ++ky) {
            float const* const row = p.x + (sample * p.h + ty.place[ky]) * p.w * p.c;
            float line = 0;
            for (int kx = 0; kx < 4; ++kx) line += tx.weight[kx] * row[tx.place[kx] * p.c + i];
            sum += ty.weight[ky] * line;
          }
          p.y[index * p.c + i] = sum;
        }
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddResizedPart const& p) {
  detail::for_each_index(
      context, "kovos::add_resized_part", p.n * p.part_height * p.part_width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const row = index / p.part_width % p.part_height, column = index % p.part_width;
        auto const ty = detail::linear_tap(p.top + row, p.h, p.height, Alignment::half_pixel);
        auto const tx = detail::linear_tap(p.left + column, p.w, p.width, Alignment::half_pixel);
        float const* const map = p.x + index / p.part_width / p.part_height * p.h * p.w;
        p.y[index] += detail::interpolate(map + ty.first * p.w, map + ty.second * p.w, tx, ty.weight, 1, 0);
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::TransposedAxis const& p) {
  detail::for_each_index(
      context, "kovos::transposed_axis", p.outer * p.in, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % p.in, a = index / p.in;
        float* const line = p.dx + index * p.inner;
        if (!p.add)
          for (std::size_t j = 0; j < p.inner; ++j) line[j] = 0;
        for (std::int32_t t = p.first[i]; t < p.first[i + 1]; ++t) {
          float const weight = p.weight[t];
          float const* const source = p.dy + (a * p.out + static_cast<std::size_t>(p.result[t])) * p.inner;
          for (std::size_t j = 0; j < p.inner; ++j) line[j] += weight * source[j];
        }
      });
}

}  // namespace kovos::engine
