// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/normalization.hpp"

namespace kovos {

namespace detail {

/// What a convolution is beside its operands.
struct Convolution {
  std::size_t stride = 1, padding = 0;
  Activation activation = Activation::none;
  float const* bias = nullptr;    // [O]
  std::size_t first_channel = 0;  // x has channels of weight's from here on
  float const* shared = nullptr;  // [H', W', O], added to every sample; then there is no bias
  // Host engine only:
  float const* scaling = nullptr;  // [N, 2, C]: x stands for max(0, x scale + shift)
  float* moments = nullptr;        // [N, H', 2, O]: mean and squared deviations of each row of the result are put here
};

#ifdef KOVOS_HOST_ENGINE

/// Panels of a convolution's weight [O, C, kh, kw] for the channels [first_channel, first_channel + c); in fp32 a
/// single filter is packed as a plain column. E: float, or std::uint16_t for products of bf16.
template <class E, class Kernels, class Exec, class W>
auto packed_convolution(Context<Exec> const& context, Kernels const& kernels, W const& weight,
                        std::size_t first_channel, std::size_t c) {
  constexpr bool halves = std::is_same_v<E, std::uint16_t>;
  std::size_t const out_c = weight.extent(0), all_c = weight.extent(1), kh = weight.extent(2), kw = weight.extent(3);
  std::size_t const depth = kh * kw * c, columns = out_c == 1 && !halves ? 1 : kernels.columns;
  std::size_t const panels = (out_c + columns - 1) / columns;
  auto const pack = [&](auto const& all) {
    for_each_task(context, "kovos::conv2d pack", workers(context, panels), panels, [&](std::size_t panel, std::size_t) {
      E* const to = all.data() + panel * depth * columns;
      for (std::size_t tap = 0; tap < kh * kw; ++tap)
        for (std::size_t i = 0; i < c; ++i)
          for (std::size_t j = 0; j < columns; ++j) {
            std::size_t const o = panel * columns + j, k = tap * c + i;
            std::size_t const place = (o * all_c + first_channel + i) * kh * kw + tap;
            float const value = o < out_c ? static_cast<float>(weight.data()[place]) : 0.0f;
            if constexpr (halves) to[(k / 2 * columns + j) * 2 + k % 2] = bf16::round(value);
            else to[k * columns + j] = value;
          }
    });
  };
  return context.packed().template get<E>(
      {weight.data(), {c, first_channel, kh, kw, columns, halves ? packed_as_bf16_convolution : packed_as_convolution}},
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
  float const* scaling;  // [2, c] or nullptr, as Convolution says
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

/// The convolution as products of runs of pixels with the weight.
template <class E, class Kernels, class Exec, class W>
void conv2d_host(Context<Exec> const& context, Kernels const& kernels,
                 DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
                 DynamicTensor<float, 4, typename Exec::memory_space> const& y, Convolution const& of) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_h = y.extent(1), out_w = y.extent(2), out_c = y.extent(3);
  std::size_t const kh = weight.extent(2), kw = weight.extent(3);
  std::size_t const stride = of.stride, padding = of.padding;
  auto const packed = packed_convolution<E>(context, kernels, weight, of.first_channel, c);
  std::size_t const row_size = (width + 2 * padding) * c;
  std::size_t const band = rows_per_band<E>(row_size * stride, out_h);
  std::size_t const bands = (out_h + band - 1) / band;
  std::size_t const band_rows = (band - 1) * stride + kh;
  std::size_t const threads = workers(context, n * bands);
  auto const scratch = context.template tensor<E>(threads, band_rows * row_size);
  auto const lines = context.template tensor<float>(threads, of.scaling ? width * c : 0);
  for_each_task(context, "kovos::conv2d", threads, n * bands, [&](std::size_t task, std::size_t worker) {
    std::size_t const sample = task / bands;
    std::size_t const first = task % bands * band;
    std::size_t const rows = std::min(band, out_h - first);
    E* const copy = scratch.data() + worker * band_rows * row_size;
    PaddedRows<E, Kernels> const input{kernels,
                                       x.data() + sample * height * width * c,
                                       of.scaling ? of.scaling + sample * 2 * c : nullptr,
                                       height,
                                       width,
                                       c,
                                       padding,
                                       lines.data() + worker * lines.extent(1)};
    for (std::size_t i = 0; i < (rows - 1) * stride + kh; ++i) input.copy(first * stride + i, copy + i * row_size);
    HostProduct<E> g;
    g.a_stride = stride * c;
    g.segments = kh;
    g.segment_length = kw * c;
    g.segment_stride = row_size;
    g.rows = out_w;
    g.packed_b = packed.data();
    g.columns = out_c;
    g.c_stride = out_c;
    g.epilogue.addend = of.bias;
    if (of.shared) g.epilogue.addend_stride = out_c, g.epilogue.row_period = out_w;
    g.epilogue.activation = of.activation;
    for (std::size_t i = 0; i < rows; ++i) {
      g.a = copy + i * stride * row_size;
      if (of.shared) g.epilogue.addend = of.shared + (first + i) * out_w * out_c;
      std::size_t const row = sample * out_h + first + i;
      g.c = y.data() + row * out_w * out_c;
      multiply_by_packed(kernels, g);
      if (of.moments) row_moments(g.c, out_w, out_c, of.moments + row * 2 * out_c);
    }
  });
}

#endif

template <class Exec, class W>
DynamicTensor<float, 4, typename Exec::memory_space> convolve(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
    Convolution const& of) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_c = weight.extent(0), all_c = weight.extent(1), kh = weight.extent(2), kw = weight.extent(3);
  std::size_t const stride = of.stride, padding = of.padding;
  require<ShapeError>(stride > 0, "[conv2d] the stride must be positive");
  require<ShapeError>(height + 2 * padding >= kh && width + 2 * padding >= kw, "[conv2d] a kernel of ", kh, " x ", kw,
                      " does not fit a map of ", height, " x ", width, " with padding ", padding);
  std::size_t const out_h = (height + 2 * padding - kh) / stride + 1;
  std::size_t const out_w = (width + 2 * padding - kw) / stride + 1;
  auto y = context.template tensor<float>(n, out_h, out_w, out_c);
  if (y.size() == 0) return y;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const* const half = bf16_kernels(context);
      if (half && kw * c % 2 == 0 && out_c > 1) conv2d_host<std::uint16_t>(context, *half, x, weight, y, of);
      else conv2d_host<float>(context, best_host_kernels(), x, weight, y, of);
      return y;
    }
#endif
  auto const* const from = x.data();
  auto* const to = y.data();
  auto const* const w = weight.data() + of.first_channel * kh * kw;
  auto const* const b = of.bias;
  auto const* const shared = of.shared;
  auto const activation = of.activation;
  for_each_index(
      context, "kovos::conv2d", y.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index % out_c;
        std::size_t const column = index / out_c % out_w;
        std::size_t const row = index / out_c / out_w % out_h;
        std::size_t const sample = index / out_c / out_w / out_h;
        float sum = b ? b[o] : shared ? shared[index % (out_h * out_w * out_c)] : 0.0f;
        for (std::size_t i = 0; i < kh; ++i) {
          std::size_t const source_y = row * stride + i;
          if (source_y < padding || source_y >= height + padding) continue;
          for (std::size_t j = 0; j < kw; ++j) {
            std::size_t const source_x = column * stride + j;
            if (source_x < padding || source_x >= width + padding) continue;
            float const* const pixel = from + ((sample * height + source_y - padding) * width + source_x - padding) * c;
            for (std::size_t k = 0; k < c; ++k)
              sum += pixel[k] * static_cast<float>(w[((o * all_c + k) * kh + i) * kw + j]);
          }
        }
        to[index] = activated(sum, activation);
      });
  return y;
}

}  // namespace detail

/// 2-D convolution (cross-correlation, as PyTorch) of channels-last maps with zero padding.
/// x: [N, H, W, C], weight: [O, C, kh, kw], bias: [O] or empty -> [N, H', W', O] with
/// H' = (H + 2 padding - kh) / stride + 1. Throws ShapeError if the extents disagree or the kernel does not fit.
template <class Exec, class W, class B>
auto conv2d(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
            W const& weight, B const& bias, std::size_t stride = 1, std::size_t padding = 0,
            Activation activation = Activation::none) {
  static_assert(W::rank() == 4, "kovos::conv2d: weight must be [O, C, kh, kw]");
  require_extent("conv2d", "the last extent of x", x.extent(3), weight.extent(1));
  if (bias.data() != nullptr) require_extent("conv2d", "bias", bias.size(), weight.extent(0));
  auto const offset = detail::as_float(context, bias);
  return detail::convolve(context, x, weight, {stride, padding, activation, offset.data()});
}

/// What some of the input channels contribute to a convolution without bias: those of the weight from first_channel on.
/// shared: what the other channels contributed, the same for all samples, or empty. With the two a guidance that many
/// samples share is convolved once. x: [N, H, W, C'], weight: [O, C, kh, kw], shared: [1, H', W', O] ->
/// [N, H', W', O]. Throws ShapeError if the extents disagree.
template <class Exec, class W>
auto conv2d_part(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                 W const& weight, std::size_t first_channel, std::size_t padding,
                 DynamicTensor<float, 4, typename Exec::memory_space> const& shared = {}) {
  static_assert(W::rank() == 4, "kovos::conv2d_part: weight must be [O, C, kh, kw]");
  require<ShapeError>(first_channel + x.extent(3) <= weight.extent(1), "[conv2d_part] ", x.extent(3), " channels from ",
                      first_channel, " on leave the weight's ", weight.extent(1));
  if (!shared.empty()) {
    require_extent("conv2d_part", "shared.extent(0)", shared.extent(0), 1);
    require_extent("conv2d_part", "shared.extent(1)", shared.extent(1),
                   x.extent(1) + 2 * padding + 1 - weight.extent(2));
    require_extent("conv2d_part", "shared.extent(2)", shared.extent(2),
                   x.extent(2) + 2 * padding + 1 - weight.extent(3));
    require_extent("conv2d_part", "shared.extent(3)", shared.extent(3), weight.extent(0));
  }
  detail::Convolution of;
  of.padding = padding;
  of.first_channel = first_channel;
  of.shared = shared.data();
  return detail::convolve(context, x, weight, of);
}

}  // namespace kovos
