// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/sums.hpp"
#include "kovos/kernels/problem/transposed_convolution.hpp"

namespace kovos::engine {

template <class Exec, class W>
void run(Portable, Context<Exec> const& context, problem::TransposedConvolution<W> const& p) {
  auto const s = p.shape;
  std::size_t const columns = s.block(), k = s.k, share = s.n / s.maps;
  auto const blocks = context.template tensor<float>(s.in_pixels(), columns);
  auto const* const from = blocks.data();
  if (columns > 0)
    detail::solve(context, problem::Product<float, W, float>{{p.x, s.in_pixels(), s.c, s.c, 1},
                                                             {p.weight, s.c, columns, columns, 1},
                                                             {blocks.data(), s.in_pixels(), columns, columns, 1},
                                                             1,
                                                             {}});
  detail::for_each_index(
      context, "kovos::conv_transpose2d", s.n * k * s.height * k * s.width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const column = index % (k * s.width);
        std::size_t const row = index / (k * s.width) % (k * s.height);
        std::size_t const sample = index / (k * s.width) / (k * s.height);
        float const* const block = from + ((sample * s.height + row / k) * s.width + column / k) * columns;
        float* const out = p.y + index * (s.out_c + s.extra);
        std::size_t const tap = row % k * k + column % k;
        for (std::size_t o = 0; o < s.out_c; ++o) out[o] = block[o * k * k + tap] + (p.bias ? p.bias[o] : 0.0f);
        if (s.extra > 0) {
          float const* const pixel =
              p.guidance + ((sample / share * k * s.height + row) * k * s.width + column) * s.extra;
          for (std::size_t i = 0; i < s.extra; ++i) out[s.out_c + i] = pixel[i];
        }
      });
}

/// The gradients of the product of which the transposed convolution consists.
template <class Exec, class W>
void run(Portable, Context<Exec> const& context, problem::TransposedConvolutionGradient<W> const& p) {
  auto const s = p.shape;
  std::size_t const columns = s.block(), k = s.k, depth = s.out_c + s.extra, out_pixels = k * s.height * k * s.width;
  if (p.dguidance) {
    std::size_t const share = s.n / s.maps;
    detail::for_each_index(
        context, "kovos::conv_transpose2d guidance", s.maps * out_pixels * s.extra, KOKKOS_LAMBDA(std::size_t index) {
          std::size_t const i = index % s.extra, pixel = index / s.extra % out_pixels,
                            map = index / s.extra / out_pixels;
          float sum = 0;
          for (std::size_t n = map * share; n < (map + 1) * share; ++n)
            sum += p.dy[(n * out_pixels + pixel) * depth + s.out_c + i];
          p.dguidance[index] += sum;
        });
  }
  if (p.db && s.n * out_pixels * s.out_c > 0)
    detail::solve(context, problem::AddColumnSums{p.dy, s.n * out_pixels, s.out_c, depth, p.db});
  if (!p.dx && !p.dw) return;
  auto const blocks = context.template tensor<float>(s.in_pixels(), columns);
  auto* const to = blocks.data();
  detail::for_each_index(
      context, "kovos::conv_transpose2d blocks", s.n * s.height * s.width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const column = index % s.width, row = index / s.width % s.height,
                          sample = index / s.width / s.height;
        for (std::size_t tap = 0; tap < k * k; ++tap) {
          std::size_t const pixel = (row * k + tap / k) * k * s.width + column * k + tap % k;
          float const* const from = p.dy + (sample * out_pixels + pixel) * depth;
          for (std::size_t o = 0; o < s.out_c; ++o) to[index * columns + o * k * k + tap] = from[o];
        }
      });
  Matrix<float const> const dz{blocks.data(), s.in_pixels(), columns, columns, 1};
  if (p.dx)
    detail::solve(context,
                  problem::AddProduct<float, W>{dz,
                                                Matrix<W const>{p.weight, s.c, columns, columns, 1}.transposed(),
                                                {p.dx, s.in_pixels(), s.c, s.c, 1},
                                                1});
  if (p.dw)
    detail::solve(context,
                  problem::AddProduct<float, float>{Matrix<float const>{p.x, s.in_pixels(), s.c, s.c, 1}.transposed(),
                                                    dz,
                                                    {p.dw, s.c, columns, columns, 1},
                                                    1});
}

}  // namespace kovos::engine
