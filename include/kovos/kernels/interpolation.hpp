// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

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

}  // namespace detail

}  // namespace kovos
