// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// How grid positions correspond: half_pixel is torch's align_corners = false, corners its align_corners = true.
enum class Alignment : std::uint8_t { half_pixel, corners };

namespace detail {
/// Where position i of `out` positions lies among `in` positions. As torch's compiled code: the scale is a float, the
/// source coordinate is not rounded before its whole part is taken off.
KOKKOS_INLINE_FUNCTION double source_coordinate(std::size_t i, std::size_t in, std::size_t out, Alignment alignment) {
  if (alignment == Alignment::corners) {
    float const scale = out > 1 ? static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0.0f;
    return static_cast<double>(scale) * static_cast<double>(i);
  }
  float const scale = static_cast<float>(in) / static_cast<float>(out);
  return static_cast<double>(scale) * (static_cast<double>(i) + 0.5) - 0.5;
}

/// Two taps of linear interpolation along one axis.
struct LinearTap {
  std::size_t first;
  std::size_t second;
  float weight;  // of the second tap
};

KOKKOS_INLINE_FUNCTION LinearTap linear_tap(std::size_t i, std::size_t in, std::size_t out, Alignment alignment) {
  double source = source_coordinate(i, in, out, alignment);
  source = source < 0 ? 0 : source;
  std::size_t first = static_cast<std::size_t>(source);
  if (first > in - 1) first = in - 1;
  std::size_t const second = first + (first < in - 1 ? 1 : 0);
  return {first, second, static_cast<float>(source - static_cast<double>(first))};
}

/// Channel i of c along a row.
KOKKOS_INLINE_FUNCTION float interpolate_along(float const* row, LinearTap const& tap, std::size_t c, std::size_t i) {
  return (1 - tap.weight) * row[tap.first * c + i] + tap.weight * row[tap.second * c + i];
}

/// Channel i of c between two rows, along the row first: torch's order of operations.
KOKKOS_INLINE_FUNCTION float interpolate(float const* top, float const* bottom, LinearTap const& tap, float weight,
                                         std::size_t c, std::size_t i) {
  float const a = interpolate_along(top, tap, c, i);
  float const b = interpolate_along(bottom, tap, c, i);
  return (1 - weight) * a + weight * b;
}

KOKKOS_INLINE_FUNCTION float cubic_weight(float t) {
  constexpr float a = -0.75f;
  t = t < 0 ? -t : t;
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}

/// Four taps of cubic interpolation along one axis.
struct CubicTaps {
  std::size_t place[4];
  float weight[4];
};

KOKKOS_INLINE_FUNCTION CubicTaps cubic_taps(std::size_t i, std::size_t in, std::size_t out) {
  // The source coordinate is rounded, unlike that of linear interpolation: torch does so.
  auto const source = static_cast<float>(source_coordinate(i, in, out, Alignment::half_pixel));
  long const base = static_cast<long>(Kokkos::floor(source)), last = static_cast<long>(in) - 1;
  float const t = source - static_cast<float>(base);
  CubicTaps taps;
  for (int k = 0; k < 4; ++k) {
    long const place = base + k - 1;
    taps.place[k] = static_cast<std::size_t>(place < 0 ? 0 : place > last ? last : place);
    taps.weight[k] = cubic_weight(t - static_cast<float>(k - 1));
  }
  return taps;
}

#ifdef KOVOS_HOST_ENGINE
/// Goes through the rows of a map resized to height x width. Rows of the map are interpolated along themselves once,
/// not once for each row of the result that lies between them.
template <class Exec>
struct BilinearRows {
  std::size_t h, w, c, height, width;
  Alignment alignment;
  std::size_t threads;
  std::vector<LinearTap> columns;
  DynamicTensor<float, 2, typename Exec::memory_space> scratch;

  BilinearRows(Context<Exec> const& context, std::size_t from_height, std::size_t from_width, std::size_t channels,
               std::size_t to_height, std::size_t to_width, Alignment align, std::size_t tasks)
      : h(from_height),
        w(from_width),
        c(channels),
        height(to_height),
        width(to_width),
        alignment(align),
        threads(workers(context, tasks)),
        columns(w == width ? 0 : width),
        scratch(context.template tensor<float>(threads, 2 * width * c)) {
    for (std::size_t j = 0; j < columns.size(); ++j) columns[j] = linear_tap(j, w, width, alignment);
  }

  /// f(row, top, bottom, weight) for the rows [first, last) of the result: each is (1 - weight) top + weight bottom.
  template <class F>
  void visit(std::size_t worker, float const* map, std::size_t first, std::size_t last, F const& f) const {
    float* const buffers[2] = {scratch.data() + worker * scratch.extent(1),
                               scratch.data() + worker * scratch.extent(1) + width * c};
    std::size_t held[2] = {h, h};  // which row of the map each buffer holds; h: none
    auto const along = [&](std::size_t row) -> float const* {
      float const* const line = map + row * w * c;
      if (columns.empty()) return line;
      float* out = buffers[row % 2];  // the two rows of a result are neighbours
      if (held[row % 2] == row) return out;
      held[row % 2] = row;
      for (auto const& tap : columns)
        for (std::size_t i = 0; i < c; ++i) *out++ = interpolate_along(line, tap, c, i);
      return buffers[row % 2];
    };
    for (std::size_t row = first; row < last; ++row) {
      auto const tap = linear_tap(row, h, height, alignment);
      float const* const top = along(tap.first);
      f(row, top, along(tap.second), tap.weight);
    }
  }
};
#endif

inline void check_resample(char const* where, std::size_t h, std::size_t w, std::size_t new_h, std::size_t new_w) {
  require<ShapeError>(h > 0 && w > 0 && new_h > 0 && new_w > 0, "[", where, "] cannot resample ", h, " x ", w, " to ",
                      new_h, " x ", new_w);
}
}  // namespace detail

/// Bilinear interpolation without antialiasing, as torch.nn.functional.interpolate(mode="bilinear").
/// x: [N, H, W, C] -> [N, height, width, C]; the same size returns x itself. Throws ShapeError for empty maps.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> resize_bilinear(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t height,
    std::size_t width, Alignment alignment = Alignment::half_pixel) {
  std::size_t const n = x.extent(0), h = x.extent(1), w = x.extent(2), c = x.extent(3);
  detail::check_resample("resize_bilinear", h, w, height, width);
  if (h == height && w == width) return x;
  auto y = context.template tensor<float>(n, height, width, c);
  auto const* const from = x.data();
  auto* const to = y.data();
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      std::size_t const band = std::clamp<std::size_t>(65536 / std::max<std::size_t>(1, width * c), 1, height),
                        bands = (height + band - 1) / band;
      detail::BilinearRows const rows(context, h, w, c, height, width, alignment, n * bands);
      auto const& kernels = detail::best_host_kernels();
      detail::for_each_task(
          context, "kovos::resize_bilinear", rows.threads, n * bands, [&](std::size_t task, std::size_t worker) {
            std::size_t const first = task % bands * band;
            rows.visit(worker, from + task / bands * h * w * c, first, std::min(first + band, height),
                       [&](std::size_t row, float const* top, float const* bottom, float weight) {
                         kernels.blend(top, bottom, weight, to + (task / bands * height + row) * width * c, width * c);
                       });
          });
      return y;
    }
#endif
  detail::for_each_index(
      context, "kovos::resize_bilinear", n * height * width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / width / height;
        auto const ty = detail::linear_tap(index / width % height, h, height, alignment);
        auto const tx = detail::linear_tap(index % width, w, width, alignment);
        float const* const top = from + (sample * h + ty.first) * w * c;
        float const* const bottom = from + (sample * h + ty.second) * w * c;
        for (std::size_t i = 0; i < c; ++i) to[index * c + i] = detail::interpolate(top, bottom, tx, ty.weight, c, i);
      });
  return y;
}

/// Bicubic interpolation (Keys, a = -0.75) with half-pixel centres, clamped borders and no antialiasing, as
/// torch.nn.functional.interpolate(mode="bicubic"). x: [N, H, W, C] -> [N, height, width, C].
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> resize_bicubic(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t height,
    std::size_t width) {
  std::size_t const n = x.extent(0), h = x.extent(1), w = x.extent(2), c = x.extent(3);
  detail::check_resample("resize_bicubic", h, w, height, width);
  auto y = context.template tensor<float>(n, height, width, c);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::resize_bicubic", n * height * width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / width / height;
        auto const ty = detail::cubic_taps(index / width % height, h, height);
        auto const tx = detail::cubic_taps(index % width, w, width);
        for (std::size_t i = 0; i < c; ++i) {
          float sum = 0;
          for (int ky = 0; ky < 4; ++ky) {
            float const* const row = from + (sample * h + ty.place[ky]) * w * c;
            float line = 0;
            for (int kx = 0; kx < 4; ++kx) line += tx.weight[kx] * row[tx.place[kx] * c + i];
            sum += ty.weight[ky] * line;
          }
          to[index * c + i] = sum;
        }
      });
  return y;
}

}  // namespace kovos
