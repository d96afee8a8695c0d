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

#ifdef KOVOS_HOST_ENGINE
namespace detail {

/// The convolution as products of runs of pixels with the weight; E: float, or std::uint16_t for products of bf16.
template <class E, class Kernels, class Exec, class W>
void conv2d_host(Context<Exec> const& context, Kernels const& kernels,
                 DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight, float const* offset,
                 DynamicTensor<float, 4, typename Exec::memory_space> const& y, std::size_t stride, std::size_t padding,
                 Activation activation) {
  constexpr bool halves = std::is_same_v<E, std::uint16_t>;
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_h = y.extent(1), out_w = y.extent(2), out_c = y.extent(3);
  std::size_t const kh = weight.extent(2), kw = weight.extent(3);
  std::size_t const depth = kh * kw * c;
  std::size_t const columns = kernels.columns;
  std::size_t const panels = (out_c + columns - 1) / columns;
  auto const pack = [&](auto const& all) {
    for_each_task(context, "kovos::conv2d pack", workers(context, panels), panels, [&](std::size_t panel, std::size_t) {
      E* const to = all.data() + panel * depth * columns;
      for (std::size_t tap = 0; tap < kh * kw; ++tap)
        for (std::size_t i = 0; i < c; ++i)
          for (std::size_t j = 0; j < columns; ++j) {
            std::size_t const o = panel * columns + j, k = tap * c + i;
            float const value = o < out_c ? static_cast<float>(weight.data()[(o * c + i) * kh * kw + tap]) : 0.0f;
            if constexpr (halves) to[(k / 2 * columns + j) * 2 + k % 2] = bf16::round(value);
            else to[k * columns + j] = value;
          }
    });
  };
  auto const packed = context.packed().template get<E>(
      {weight.data(), {out_c, c, kh, kw, columns, halves ? packed_as_half_convolution : packed_as_convolution}},
      panels * depth * columns, [&] { return context.template tensor<E>(panels * depth * columns); }, pack);
  // A band of output rows reads a zero-padded copy of its input rows that stays in the second-level cache.
  std::size_t const padded = width + 2 * padding;
  std::size_t const row_size = padded * c;
  std::size_t const band =
      std::clamp<std::size_t>(262144 / sizeof(E) / std::max<std::size_t>(1, row_size * stride), 1, out_h);
  std::size_t const bands = (out_h + band - 1) / band;
  std::size_t const band_rows = (band - 1) * stride + kh;
  std::size_t const threads = workers(context, n * bands);
  auto const scratch = context.template tensor<E>(threads, band_rows * row_size);
  for_each_task(context, "kovos::conv2d", threads, n * bands, [&](std::size_t task, std::size_t worker) {
    std::size_t const sample = task / bands;
    std::size_t const first = task % bands * band;
    std::size_t const rows = std::min(band, out_h - first);
    E* const copy = scratch.data() + worker * band_rows * row_size;
    for (std::size_t i = 0; i < (rows - 1) * stride + kh; ++i) {
      E* const to = copy + i * row_size;
      std::size_t const source = first * stride + i;  // in padded rows
      if (source < padding || source >= height + padding) {
        std::fill_n(to, row_size, E{0});
        continue;
      }
      float const* const from = x.data() + (sample * height + source - padding) * width * c;
      std::fill_n(to, padding * c, E{0});
      if constexpr (halves) kernels.round(from, to + padding * c, width * c);
      else std::copy_n(from, width * c, to + padding * c);
      std::fill_n(to + (padding + width) * c, padding * c, E{0});
    }
    HostProduct<E> g;
    g.a_stride = stride * c;
    g.segments = kh;
    g.segment_length = kw * c;
    g.segment_stride = row_size;
    g.rows = out_w;
    g.packed_b = packed.data();
    g.columns = out_c;
    g.c_stride = out_c;
    g.epilogue.addend = offset;
    g.epilogue.activation = activation;
    for (std::size_t i = 0; i < rows; ++i) {
      g.a = copy + i * stride * row_size;
      g.c = y.data() + (sample * out_h + first + i) * out_w * out_c;
      kernels.gemm(g);
    }
  });
}

}  // namespace detail
#endif

/// 2-D convolution (cross-correlation, as PyTorch) of channels-last maps with zero padding.
/// x: [N, H, W, C], weight: [O, C, kh, kw], bias: [O] or empty -> [N, H', W', O] with
/// H' = (H + 2 padding - kh) / stride + 1. Throws ShapeError if the extents disagree or the kernel does not fit.
template <class Exec, class W, class B>
auto conv2d(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
            W const& weight, B const& bias, std::size_t stride = 1, std::size_t padding = 0,
            Activation activation = Activation::none) {
  static_assert(W::rank() == 4, "kovos::conv2d: weight must be [O, C, kh, kw]");
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_c = weight.extent(0), kh = weight.extent(2), kw = weight.extent(3);
  require_extent("conv2d", "the last extent of x", c, weight.extent(1));
  require<ShapeError>(stride > 0, "[conv2d] the stride must be positive");
  require<ShapeError>(height + 2 * padding >= kh && width + 2 * padding >= kw, "[conv2d] a kernel of ", kh, " x ", kw,
                      " does not fit a map of ", height, " x ", width, " with padding ", padding);
  if (bias.data() != nullptr) require_extent("conv2d", "bias", bias.size(), out_c);
  std::size_t const out_h = (height + 2 * padding - kh) / stride + 1;
  std::size_t const out_w = (width + 2 * padding - kw) / stride + 1;
  auto y = context.template tensor<float>(n, out_h, out_w, out_c);
  if (y.size() == 0) return y;
  auto const offset = detail::as_float(context, bias);
#ifdef KOVOS_HOST_ENGINE
  if (detail::uses_host_engine(context)) {
    auto const* const half = detail::half_kernels(context);
    if (half && kw * c % 2 == 0)
      detail::conv2d_host<std::uint16_t>(context, *half, x, weight, offset.data(), y, stride, padding, activation);
    else
      detail::conv2d_host<float>(context, detail::best_host_kernels(), x, weight, offset.data(), y, stride, padding,
                                 activation);
    return y;
  }
#endif
  auto const* const from = x.data();
  auto* const to = y.data();
  auto const* const w = weight.data();
  auto const* const b = offset.data();
  detail::for_each_index(
      context, "kovos::conv2d", y.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index % out_c;
        std::size_t const column = index / out_c % out_w;
        std::size_t const row = index / out_c / out_w % out_h;
        std::size_t const sample = index / out_c / out_w / out_h;
        float sum = b ? b[o] : 0.0f;
        for (std::size_t i = 0; i < kh; ++i) {
          std::size_t const source_y = row * stride + i;
          if (source_y < padding || source_y >= height + padding) continue;
          for (std::size_t j = 0; j < kw; ++j) {
            std::size_t const source_x = column * stride + j;
            if (source_x < padding || source_x >= width + padding) continue;
            float const* const pixel = from + ((sample * height + source_y - padding) * width + source_x - padding) * c;
            for (std::size_t k = 0; k < c; ++k)
              sum += pixel[k] * static_cast<float>(w[((o * c + k) * kh + i) * kw + j]);
          }
        }
        to[index] = detail::activated(sum, activation);
      });
  return y;
}

}  // namespace kovos
