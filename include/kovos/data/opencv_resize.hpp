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
#include "kovos/core/label_map.hpp"

namespace kovos {

namespace detail {

/// The two neighbours of each place along an axis and their weights, which sum to 2048.
struct LinearTaps {
  std::vector<std::size_t> first, second;
  std::vector<std::int32_t> first_weight, second_weight;
};

inline LinearTaps linear_taps_as_opencv(std::size_t in, std::size_t out) {
  LinearTaps taps{std::vector<std::size_t>(out), std::vector<std::size_t>(out), std::vector<std::int32_t>(out),
                  std::vector<std::int32_t>(out)};
  double const step = static_cast<double>(in) / static_cast<double>(out);
  for (std::size_t i = 0; i < out; ++i) {
    auto const place = static_cast<float>((static_cast<double>(i) + 0.5) * step - 0.5);
    float const low = std::floor(place);
    float share = place - low;
    auto first = static_cast<std::ptrdiff_t>(low);
    if (first < 0) {
      first = 0;
      share = 0;
    }
    if (first >= static_cast<std::ptrdiff_t>(in) - 1) {
      first = static_cast<std::ptrdiff_t>(in) - 1;
      share = 0;
    }
    taps.first[i] = static_cast<std::size_t>(first);
    taps.second[i] = std::min(taps.first[i] + 1, in - 1);
    taps.first_weight[i] = static_cast<std::int32_t>(std::nearbyint((1.0f - share) * 2048.0f));
    taps.second_weight[i] = static_cast<std::int32_t>(std::nearbyint(share * 2048.0f));
  }
  return taps;
}

}  // namespace detail

/// A picture at another size as OpenCV's INTER_LINEAR makes it: two neighbours along each axis, in integers of 11 bits,
/// whatever the factor. Throws ShapeError for an empty picture or size.
inline Image resize_linear_as_opencv(Image const& image, std::size_t height, std::size_t width) {
  require<ShapeError>(image.height > 0 && image.width > 0 && height > 0 && width > 0, "[resize_linear_as_opencv] ",
                      image.height, " x ", image.width, " cannot become ", height, " x ", width);
  auto const across = detail::linear_taps_as_opencv(image.width, width);
  auto const down = detail::linear_taps_as_opencv(image.height, height);
  Image result{height, width, std::vector<std::uint8_t>(height * width * 3)};
  std::vector<std::int32_t> upper(width * 3), lower(width * 3);
  std::size_t upper_row = image.height, lower_row = image.height;  // none yet
  auto const stretch = [&](std::size_t y, std::vector<std::int32_t>& row) {
    std::uint8_t const* const from = image.row(y);
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < 3; ++c) {
        row[3 * x + c] = from[3 * across.first[x] + c] * across.first_weight[x] +
                         from[3 * across.second[x] + c] * across.second_weight[x];
      }
    }
  };
  for (std::size_t y = 0; y < height; ++y) {
    if (lower_row == down.first[y]) {
      std::swap(upper, lower);
      std::swap(upper_row, lower_row);
    }
    if (upper_row != down.first[y]) stretch(upper_row = down.first[y], upper);
    if (lower_row != down.second[y]) stretch(lower_row = down.second[y], lower);
    std::int32_t const a = down.first_weight[y], b = down.second_weight[y];
    for (std::size_t k = 0; k < width * 3; ++k) {
      std::int32_t const sum = (a * (upper[k] >> 4) >> 16) + (b * (lower[k] >> 4) >> 16);
      result.row(y)[k] = static_cast<std::uint8_t>((sum + 2) >> 2);
    }
  }
  return result;
}

/// Labels at another size as OpenCV's INTER_NEAREST picks them: the one at floor(place * in / out). Throws ShapeError
/// for empty labels or an empty size.
inline LabelMap resize_nearest_as_opencv(LabelMap const& labels, std::size_t height, std::size_t width) {
  require<ShapeError>(labels.height > 0 && labels.width > 0 && height > 0 && width > 0, "[resize_nearest_as_opencv] ",
                      labels.height, " x ", labels.width, " cannot become ", height, " x ", width);
  auto const places = [](std::size_t in, std::size_t out) {
    std::vector<std::size_t> from(out);
    double const step = static_cast<double>(in) / static_cast<double>(out);
    for (std::size_t i = 0; i < out; ++i) {
      from[i] = std::min(in - 1, static_cast<std::size_t>(std::floor(static_cast<double>(i) * step)));
    }
    return from;
  };
  auto const rows = places(labels.height, height), columns = places(labels.width, width);
  LabelMap result{height, width, std::vector<std::uint16_t>(height * width)};
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) result(y, x) = labels(rows[y], columns[x]);
  }
  return result;
}

}  // namespace kovos
