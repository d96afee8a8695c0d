// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/convolution.hpp"
#include "kovos/kernels/problem/normalization.hpp"
#include "kovos/kernels/problem/sums.hpp"

namespace kovos {

namespace detail {

/// p with what x stands for instead of x and its scaling; keeps the copy in `scaled`.
template <class Exec, class P>
P without_scaling(Context<Exec> const& context, P const& p, std::size_t n, std::size_t pixels, std::size_t c,
                  DynamicTensor<float, 1, typename Exec::memory_space>& scaled) {
  scaled = context.template tensor<float>(n * pixels * c);
  solve(context, problem::ApplyScaling{p.x, p.scaling, scaled.data(), n, pixels, c});
  P plain = p;
  plain.x = scaled.data();
  plain.scaling = nullptr;
  return plain;
}

/// Scale and shift of the group normalisation of y. y: [n, pixels, c], scaling: [n, 2, c].
template <class Exec, class C>
void group_scaling(Context<Exec> const& context, problem::ConvolutionNormRelu<C> const& p) {
  auto const y = result_of(p.convolution);
  float const* const from = p.convolution.y;
  float const* const weight = p.weight;
  float const* const bias = p.bias;
  float* const scaling = p.scaling;
  std::size_t const groups = p.groups, width = y.c / groups, pixels = y.pixels, c = y.c;
  float const epsilon = p.epsilon;
  double const count = static_cast<double>(pixels * width);
  for_each_index(
      context, "kovos::group_scaling", y.n * groups, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / groups, first = index % groups * width;
        float const* const x = from + sample * pixels * c;
        double sum = 0;
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t j = first; j < first + width; ++j) sum += static_cast<double>(x[i * c + j]);
        double const mean = sum / count;
        double square = 0;
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t j = first; j < first + width; ++j) {
            double const d = static_cast<double>(x[i * c + j]) - mean;
            square += d * d;
          }
        float const deviation = Kokkos::sqrt(static_cast<float>(square / count) + epsilon);
        for (std::size_t j = first; j < first + width; ++j) {
          float const scale = weight[j] / deviation;
          scaling[sample * 2 * c + j] = scale;
          scaling[(sample * 2 + 1) * c + j] = bias[j] - static_cast<float>(mean) * scale;
        }
      });
}

}  // namespace detail

namespace engine {

template <class Exec, class W>
void run(Portable, Context<Exec> const& context, problem::Convolution<W> const& p) {
  auto const s = p.shape;
  if (p.scaling) {
    DynamicTensor<float, 1, typename Exec::memory_space> scaled;
    detail::solve(context, detail::without_scaling(context, p, s.n, s.height * s.width, s.c, scaled));
    return;
  }
  auto const* const w = p.weight + s.first_channel * s.kh * s.kw;
  detail::for_each_index(
      context, "kovos::conv2d", s.out_pixels() * s.out_c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index % s.out_c;
        std::size_t const column = index / s.out_c % s.out_w;
        std::size_t const row = index / s.out_c / s.out_w % s.out_h;
        std::size_t const sample = index / s.out_c / s.out_w / s.out_h;
        float sum = p.bias ? p.bias[o] : p.shared ? p.shared[index % (s.out_h * s.out_w * s.out_c)] : 0.0f;
        for (std::size_t i = 0; i < s.kh; ++i) {
          std::size_t const source_y = row * s.stride + i;
          if (source_y < s.padding || source_y >= s.height + s.padding) continue;
          for (std::size_t j = 0; j < s.kw; ++j) {
            std::size_t const source_x = column * s.stride + j;
            if (source_x < s.padding || source_x >= s.width + s.padding) continue;
            float const* const pixel =
                p.x + ((sample * s.height + source_y - s.padding) * s.width + source_x - s.padding) * s.c;
            for (std::size_t k = 0; k < s.c; ++k)
              sum += pixel[k] * static_cast<float>(w[((o * s.weight_c + k) * s.kh + i) * s.kw + j]);
          }
        }
        p.y[index] = detail::activated(sum, p.activation);
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::UpsamplingConvolution const& p) {
  if (p.scaling) {
    DynamicTensor<float, 1, typename Exec::memory_space> scaled;
    detail::solve(context, detail::without_scaling(context, p, p.n, p.height * p.width, p.c, scaled));
    return;
  }
  std::size_t const map = 4 * p.height * p.width * p.out_c;
  detail::for_each_index(
      context, "kovos::upsample_conv2d", p.n * map, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index % p.out_c;
        std::size_t const column = index / p.out_c % (2 * p.width);
        std::size_t const row = index / p.out_c / (2 * p.width) % (2 * p.height);
        std::size_t const sample = index / map;
        std::size_t const a = row % 2, b = column % 2;
        float sum = p.shared ? p.shared[index % map] : 0.0f;
        for (std::size_t dy = 0; dy < 2; ++dy) {
          std::size_t const y1 = row / 2 + a + dy;  // one more than the row of x
          if (y1 < 1 || y1 > p.height) continue;
          for (std::size_t dx = 0; dx < 2; ++dx) {
            std::size_t const x1 = column / 2 + b + dx;
            if (x1 < 1 || x1 > p.width) continue;
            float const* const pixel = p.x + ((sample * p.height + y1 - 1) * p.width + x1 - 1) * p.c;
            for (std::size_t k = 0; k < p.c; ++k)
              sum += pixel[k] * p.composed[(((a * 2 + b) * p.out_c + o) * p.c + k) * 4 + dy * 2 + dx];
          }
        }
        p.y[index] = sum;
      });
}

template <class Exec, class U, class W>
void run(Portable, Context<Exec> const& context, problem::ComposeUpsampling<U, W> const& p) {
  detail::for_each_index(
      context, "kovos::compose_upsampling", p.out_c * p.in_c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index / p.in_c, k = index % p.in_c;
        float sum[16] = {};  // [a, b, dy, dx]
        for (std::size_t m = 0; m < p.mid_c; ++m)
          for (std::size_t a = 0; a < 2; ++a)
            for (std::size_t b = 0; b < 2; ++b)
              for (std::size_t v = 0; v < 3; ++v)
                for (std::size_t h = 0; h < 3; ++h) {
                  // In the upsampled map tap (v, h) of pixel (2 i + a, 2 j + b) is (2 i + a + v - 1, ...): with
                  // y = a + v + 1 that is row y % 2 of the block of input pixel i + y / 2 - 1.
                  std::size_t const y = a + v + 1, x = b + h + 1;
                  std::size_t const dy = y / 2 - a, dx = x / 2 - b;
                  sum[((a * 2 + b) * 2 + dy) * 2 + dx] +=
                      static_cast<float>(p.weight[((o * p.weight_c + m) * 3 + v) * 3 + h]) *
                      static_cast<float>(p.up[((k * p.mid_c + m) * 2 + y % 2) * 2 + x % 2]);
                }
        for (std::size_t phase = 0; phase < 4; ++phase)
          for (std::size_t tap = 0; tap < 4; ++tap)
            p.composed[((phase * p.out_c + o) * p.in_c + k) * 4 + tap] = sum[phase * 4 + tap];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ApplyScaling const& p) {
  detail::for_each_index(
      context, "kovos::apply_scaling", p.n * p.pixels * p.c, KOKKOS_LAMBDA(std::size_t i) {
        float const* const scale = p.scaling + i / (p.pixels * p.c) * 2 * p.c + i % p.c;
        float const y = p.x[i] * scale[0] + scale[p.c];
        p.y[i] = y > 0 ? y : 0;
      });
}

template <class Exec, class C>
void run(Portable, Context<Exec> const& context, problem::ConvolutionNormRelu<C> const& p) {
  detail::solve(context, p.convolution);
  auto const y = result_of(p.convolution);
  if (p.scaling) detail::group_scaling(context, p);
  else
    detail::solve(context,
                  problem::GroupNorm{p.convolution.y, p.weight, p.bias, y.n, y.pixels, y.c, p.groups, true, p.epsilon});
}

template <class Exec, class W>
void run(Portable, Context<Exec> const& context, problem::ConvolutionInputGradient<W> const& p) {
  auto const s = p.shape;
  if (s.stride == 1 && s.kh == s.kw && s.padding < s.kh) {
    // A convolution of dy with the kernel turned by half a turn.
    std::size_t const taps = s.kh * s.kw;
    auto const turned = context.template tensor<float>(s.c, s.out_c, s.kh, s.kw);
    auto* const to = turned.data();
    detail::for_each_index(
        context, "kovos::turned kernel", turned.size(), KOKKOS_LAMBDA(std::size_t index) {
          std::size_t const tap = index % taps, o = index / taps % s.out_c, i = index / taps / s.out_c;
          to[index] = static_cast<float>(p.weight[(o * s.c + i) * taps + taps - 1 - tap]);
        });
    auto const part = context.template tensor<float>(s.n * s.height * s.width, s.c);
    if (part.size() == 0) return;
    detail::solve(context, problem::Convolution<float>{{s.n, s.out_h, s.out_w, s.out_c, s.height, s.width, s.c, s.out_c,
                                                        0, s.kh, s.kw, 1, s.kh - 1 - s.padding},
                                                       p.dy,
                                                       to,
                                                       part.data()});
    detail::solve(
        context, problem::AddTo{{part.data(), 1, part.size(), part.size(), 1}, {p.dx, 1, part.size(), part.size(), 1}});
    return;
  }
  detail::for_each_index(
      context, "kovos::convolution_input_gradient", s.n * s.height * s.width * s.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % s.c, column = index / s.c % s.width + s.padding;
        std::size_t const row = index / s.c / s.width % s.height + s.padding;
        std::size_t const sample = index / s.c / s.width / s.height;
        float sum = 0;
        for (std::size_t ky = 0; ky < s.kh; ++ky) {
          if (row < ky || (row - ky) % s.stride != 0 || (row - ky) / s.stride >= s.out_h) continue;
          for (std::size_t kx = 0; kx < s.kw; ++kx) {
            if (column < kx || (column - kx) % s.stride != 0 || (column - kx) / s.stride >= s.out_w) continue;
            float const* const pixel =
                p.dy + ((sample * s.out_h + (row - ky) / s.stride) * s.out_w + (column - kx) / s.stride) * s.out_c;
            for (std::size_t o = 0; o < s.out_c; ++o)
              sum += pixel[o] * static_cast<float>(p.weight[((o * s.c + i) * s.kh + ky) * s.kw + kx]);
          }
        }
        p.dx[index] += sum;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ConvolutionWeightGradient const& p) {
  auto const s = p.shape;
  std::size_t const taps = s.kh * s.kw, pixels = s.out_pixels();
  detail::for_each_index(
      context, "kovos::convolution_weight_gradient", s.out_c * taps * s.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const kx = index % s.kw, ky = index / s.kw % s.kh, i = index / taps % s.c, o = index / taps / s.c;
        float sum = 0;
        for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
          std::size_t const sx = pixel % s.out_w * s.stride + kx, sy = pixel / s.out_w % s.out_h * s.stride + ky;
          if (sy < s.padding || sy >= s.height + s.padding || sx < s.padding || sx >= s.width + s.padding) continue;
          std::size_t const sample = pixel / s.out_w / s.out_h;
          sum += p.dy[pixel * s.out_c + o] *
                 p.x[((sample * s.height + sy - s.padding) * s.width + sx - s.padding) * s.c + i];
        }
        p.dw[index] += sum;
      });
}

}  // namespace engine

}  // namespace kovos
