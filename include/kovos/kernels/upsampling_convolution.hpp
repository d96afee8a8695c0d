// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/gemm.hpp"

namespace kovos {

namespace detail {

#ifdef KOVOS_HOST_ENGINE

template <class E, class Kernels, class Exec>
void upsample_conv2d_host(Context<Exec> const& context, Kernels const& kernels,
                          DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                          DynamicTensor<float, 5, typename Exec::memory_space> const& composed,
                          DynamicTensor<float, 4, typename Exec::memory_space> const& y, Convolution const& of) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3), out_c = y.extent(3);
  std::array<DynamicTensor<E, 1, typename Exec::memory_space>, 4> packed;
  for (std::size_t phase = 0; phase < 4; ++phase) {
    DynamicTensor<float, 4, typename Exec::memory_space> const weight(composed.data() + phase * out_c * c * 4,
                                                                      dynamic_extents<4>(out_c, c, 2, 2), nullptr);
    packed[phase] = packed_convolution<E>(context, kernels, weight, 0, c);
  }
  std::size_t const row_size = (width + 2) * c;
  std::size_t const band = rows_per_band<E>(row_size, height);
  std::size_t const bands = (height + band - 1) / band;
  std::size_t const threads = workers(context, n * bands);
  auto const scratch = context.template tensor<E>(threads, (band + 2) * row_size);
  auto const lines = context.template tensor<float>(threads, of.scaling ? width * c : 0);
  for_each_task(context, "kovos::upsample_conv2d", threads, n * bands, [&](std::size_t task, std::size_t worker) {
    std::size_t const sample = task / bands;
    std::size_t const first = task % bands * band;
    std::size_t const rows = std::min(band, height - first);
    E* const copy = scratch.data() + worker * (band + 2) * row_size;
    PaddedRows<E, Kernels> const input{kernels,
                                       x.data() + sample * height * width * c,
                                       of.scaling ? of.scaling + sample * 2 * c : nullptr,
                                       height,
                                       width,
                                       c,
                                       1,
                                       lines.data() + worker * lines.extent(1)};
    for (std::size_t i = 0; i < rows + 2; ++i) input.copy(first + i, copy + i * row_size);
    HostProduct<E> g;
    g.a_stride = c;
    g.segments = 2;
    g.segment_length = 2 * c;
    g.segment_stride = row_size;
    g.rows = width;
    g.columns = out_c;
    g.c_stride = 2 * out_c;  // every other pixel of a row
    g.epilogue.addend_stride = 2 * out_c;
    g.epilogue.row_period = width;
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t phase = 0; phase < 4; ++phase) {
        std::size_t const a = phase / 2, b = phase % 2, row = 2 * (first + i) + a;
        g.a = copy + (i + a) * row_size + b * c;
        g.packed_b = packed[phase].data();
        if (of.shared) g.epilogue.addend = of.shared + (row * 2 * width + b) * out_c;
        float* const line = y.data() + (sample * 2 * height + row) * 2 * width * out_c;
        g.c = line + b * out_c;
        multiply_by_packed(kernels, g);
        if (of.moments && b == 1)
          row_moments(line, 2 * width, out_c, of.moments + (sample * 2 * height + row) * 2 * out_c);
      }
  });
}

#endif

template <class Exec, class U, class W>
void compose_into(Context<Exec> const& context, U const* u, W const* w, std::size_t in_c, std::size_t mid_c,
                  std::size_t out_c, std::size_t all_c, float* to) {
  for_each_index(
      context, "kovos::compose_upsampling", out_c * in_c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index / in_c, k = index % in_c;
        float sum[16] = {};  // [a, b, dy, dx]
        for (std::size_t m = 0; m < mid_c; ++m)
          for (std::size_t a = 0; a < 2; ++a)
            for (std::size_t b = 0; b < 2; ++b)
              for (std::size_t v = 0; v < 3; ++v)
                for (std::size_t h = 0; h < 3; ++h) {
                  // In the upsampled map tap (v, h) of pixel (2 i + a, 2 j + b) is (2 i + a + v - 1, ...): with
                  // y = a + v + 1 that is row y % 2 of the block of input pixel i + y / 2 - 1.
                  std::size_t const y = a + v + 1, x = b + h + 1;
                  std::size_t const dy = y / 2 - a, dx = x / 2 - b;
                  sum[((a * 2 + b) * 2 + dy) * 2 + dx] +=
                      static_cast<float>(w[((o * all_c + m) * 3 + v) * 3 + h]) *
                      static_cast<float>(u[((k * mid_c + m) * 2 + y % 2) * 2 + x % 2]);
                }
        for (std::size_t phase = 0; phase < 4; ++phase)
          for (std::size_t tap = 0; tap < 4; ++tap)
            to[((phase * out_c + o) * in_c + k) * 4 + tap] = sum[phase * 4 + tap];
      });
}

}  // namespace detail

/// A transposed convolution (kernel = stride = 2) and the 3 x 3 convolution behind it as one linear map: the output
/// pixel (2 i + a, 2 j + b) sees the input pixels (i + a - 1, j + b - 1) ... (i + a, j + b).
/// up: [C, M, 2, 2], weight: [O, M' >= M, 3, 3], of which the first M channels are used -> [4, O, C, 2, 2], the four
/// (a, b) in order. Kept as long as the weights live if they are declared constant. Throws ShapeError if the extents
/// disagree.
template <class Exec, class U, class W>
DynamicTensor<float, 5, typename Exec::memory_space> compose_upsampling(Context<Exec> const& context, U const& up,
                                                                        W const& weight) {
  static_assert(U::rank() == 4 && W::rank() == 4,
                "kovos::compose_upsampling: up must be [C, M, 2, 2] and weight [O, M', 3, 3]");
  require<ShapeError>(up.extent(2) == 2 && up.extent(3) == 2,
                      "[compose_upsampling] up must have kernels of 2 x 2, got ", up.extent(2), " x ", up.extent(3));
  require<ShapeError>(weight.extent(2) == 3 && weight.extent(3) == 3,
                      "[compose_upsampling] weight must have kernels of 3 x 3, got ", weight.extent(2), " x ",
                      weight.extent(3));
  require<ShapeError>(up.extent(1) <= weight.extent(1), "[compose_upsampling] up gives ", up.extent(1),
                      " channels, weight takes only ", weight.extent(1));
  std::size_t const in_c = up.extent(0), mid_c = up.extent(1), out_c = weight.extent(0), all_c = weight.extent(1);
  std::size_t const size = 16 * out_c * in_c;
  auto const compose = [&](auto const& composed) {
    detail::compose_into(context, up.data(), weight.data(), in_c, mid_c, out_c, all_c, composed.data());
  };
  auto const composed = context.packed().template get<float>(
      {weight.data(), {0, in_c, mid_c, out_c, all_c, detail::composed_with_upsampling}, up.data()}, size,
      [&] { return context.template tensor<float>(size); }, compose);
  return composed.reshape(dynamic_extents<5>(4, out_c, in_c, 2, 2));
}

namespace detail {
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> upsample_convolve(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    DynamicTensor<float, 5, typename Exec::memory_space> const& composed,
    DynamicTensor<float, 4, typename Exec::memory_space> const& shared, Convolution of = {}) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_c = composed.extent(1);
  require_extent("upsample_conv2d", "the last extent of x", c, composed.extent(2));
  require<ShapeError>(composed.extent(0) == 4 && composed.extent(3) == 2 && composed.extent(4) == 2,
                      "[upsample_conv2d] the weight is ", composed.extents(),
                      ", expected [4, O, C, 2, 2] from compose_upsampling");
  if (!shared.empty()) {
    require_extent("upsample_conv2d", "shared.extent(0)", shared.extent(0), 1);
    require_extent("upsample_conv2d", "shared.extent(1)", shared.extent(1), 2 * height);
    require_extent("upsample_conv2d", "shared.extent(2)", shared.extent(2), 2 * width);
    require_extent("upsample_conv2d", "shared.extent(3)", shared.extent(3), out_c);
  }
  auto y = context.template tensor<float>(n, 2 * height, 2 * width, out_c);
  if (y.size() == 0) return y;
  of.shared = shared.data();
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      if (auto const* const half = bf16_kernels(context))
        upsample_conv2d_host<std::uint16_t>(context, *half, x, composed, y, of);
      else upsample_conv2d_host<float>(context, best_host_kernels(), x, composed, y, of);
      return y;
    }
#endif
  auto const* const from = x.data();
  auto const* const w = composed.data();
  auto const* const added = of.shared;
  auto* const to = y.data();
  std::size_t const map = 4 * height * width * out_c;
  for_each_index(
      context, "kovos::upsample_conv2d", y.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const o = index % out_c;
        std::size_t const column = index / out_c % (2 * width);
        std::size_t const row = index / out_c / (2 * width) % (2 * height);
        std::size_t const sample = index / map;
        std::size_t const a = row % 2, b = column % 2;
        float sum = added ? added[index % map] : 0.0f;
        for (std::size_t dy = 0; dy < 2; ++dy) {
          std::size_t const y1 = row / 2 + a + dy;  // one more than the row of x
          if (y1 < 1 || y1 > height) continue;
          for (std::size_t dx = 0; dx < 2; ++dx) {
            std::size_t const x1 = column / 2 + b + dx;
            if (x1 < 1 || x1 > width) continue;
            float const* const pixel = from + ((sample * height + y1 - 1) * width + x1 - 1) * c;
            for (std::size_t k = 0; k < c; ++k)
              sum += pixel[k] * w[(((a * 2 + b) * out_c + o) * c + k) * 4 + dy * 2 + dx];
          }
        }
        to[index] = sum;
      });
  return y;
}

}  // namespace detail

/// conv2d_part(conv_transpose2d(x, up), weight, 0, 1, shared) without the map between them: less than half of its
/// multiply-adds. The bias of the transposed convolution is not added: what it contributes is the same for all samples
/// and belongs into `shared`.
/// x: [N, H, W, C], composed: [4, O, C, 2, 2] from compose_upsampling(up, weight), shared: [1, 2 H, 2 W, O] or empty ->
/// [N, 2 H, 2 W, O]. Throws ShapeError if the extents disagree.
template <class Exec>
auto upsample_conv2d(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                     DynamicTensor<float, 5, typename Exec::memory_space> const& composed,
                     DynamicTensor<float, 4, typename Exec::memory_space> const& shared = {}) {
  return detail::upsample_convolve(context, x, composed, shared);
}

}  // namespace kovos
