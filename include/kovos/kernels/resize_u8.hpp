// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"

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
  taps.width = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
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

inline std::uint8_t resize_clip(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> 22, 0, 255)); }

inline Image resize_rows(Image const& image, std::size_t width, ResizeFilter filter) {
  auto const taps = resize_taps(image.width, width, filter);
  Image result{image.height, width, std::vector<std::uint8_t>(image.height * width * 3)};
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      std::int32_t sum[3] = {1 << 21, 1 << 21, 1 << 21};
      std::uint8_t const* source = image.row(y) + 3 * taps.first[x];
      std::int32_t const* weight = taps.weights.data() + x * taps.width;
      for (std::size_t j = 0; j < taps.count[x]; ++j, source += 3)
        for (std::size_t c = 0; c < 3; ++c) sum[c] += weight[j] * source[c];
      for (std::size_t c = 0; c < 3; ++c) result.row(y)[3 * x + c] = resize_clip(sum[c]);
    }
  return result;
}

inline Image resize_columns(Image const& image, std::size_t height, ResizeFilter filter) {
  auto const taps = resize_taps(image.height, height, filter);
  std::size_t const bytes = image.width * 3;
  Image result{height, image.width, std::vector<std::uint8_t>(height * bytes)};
  std::vector<std::int32_t> sum(bytes);
  for (std::size_t y = 0; y < height; ++y) {
    std::fill(sum.begin(), sum.end(), 1 << 21);
    for (std::size_t j = 0; j < taps.count[y]; ++j) {
      std::int32_t const weight = taps.weights[y * taps.width + j];
      std::uint8_t const* source = image.row(taps.first[y] + j);
      for (std::size_t i = 0; i < bytes; ++i) sum[i] += weight * source[i];
    }
    std::transform(sum.begin(), sum.end(), result.row(y), resize_clip);
  }
  return result;
}

}  // namespace detail

/// Resizes exactly as Pillow does 8-bit pictures: antialiased when shrinking, rows first, rounded to 8 bits between the
/// two passes; a side that keeps its length is left alone. Throws ShapeError for empty pictures or sizes.
inline Image resize_pillow(Image const& image, std::size_t height, std::size_t width, ResizeFilter filter) {
  require<ShapeError>(image.height > 0 && image.width > 0 && height > 0 && width > 0, "[resize_pillow] cannot resize ",
                      image.height, " x ", image.width, " to ", height, " x ", width);
  Image const rows = width == image.width ? image : detail::resize_rows(image, width, filter);
  return height == rows.height ? rows : detail::resize_columns(rows, height, filter);
}

/// The size detectron2 resizes a picture to: short side `short_edge`, unless the long side would exceed `longest_edge`.
/// -> (height, width), each at least 1.
inline std::pair<std::size_t, std::size_t> shortest_edge_size(std::size_t height, std::size_t width,
                                                              std::size_t short_edge, std::size_t longest_edge) {
  double const h = static_cast<double>(height), w = static_cast<double>(width), size = static_cast<double>(short_edge);
  double const scale = size / std::min(h, w);
  double new_h = h < w ? size : scale * h;
  double new_w = h < w ? scale * w : size;
  double const longest = std::max(new_h, new_w);
  if (longest > static_cast<double>(longest_edge)) {
    double const shrink = static_cast<double>(longest_edge) / longest;
    new_h *= shrink;
    new_w *= shrink;
  }
  auto const rounded = [](double v) { return std::max<std::size_t>(1, static_cast<std::size_t>(v + 0.5)); };
  return {rounded(new_h), rounded(new_w)};
}

}  // namespace kovos
