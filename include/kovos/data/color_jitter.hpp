// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/data/hsv.hpp"
#include "kovos/data/random.hpp"

namespace kovos {

/// The colour changes of SSD as detectron2 makes them (PointRend's ColorAugSSDTransform), with its defaults.
struct ColorJitterConfig {
  double probability = 0.5;      ///< of each of the four changes
  double brightness_delta = 32;  ///< grey levels, added from -delta to delta
  double contrast_low = 0.5, contrast_high = 1.5;
  double saturation_low = 0.5, saturation_high = 1.5;
  int hue_delta = 18;  ///< steps of two degrees, from -delta to delta
};

namespace detail {

/// Every 8-bit value times a factor plus a summand, in float, clipped and cut off.
inline std::array<std::uint8_t, 256> scaled_bytes(float factor, float summand) {
  std::array<std::uint8_t, 256> table{};
  for (std::size_t i = 0; i < 256; ++i)
    table[i] =
        static_cast<std::uint8_t>(std::clamp(rounded_product(static_cast<float>(i), factor) + summand, 0.0f, 255.0f));
  return table;
}

inline void apply_table(Image& image, std::array<std::uint8_t, 256> const& table) {
  for (auto& byte : image.pixels) byte = table[byte];
}

/// Replaces every pixel by what `change` makes of it as hue, saturation and value.
template <class Change>
void change_hsv(Image& image, Change const& change) {
  for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
    auto* const p = image.pixels.data() + i;
    Rgb const rgb = hsv_to_rgb(change(rgb_to_hsv({p[0], p[1], p[2]})));
    std::copy(rgb.begin(), rgb.end(), p);
  }
}

}  // namespace detail

/// Adds grey levels to every channel.
inline void adjust_brightness(Image& image, double delta) {
  detail::apply_table(image, detail::scaled_bytes(1, static_cast<float>(delta)));
}

/// Multiplies every channel.
inline void adjust_contrast(Image& image, double factor) {
  detail::apply_table(image, detail::scaled_bytes(static_cast<float>(factor), 0));
}

/// Multiplies the saturation.
inline void adjust_saturation(Image& image, double factor) {
  auto const table = detail::scaled_bytes(static_cast<float>(factor), 0);
  detail::change_hsv(image, [&](Hsv hsv) { return Hsv{hsv.hue, table[hsv.saturation], hsv.value}; });
}

/// Turns the hue by steps of two degrees.
inline void adjust_hue(Image& image, int steps) {
  int const forward = ((steps % 180) + 180) % 180;
  detail::change_hsv(image, [&](Hsv hsv) {
    return Hsv{static_cast<std::uint8_t>((hsv.hue + forward) % 180), hsv.saturation, hsv.value};
  });
}

/// Throws ConfigError for a value out of its range.
inline void check_color_jitter(ColorJitterConfig const& config) {
  auto const in_range = [](char const* name, double low, double high, double least, double most) {
    require<ConfigError>(low >= least && low <= high && high <= most, "colour jitter: ", name, " from ", low, " to ",
                         high, " is not a range within ", least, " to ", most);
  };
  in_range("probability", config.probability, config.probability, 0, 1);
  in_range("brightness delta", config.brightness_delta, config.brightness_delta, 0, 255);
  in_range("contrast", config.contrast_low, config.contrast_high, 0, 255);
  in_range("saturation", config.saturation_low, config.saturation_high, 0, 255);
  in_range("hue delta", config.hue_delta, config.hue_delta, 0, 180);
}

/// Brightness, then contrast, saturation, hue or, as often, saturation, hue, contrast. Throws ConfigError.
inline void jitter_color(Image& image, ColorJitterConfig const& config, std::mt19937_64& random) {
  check_color_jitter(config);
  auto const wanted = [&] { return detail::draw_chance(random, config.probability); };
  auto const contrast = [&] {
    if (wanted()) adjust_contrast(image, detail::draw_between(random, config.contrast_low, config.contrast_high));
  };
  if (wanted()) {
    adjust_brightness(image, detail::draw_between(random, -config.brightness_delta, config.brightness_delta));
  }
  bool const contrast_first = detail::draw_chance(random, 0.5);
  if (contrast_first) contrast();
  if (wanted()) {
    adjust_saturation(image, detail::draw_between(random, config.saturation_low, config.saturation_high));
  }
  if (wanted()) {
    auto const steps = detail::draw_below(random, 2 * static_cast<std::size_t>(config.hue_delta) + 1);
    adjust_hue(image, static_cast<int>(steps) - config.hue_delta);
  }
  if (!contrast_first) contrast();
}

}  // namespace kovos
