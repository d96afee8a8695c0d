// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/host/packed_layout.hpp"
#include "kovos/kernels/problem/convolution.hpp"

namespace kovos {

namespace detail {

/// Panels of a convolution's weight for the channels of x; in fp32 a single filter is packed as a plain column. E:
/// float, or std::uint16_t for products of bf16.
template <class E, class Kernels, class Exec, class W>
DynamicTensor<E, 1, typename Exec::memory_space> packed_convolution(Context<Exec> const& context,
                                                                    Kernels const& kernels, W const* weight,
                                                                    problem::ConvolutionShape const& s) {
  constexpr bool halves = std::is_same_v<E, std::uint16_t>;
  std::size_t const taps = s.kh * s.kw, depth = taps * s.c, columns = s.out_c == 1 && !halves ? 1 : kernels.columns;
  std::size_t const panels = (s.out_c + columns - 1) / columns;
  auto const pack = [&](auto const& all) {
    for_each_task(context, "kovos::conv2d pack", workers(context, panels), panels, [&](std::size_t panel, std::size_t) {
      E* const to = all.data() + panel * depth * columns;
      for (std::size_t tap = 0; tap < taps; ++tap)
        for (std::size_t i = 0; i < s.c; ++i)
          for (std::size_t j = 0; j < columns; ++j) {
            std::size_t const o = panel * columns + j, k = tap * s.c + i;
            std::size_t const place = (o * s.weight_c + s.first_channel + i) * taps + tap;
            float const value = o < s.out_c ? static_cast<float>(weight[place]) : 0.0f;
            if constexpr (halves) to[(k / 2 * columns + j) * 2 + k % 2] = bf16::round(value);
            else to[k * columns + j] = value;
          }
    });
  };
  return context.packed().template get<E>(
      {weight,
       {s.c, s.first_channel, s.kh, s.kw, columns, halves ? packed_as_bf16_convolution : packed_as_convolution}},
      panels * depth * columns, [&] { return context.template tensor<E>(panels * depth * columns); }, pack);
}

/// A product with what packed_convolution packed.
template <class E, class Kernels>
void multiply_by_packed(Kernels const& kernels, HostProduct<E> const& g) {
  if constexpr (std::is_same_v<E, float>) g.columns == 1 ? kernels.gemv(g) : kernels.gemm(g);
  else kernels.gemm(g);
}

/// Rows of a map as operands of products.
template <class E, class Kernels>
struct PaddedRows {
  Kernels const& kernels;
  float const* map;      // [height, width, c]
  float const* scaling;  // [2, c] or nullptr, as problem::Convolution's
  std::size_t height, width, c, padding;
  float* line;  // room for a row, if there is a scaling

  /// One row, counted from the first row of padding, with `padding` pixels of zeros on both sides.
  void copy(std::size_t row, E* to) const {
    if (row < padding || row >= height + padding) {
      std::fill_n(to, (width + 2 * padding) * c, E{0});
      return;
    }
    float const* from = map + (row - padding) * width * c;
    std::fill_n(to, padding * c, E{0});
    E* const middle = to + padding * c;
    std::fill_n(middle + width * c, padding * c, E{0});
    if constexpr (std::is_same_v<E, float>) {
      if (scaling) kernels.scale_shift(from, middle, width, c, scaling, scaling + c, true);
      else std::copy_n(from, width * c, middle);
    } else {
      if (scaling) {
        best_host_kernels().scale_shift(from, line, width, c, scaling, scaling + c, true);
        from = line;
      }
      kernels.round(from, middle, width * c);
    }
  }
};

/// Mean and sum of squared deviations of each channel over the pixels of a row. to: [2, c].
inline void row_moments(float const* row, std::size_t pixels, std::size_t c, float* to) {
  auto const& kernels = best_host_kernels();
  std::fill_n(to, 2 * c, 0.0f);
  kernels.channel_sums(row, pixels, c, to);
  for (std::size_t i = 0; i < c; ++i) to[i] /= static_cast<float>(pixels);
  kernels.channel_squares(row, pixels, c, to, to + c);
}

/// How many rows of an output are computed from one copy of their input, so that it stays in the second-level cache.
template <class E>
std::size_t rows_per_band(std::size_t input_elements_per_row, std::size_t rows) {
  return std::clamp<std::size_t>(262144 / sizeof(E) / std::max<std::size_t>(1, input_elements_per_row), 1, rows);
}

/// The convolution as products of runs of pixels with the weight. moments: [n, out_h, 2, out_c] or nullptr, where mean
/// and squared deviations of each row of the result go while it is in the cache.
template <class E, class Kernels, class Exec, class W>
void convolve_host(Context<Exec> const& context, Kernels const& kernels, problem::Convolution<W> const& p,
                   float* moments) {
  auto const& s = p.shape;
  auto const packed = packed_convolution<E>(context, kernels, p.weight, s);
  std::size_t const row_size = (s.width + 2 * s.padding) * s.c;
  std::size_t const band = rows_per_band<E>(row_size * s.stride, s.out_h);
  std::size_t const bands = (s.out_h + band - 1) / band;
  std::size_t const band_rows = (band - 1) * s.stride + s.kh;
  std::size_t const threads = workers(context, s.n * bands);
  auto const scratch = context.template tensor<E>(threads, band_rows * row_size);
  auto const lines = context.template tensor<float>(threads, p.scaling ? s.width * s.c : 0);
  for_each_task(context, "kovos::conv2d", threads, s.n * bands, [&](std::size_t task, std::size_t worker) {
    std::size_t const sample = task / bands;
    std::size_t const first = task % bands * band;
    std::size_t const rows = std::min(band, s.out_h - first);
    E* const copy = scratch.data() + worker * band_rows * row_size;
    PaddedRows<E, Kernels> const input{kernels,
                                       p.x + sample * s.height * s.width * s.c,
                                       p.scaling ? p.scaling + sample * 2 * s.c : nullptr,
                                       s.height,
                                       s.width,
                                       s.c,
                                       s.padding,
                                       lines.data() + worker * lines.extent(1)};
    for (std::size_t i = 0; i < (rows - 1) * s.stride + s.kh; ++i)
      input.copy(first * s.stride + i, copy + i * row_size);
    HostProduct<E> g;
    g.a_stride = s.stride * s.c;
    g.segments = s.kh;
    g.segment_length = s.kw * s.c;
    g.segment_stride = row_size;
    g.rows = s.out_w;
    g.packed_b = packed.data();
    g.columns = s.out_c;
    g.c_stride = s.out_c;
    g.epilogue.addend = p.bias;
    if (p.shared) g.epilogue.addend_stride = s.out_c, g.epilogue.row_period = s.out_w;
    g.epilogue.activation = p.activation;
    for (std::size_t i = 0; i < rows; ++i) {
      g.a = copy + i * s.stride * row_size;
      if (p.shared) g.epilogue.addend = p.shared + (first + i) * s.out_w * s.out_c;
      std::size_t const row = sample * s.out_h + first + i;
      g.c = p.y + row * s.out_w * s.out_c;
      multiply_by_packed(kernels, g);
      if (moments) row_moments(g.c, s.out_w, s.out_c, moments + row * 2 * s.out_c);
    }
  });
}

/// The same for all four phases of an upsampled map. moments: [n, 2 height, 2, out_c] or nullptr.
template <class E, class Kernels, class Exec>
void convolve_host(Context<Exec> const& context, Kernels const& kernels, problem::UpsamplingConvolution const& p,
                   float* moments) {
  problem::ConvolutionShape phase_shape;
  phase_shape.out_c = p.out_c;
  phase_shape.c = phase_shape.weight_c = p.c;
  phase_shape.kh = phase_shape.kw = 2;
  std::array<DynamicTensor<E, 1, typename Exec::memory_space>, 4> packed;
  for (std::size_t phase = 0; phase < 4; ++phase)
    packed[phase] = packed_convolution<E>(context, kernels, p.composed + phase * p.out_c * p.c * 4, phase_shape);
  std::size_t const row_size = (p.width + 2) * p.c;
  std::size_t const band = rows_per_band<E>(row_size, p.height);
  std::size_t const bands = (p.height + band - 1) / band;
  std::size_t const threads = workers(context, p.n * bands);
  auto const scratch = context.template tensor<E>(threads, (band + 2) * row_size);
  auto const lines = context.template tensor<float>(threads, p.scaling ? p.width * p.c : 0);
  for_each_task(context, "kovos::upsample_conv2d", threads, p.n * bands, [&](std::size_t task, std::size_t worker) {
    std::size_t const sample = task / bands;
    std::size_t const first = task % bands * band;
    std::size_t const rows = std::min(band, p.height - first);
    E* const copy = scratch.data() + worker * (band + 2) * row_size;
    PaddedRows<E, Kernels> const input{kernels,
                                       p.x + sample * p.height * p.width * p.c,
                                       p.scaling ? p.scaling + sample * 2 * p.c : nullptr,
                                       p.height,
                                       p.width,
                                       p.c,
                                       1,
                                       lines.data() + worker * lines.extent(1)};
    for (std::size_t i = 0; i < rows + 2; ++i) input.copy(first + i, copy + i * row_size);
    HostProduct<E> g;
    g.a_stride = p.c;
    g.segments = 2;
    g.segment_length = 2 * p.c;
    g.segment_stride = row_size;
    g.rows = p.width;
    g.columns = p.out_c;
    g.c_stride = 2 * p.out_c;  // every other pixel of a row
    g.epilogue.addend_stride = 2 * p.out_c;
    g.epilogue.row_period = p.width;
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t phase = 0; phase < 4; ++phase) {
        std::size_t const a = phase / 2, b = phase % 2, row = 2 * (first + i) + a;
        g.a = copy + (i + a) * row_size + b * p.c;
        g.packed_b = packed[phase].data();
        if (p.shared) g.epilogue.addend = p.shared + (row * 2 * p.width + b) * p.out_c;
        float* const line = p.y + (sample * 2 * p.height + row) * 2 * p.width * p.out_c;
        g.c = line + b * p.out_c;
        multiply_by_packed(kernels, g);
        if (moments && b == 1)
          row_moments(line, 2 * p.width, p.out_c, moments + (sample * 2 * p.height + row) * 2 * p.out_c);
      }
  });
}

/// Whether a run of pixels can be a row of a product of bf16.
template <class W>
bool fits_bf16_products(problem::Convolution<W> const& p) {
  return p.shape.kw * p.shape.c % 2 == 0 && p.shape.out_c > 1;
}
inline bool fits_bf16_products(problem::UpsamplingConvolution const&) { return true; }

template <class Exec, class P>
void convolve_host(Context<Exec> const& context, P const& p, float* moments) {
  auto const* const bf16 = bf16_kernels(context);
  if (bf16 && fits_bf16_products(p)) convolve_host<std::uint16_t>(context, *bf16, p, moments);
  else convolve_host<float>(context, best_host_kernels(), p, moments);
}

/// The normalisation of a convolution's result from the moments of its rows. moments: [n, rows, 2, c].
template <class Exec, class C>
void scaling_of_moments(Context<Exec> const& context, problem::ConvolutionNormRelu<C> const& p, float const* moments) {
  auto const y = result_of(p.convolution);
  std::size_t const rows = y.pixels / y.row_pixels, c = y.c, width = c / p.groups;
  context.fence();
  for (std::size_t n = 0; n < y.n; ++n)
    for (std::size_t first = 0; first < c; first += width) {
      float const* const mean = moments + n * rows * 2 * c;
      double sum = 0, square = 0;
      for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = first; i < first + width; ++i) sum += static_cast<double>(mean[row * 2 * c + i]);
      double const middle = sum / static_cast<double>(rows * width);
      for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = first; i < first + width; ++i) {
          double const d = static_cast<double>(mean[row * 2 * c + i]) - middle;
          square += static_cast<double>(mean[(row * 2 + 1) * c + i]) + static_cast<double>(y.row_pixels) * d * d;
        }
      auto const variance = static_cast<float>(square / static_cast<double>(rows * width * y.row_pixels));
      for (std::size_t i = first; i < first + width; ++i) {
        float const scale = p.weight[i] / std::sqrt(variance + p.epsilon);
        p.scaling[n * 2 * c + i] = scale;
        p.scaling[(n * 2 + 1) * c + i] = p.bias[i] - static_cast<float>(middle) * scale;
      }
    }
}

}  // namespace detail

namespace engine {

template <class Exec, class W>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::Convolution<W> const& p) {
  detail::convolve_host(context, p, nullptr);
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::UpsamplingConvolution const& p) {
  detail::convolve_host(context, p, nullptr);
  return true;
}

template <class Exec, class C>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ConvolutionNormRelu<C> const& p) {
  if (!p.scaling) return false;
  auto const y = result_of(p.convolution);
  auto const moments = context.template tensor<float>(y.n, y.pixels / y.row_pixels, std::size_t{2}, y.c);
  detail::convolve_host(context, p.convolution, moments.data());
  detail::scaling_of_moments(context, p, moments.data());
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ApplyScaling const& p) {
  std::size_t const run = 64, tasks = (p.pixels + run - 1) / run;
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::apply_scaling", detail::workers(context, p.n * tasks), p.n * tasks,
                        [&](std::size_t task, std::size_t) {
                          std::size_t const sample = task / tasks, first = task % tasks * run;
                          std::size_t const at = (sample * p.pixels + first) * p.c;
                          float const* const scaling = p.scaling + sample * 2 * p.c;
                          kernels.scale_shift(p.x + at, p.y + at, std::min(run, p.pixels - first), p.c, scaling,
                                              scaling + p.c, true);
                        });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::ConvolutionWeightGradient const& p) {
  auto const& s = p.shape;
  std::size_t const taps = s.kh * s.kw, depth = taps * s.c, pixels = s.out_pixels();
  auto const& kernels = detail::best_host_kernels();
  // Each part sums up a run of pixels, a few at a time, as the product dy^T [out_c, pixels] patches [pixels,
  // depth].
  std::size_t const step = 192, width = kernels.columns, panels = (depth + width - 1) / width;
  std::size_t const count = std::clamp<std::size_t>(pixels / 1024, 1, 16);
  std::size_t const run = ((pixels + count - 1) / count + step - 1) / step * step;
  auto const parts = context.template tensor<float>(count, s.out_c * depth);
  std::size_t const threads = detail::workers(context, count);
  auto const scratch = context.template tensor<float>(threads, panels * width * step + s.out_c * (step + 16));
  detail::for_each_task(
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
            for (std::size_t o = 0; o < s.out_c; ++o) flipped[o * (step + 16) + k] = p.dy[pixel * s.out_c + o];
            std::size_t column = 0;
            for (std::size_t tap = 0; tap < taps; ++tap) {
              std::size_t const sy = top + tap / s.kw, sx = left + tap % s.kw;  // in the padded map
              bool const inside =
                  sy >= s.padding && sy < s.height + s.padding && sx >= s.padding && sx < s.width + s.padding;
              float const* from =
                  inside ? p.x + ((sample * s.height + sy - s.padding) * s.width + sx - s.padding) * s.c : nullptr;
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
            for (; column < panels * width; ++column) packed[(column / width * rows + k) * width + column % width] = 0;
          }
          detail::HostGemmBlock g;
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
  detail::for_each_index(context, "kovos::convolution_weight_gradient sum", s.out_c * depth, [=](std::size_t index) {
    std::size_t const tap = index % taps, i = index / taps % s.c, o = index / taps / s.c;
    float sum = 0;
    for (std::size_t part = 0; part < count; ++part) sum += sums[part * s.out_c * depth + o * depth + tap * s.c + i];
    p.dw[index] += sum;
  });
  return true;
}

}  // namespace engine

}  // namespace kovos
