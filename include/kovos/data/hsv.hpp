// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace kovos {

/// Hue 0..179 (two degrees each), saturation and value 0..255, as OpenCV keeps them in 8 bits.
struct Hsv {
  std::uint8_t hue, saturation, value;
};

/// 8-bit red, green, blue.
using Rgb = std::array<std::uint8_t, 3>;

namespace detail {

/// numerator / i with 12 fractional bits, rounded; 0 for i = 0.
constexpr std::array<int, 256> reciprocals(int numerator) {
  std::array<int, 256> table{};
  for (int i = 1; i < 256; ++i) table[static_cast<std::size_t>(i)] = ((numerator << 12) + i / 2) / i;
  return table;
}

/// A product rounded to float, also where the compiler would fuse it with a following sum.
inline float rounded_product(float a, float b) {
  return static_cast<float>(static_cast<double>(a) * static_cast<double>(b));
}

}  // namespace detail

/// OpenCV's 8-bit conversion (fixed point with 12 bits), bit for bit.
inline Hsv rgb_to_hsv(Rgb const& rgb) {
  static constexpr auto saturations = detail::reciprocals(255), hues = detail::reciprocals(30);
  int const r = rgb[0], g = rgb[1], b = rgb[2];
  int const value = std::max({r, g, b}), range = value - std::min({r, g, b});
  int const saturation = (range * saturations[static_cast<std::size_t>(value)] + 2048) >> 12;
  int const sixths = value == r ? g - b : value == g ? b - r + 2 * range : r - g + 4 * range;
  int const hue = (sixths * hues[static_cast<std::size_t>(range)] + 2048) >> 12;
  return {static_cast<std::uint8_t>(hue < 0 ? hue + 180 : hue), static_cast<std::uint8_t>(saturation),
          static_cast<std::uint8_t>(value)};
}

/// OpenCV's 8-bit conversion as its vector code with fused multiply-add does it, bit for bit: float, and truncated
/// where its code for the ends of rows (shorter than 64 pixels) rounds.
inline Rgb hsv_to_rgb(Hsv const& hsv) {
  constexpr float unit = 1.0f / 255.0f, sector_scale = 6.0f / 180;
  float const turned = detail::rounded_product(hsv.hue, sector_scale);
  auto const sector = static_cast<int>(turned);
  float const h = turned - static_cast<float>(sector);
  float const s = detail::rounded_product(hsv.saturation, unit), v = detail::rounded_product(hsv.value, unit);
  // 1 - s * t with one rounding, as a fused multiply-add gives: the product of two floats is exact in double.
  auto const dimmed = [&](float t) {
    return v * static_cast<float>(1.0 - static_cast<double>(s) * static_cast<double>(t));
  };
  auto const byte = [](float x) { return static_cast<std::uint8_t>(std::clamp(static_cast<int>(x * 255.0f), 0, 255)); };
  std::uint8_t const most = byte(v), least = byte(v * (1.0f - s)), falling = byte(dimmed(h)),
                     rising = byte(dimmed(1.0f - h));
  switch (sector % 6) {
    case 0:
      return {most, rising, least};
    case 1:
      return {falling, most, least};
    case 2:
      return {least, most, rising};
    case 3:
      return {least, falling, most};
    case 4:
      return {rising, least, most};
    default:
      return {most, least, falling};
  }
}

}  // namespace kovos
