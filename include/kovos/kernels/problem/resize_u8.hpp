// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kovos {

enum class ResizeFilter : std::uint8_t { bilinear, bicubic };

namespace detail {

/// For each output position: where its source run begins, and Pillow's integer weights (22 fractional bits).
struct ResizeTaps {
  std::vector<std::size_t> first;
  std::vector<std::size_t> count;
  std::vector<std::int32_t> weights;  // [out * width]
  std::size_t width = 0;
};

inline double resize_weight(double t, ResizeFilter filter) {
  t = std::abs(t);
  if (filter == ResizeFilter::bilinear) return t < 1 ? 1 - t : 0;
  constexpr double a = -0.5;
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

inline ResizeTaps resize_taps(std::size_t in, std::size_t out, ResizeFilter filter) {
  double const scale = static_cast<double>(in) / static_cast<double>(out);
  double const stretch = std::max(scale, 1.0);
  double const support = stretch * (filter == ResizeFilter::bilinear ? 1.0 : 2.0);
  ResizeTaps taps;
  // One more than Pillow has: an odd number of taps can be read as pairs, the last weight is then 0.
  taps.width = static_cast<std::size_t>(std::ceil(support)) * 2 + 2;
  taps.first.resize(out);
  taps.count.resize(out);
  taps.weights.assign(out * taps.width, 0);
  std::vector<double> w(taps.width);
  for (std::size_t i = 0; i < out; ++i) {
    double const centre = (static_cast<double>(i) + 0.5) * scale;
    auto const low = std::max<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(centre - support + 0.5));
    auto const high = std::min(static_cast<std::ptrdiff_t>(in), static_cast<std::ptrdiff_t>(centre + support + 0.5));
    auto const count = static_cast<std::size_t>(high - low);
    double sum = 0;
    for (std::size_t j = 0; j < count; ++j) {
      w[j] = resize_weight((static_cast<double>(j) + static_cast<double>(low) - centre + 0.5) / stretch, filter);
      sum += w[j];
    }
    taps.first[i] = static_cast<std::size_t>(low);
    taps.count[i] = count;
    for (std::size_t j = 0; j < count; ++j) {
      double const scaled = w[j] / sum * (1 << 22);
      taps.weights[i * taps.width + j] = static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
  }
  return taps;
}

}  // namespace detail

}  // namespace kovos
