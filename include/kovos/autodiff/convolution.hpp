// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/gemm.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/transposed_convolution.hpp"

namespace kovos {

namespace detail {

/// Extents of a convolution. x: [n, height, width, c], y: [n, out_h, out_w, out_c], weight: [out_c, c, kh, kw].
struct ConvolutionShape {
  std::size_t n, height, width, c, out_h, out_w, out_c, kh, kw, stride, padding;
};

/// dx += the transposed convolution of dy.
template <class Exec, class W>
void convolution_input_gradient(Context<Exec> const& context, ConvolutionShape const& s, float* dy, W const* weight,
                                float* dx) {
  std::size_t const taps = s.kh * s.kw;
  if (s.stride == 1 && s.kh == s.kw && s.padding < s.kh) {
    // A convolution of dy with the kernel turned by half a turn.
    auto const turned = context.template tensor<float>(s.c, s.out_c, s.kh, s.kw);
    auto* const to = turned.data();
    for_each_index(
        context, "kovos::turned kernel", turned.size(), KOKKOS_LAMBDA(std::size_t index) {
          std::size_t const tap = index % taps, o = index / taps % s.out_c, i = index / taps / s.out_c;
          to[index] = static_cast<float>(weight[(o * s.c + i) * taps + taps - 1 - tap]);
        });
    using Memory = typename Exec::memory_space;
    DynamicTensor<float, 4, Memory> const outputs(dy, dynamic_extents<4>(s.n, s.out_h, s.out_w, s.out_c), nullptr);
    auto const part = conv2d(context, outputs, turned, DynamicTensor<float, 1, Memory>{}, 1, s.kh - 1 - s.padding);
    add_to(context, part.data(), part.size(), dx);
    return;
  }
  for_each_index(
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
                dy + ((sample * s.out_h + (row - ky) / s.stride) * s.out_w + (column - kx) / s.stride) * s.out_c;
            for (std::size_t o = 0; o < s.out_c; ++o)
              sum += pixel[o] * static_cast<float>(weight[((o * s.c + i) * s.kh + ky) * s.kw + kx]);
          }
        }
        dx[index] += sum;
      });
}

/// dw += the correlation of x and dy.
template <class Exec>
void convolution_weight_gradient(Context<Exec> const& context, ConvolutionShape const& s, float const* x,
                                 float const* dy, float* dw) {
  std::size_t const taps = s.kh * s.kw, depth = taps * s.c, pixels = s.n * s.out_h * s.out_w;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      // Each part sums up a run of pixels, a few at a time, as the product dy^T [out_c, pixels] patches [pixels,
      // depth].
      std::size_t const step = 192, width = kernels.columns, panels = (depth + width - 1) / width;
      std::size_t const count = std::clamp<std::size_t>(pixels / 1024, 1, 16);
      std::size_t const run = ((pixels + count - 1) / count + step - 1) / step * step;
      auto const parts = context.template tensor<float>(count, s.out_c * depth);
      std::size_t const threads = workers(context, count);
      auto const scratch = context.template tensor<float>(threads, panels * width * step + s.out_c * (step + 16));
      for_each_task(
          context, "kovos::convolution_weight_gradient", threads, count, [&](std::size_t part, std::size_t worker) {
            float* const packed = scratch.data() + worker * scratch.extent(1);
            float* const flipped = packed + panels * width * step;
            float* const sums = parts.data() + part * s.out_c * depth;
            std::fill_n(sums, s.out_c * depth, 0.0f);
            for (std::size_t first = part * run; first < std::min(pixels, (part + 1) * run); first += step) {
              std::size_t const rows = std::min(step, std::min(pixels, (part + 1) * run) - first);
              for (std::size_t k = 0; k < rows; ++k) {
                std::size_t const pixel = first + k;
                std::size_t const left = pixel % s.out_w * s.stride, top = pixel / s.out_w % s.out_h * s.stride;
                std::size_t const sample = pixel / s.out_w / s.out_h;
                for (std::size_t o = 0; o < s.out_c; ++o) flipped[o * (step + 16) + k] = dy[pixel * s.out_c + o];
                std::size_t column = 0;
                for (std::size_t tap = 0; tap < taps; ++tap) {
                  std::size_t const sy = top + tap / s.kw, sx = left + tap % s.kw;  // in the padded map
                  bool const inside =
                      sy >= s.padding && sy < s.height + s.padding && sx >= s.padding && sx < s.width + s.padding;
                  float const* from =
                      inside ? x + ((sample * s.height + sy - s.padding) * s.width + sx - s.padding) * s.c : nullptr;
                  for (std::size_t left_over = s.c; left_over > 0;) {
                    std::size_t const within = column % width, length = std::min(left_over, width - within);
                    float* const to = packed + (column / width * rows + k) * width + within;
                    if (inside) {
                      std::copy_n(from, length, to);
                      from += length;
                    } else {
                      std::fill_n(to, length, 0.0f);
                    }
                    column += length;
                    left_over -= length;
                  }
                }
                for (; column < panels * width; ++column)
                  packed[(column / width * rows + k) * width + column % width] = 0;
              }
              HostGemmBlock g;
              g.a = flipped;
              g.a_stride = step + 16;
              g.segment_length = rows;
              g.rows = s.out_c;
              g.packed_b = packed;
              g.columns = depth;
              g.c = sums;
              g.c_stride = depth;
              g.epilogue.residual = sums;
              g.epilogue.residual_stride = depth;
              kernels.gemm(g);
            }
          });
      auto const* const sums = parts.data();
      for_each_index(context, "kovos::convolution_weight_gradient sum", s.out_c * depth, [=](std::size_t index) {
        std::size_t const tap = index % taps, i = index / taps % s.c, o = index / taps / s.c;
        float sum = 0;
        for (std::size_t part = 0; part < count; ++part)
          sum += sums[part * s.out_c * depth + o * depth + tap * s.c + i];
        dw[index] += sum;
      });
      return;
    }
#endif
  for_each_index(
      context, "kovos::convolution_weight_gradient", s.out_c * depth, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const kx = index % s.kw, ky = index / s.kw % s.kh, i = index / taps % s.c, o = index / taps / s.c;
        float sum = 0;
        for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
          std::size_t const sx = pixel % s.out_w * s.stride + kx, sy = pixel / s.out_w % s.out_h * s.stride + ky;
          if (sy < s.padding || sy >= s.height + s.padding || sx < s.padding || sx >= s.width + s.padding) continue;
          std::size_t const sample = pixel / s.out_w / s.out_h;
          sum +=
              dy[pixel * s.out_c + o] * x[((sample * s.height + sy - s.padding) * s.width + sx - s.padding) * s.c + i];
        }
        dw[index] += sum;
      });
}

/// The gradients of a transposed convolution whose stride is its kernel: those of the product of which it consists.
template <class Exec, class W, class G>
void transposed_convolution_gradient(Context<Exec> const& context,
                                     DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
                                     std::size_t guidance_maps, std::size_t extra, float const* dy, G const& dx,
                                     G const& dw, G const& db, G const& dg) {
  using T = typename W::value_type;
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_c = weight.extent(1), k = weight.extent(2), columns = out_c * k * k, depth = out_c + extra;
  std::size_t const out_pixels = k * height * k * width;
  if (dg) {
    float* const to = dg.accumulate(context);
    std::size_t const share = n / guidance_maps;
    for_each_index(
        context, "kovos::conv_transpose2d guidance", guidance_maps * out_pixels * extra,
        KOKKOS_LAMBDA(std::size_t index) {
          std::size_t const i = index % extra, pixel = index / extra % out_pixels, map = index / extra / out_pixels;
          float sum = 0;
          for (std::size_t s = map * share; s < (map + 1) * share; ++s)
            sum += dy[(s * out_pixels + pixel) * depth + out_c + i];
          to[index] += sum;
        });
  }
  if (db) add_column_sums(context, dy, n * out_pixels, out_c, depth, db.accumulate(context));
  if (!dx && !dw) return;
  auto const blocks = context.template tensor<float>(n * height * width, columns);
  auto* const to = blocks.data();
  for_each_index(
      context, "kovos::conv_transpose2d blocks", n * height * width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const column = index % width, row = index / width % height, sample = index / width / height;
        for (std::size_t tap = 0; tap < k * k; ++tap) {
          std::size_t const pixel = (row * k + tap / k) * k * width + column * k + tap % k;
          float const* const from = dy + (sample * out_pixels + pixel) * depth;
          for (std::size_t o = 0; o < out_c; ++o) to[index * columns + o * k * k + tap] = from[o];
        }
      });
  Matrix<T const> const w{weight.data(), c, columns, columns, 1};
  if (dx)
    accumulate_product(context, as_matrix(blocks), w.transposed(),
                       Matrix<float>{dx.accumulate(context), n * height * width, c, c, 1});
  if (dw)
    accumulate_product(context, as_matrix(x).transposed(), as_matrix(blocks),
                       Matrix<float>{dw.accumulate(context), c, columns, columns, 1});
}

}  // namespace detail

/// conv2d with gradients.
template <class Exec, Recompute Policy, class W, class B>
auto conv2d(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
            W const& weight, B const& bias, std::size_t stride = 1, std::size_t padding = 0,
            Activation activation = Activation::none) {
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data());
  bool const activates = activation != Activation::none;
  DynamicTensor<float, 4, typename Exec::memory_space> z;
  auto const y = tape.adopt([&] {
    if (!activates || !(dx || dw || db)) return conv2d(tape.context(), x, weight, bias, stride, padding, activation);
    z = conv2d(tape.context(), x, weight, bias, stride, padding);
    auto const copy = copy_of(tape.context(), z);
    activate(tape.context(), copy, activation);
    return copy;
  }());
  tape.record(y.data(), {dx, dw, db}, {dw ? x.data() : nullptr, weight.data()},
              [=, extents = y.extents()](auto const& t, float* dy) {
                auto const& context = t.context();
                detail::ConvolutionShape const shape{x.extent(0),      x.extent(1), x.extent(2), x.extent(3),
                                                     extents[1],       extents[2],  extents[3],  weight.extent(2),
                                                     weight.extent(3), stride,      padding};
                std::size_t const rows = extents.size() / extents[3];
                DynamicTensor<float, 4, typename Exec::memory_space> slope;
                if (activates) {
                  slope = context.template tensor<float>(extents[0], extents[1], extents[2], extents[3]);
                  detail::activation_gradient(context, z.data(), dy, rows, extents[3], extents[3], activation,
                                              slope.data());
                  dy = slope.data();
                }
                if (db) detail::add_column_sums(context, dy, rows, extents[3], extents[3], db.accumulate(context));
                if (dw) detail::convolution_weight_gradient(context, shape, x.data(), dy, dw.accumulate(context));
                if (dx) detail::convolution_input_gradient(context, shape, dy, weight.data(), dx.accumulate(context));
              });
  return y;
}

/// conv_transpose2d with gradients, also for the guidance.
template <class Exec, Recompute Policy, class W, class B>
auto conv_transpose2d(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                      W const& weight, B const& bias,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& guidance = {}) {
  auto const y = tape.adopt(conv_transpose2d(tape.context(), x, weight, bias, guidance));
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data()),
             dg = tape.gradient_of(guidance.data());
  tape.record(y.data(), {dx, dw, db, dg}, {dw ? x.data() : nullptr, dx ? weight.data() : nullptr},
              [=](auto const& t, float* dy) {
                detail::transposed_convolution_gradient(t.context(), x, weight,
                                                        guidance.empty() ? 0 : guidance.extent(0),
                                                        guidance.empty() ? 0 : guidance.extent(3), dy, dx, dw, db, dg);
              });
  return y;
}

}  // namespace kovos
