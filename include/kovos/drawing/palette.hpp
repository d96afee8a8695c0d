// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace kovos {

/// The colour of a class, RGB: hues a golden angle apart in the OKLCH space, so that neighbours differ and all are
/// equally strong; lightness and chroma alternate. Stable: it depends on the index alone.
inline std::array<std::uint8_t, 3> class_color(std::size_t index) {
  double const hue = std::fmod(0.68 + 0.61803398875 * static_cast<double>(index), 1.0) * 2 * std::numbers::pi;
  double const lightness = std::array{0.72, 0.58, 0.82}[index % 3];
  double const chroma = std::array{0.15, 0.17, 0.13}[index / 3 % 3];
  double const a = chroma * std::cos(hue), b = chroma * std::sin(hue);
  double const l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  double const m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  double const s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  double const linear[3] = {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                            -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                            -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
  std::array<std::uint8_t, 3> rgb{};
  for (std::size_t c = 0; c < 3; ++c) {
    double const v = std::clamp(linear[c], 0.0, 1.0);
    double const encoded = v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055;
    rgb[c] = static_cast<std::uint8_t>(std::lround(255 * encoded));
  }
  return rgb;
}

}  // namespace kovos
