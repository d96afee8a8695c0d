// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/data/scenes/layout.hpp"
#include "kovos/data/scenes/random.hpp"
#include "kovos/data/scenes/shapes.hpp"
#include "kovos/data/scenes/textures.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos::detail {

/// Draws a layout: the light of every pixel, its class, and who owns it.
class ScenePainter {
 public:
  ScenePainter(SceneLayout const& layout, std::size_t side)
      : layout_(layout), side_(side), light_(side * side), owner_(side * side, none), labels_{side, side, {}} {
    labels_.labels.resize(side * side);
    paint_backgrounds();
    hidden_.assign(layout.objects.size(), std::vector<std::size_t>(layout.objects.size(), 0));
    for (std::size_t i = 0; i < layout.objects.size(); ++i) {
      paint_shadow(layout.objects[i]);
      paint_object(i);
    }
  }

  static constexpr std::uint16_t none = 65535;
  LabelMap const& labels() const { return labels_; }
  /// The object that owns a pixel, or none.
  std::uint16_t owner(std::size_t pixel) const { return owner_[pixel]; }
  /// How many pixels of object `behind` the object `front` was drawn over.
  std::size_t hidden(std::size_t front, std::size_t behind) const { return hidden_[front][behind]; }

  /// The picture as a camera delivers it: tinted, with noise, perhaps a little soft.
  Image develop() const {
    Image image{side_, side_, std::vector<std::uint8_t>(side_ * side_ * 3)};
    std::vector<Colour> soft;
    if (layout_.blurred) soft = blurred();
    std::vector<Colour> const& light = layout_.blurred ? soft : light_;
    for (std::size_t i = 0; i < light.size(); ++i) {
      std::uint32_t const bits = lattice_bits(static_cast<int>(i), 0, layout_.noise_seed);
      auto const level = [&](double value, unsigned shift) {
        double const noise = layout_.noise * ((bits >> shift & 255) + (bits >> (shift + 4) & 255) - 255.0) / 255.0;
        return static_cast<std::uint8_t>(std::clamp(value + noise, 0.0, 255.0) + 0.5);
      };
      image.pixels[3 * i] = level(light[i].r * layout_.tint.r, 0);
      image.pixels[3 * i + 1] = level(light[i].g * layout_.tint.g, 10);
      image.pixels[3 * i + 2] = level(light[i].b * layout_.tint.b, 20);
    }
    return image;
  }

 private:
  void paint_backgrounds() {
    double const n = static_cast<double>(side_), unit = 96 / n;
    auto const& stuff = layout_.stuff;
    std::vector<double> horizon(side_, 0);
    if (stuff.size() == 2)
      for (std::size_t x = 0; x < side_; ++x) horizon[x] = layout_.horizon_at((static_cast<double>(x) + 0.5) / n) * n;
    for (std::size_t y = 0; y < side_; ++y)
      for (std::size_t x = 0; x < side_; ++x) {
        double const px = (static_cast<double>(x) + 0.5) * unit, py = (static_cast<double>(y) + 0.5) * unit;
        double const below = std::clamp(static_cast<double>(y + 1) - horizon[x], 0.0, 1.0);
        std::size_t const pixel = y * side_ + x;
        auto const& shown = below >= 0.5 ? stuff.back() : stuff.front();
        labels_.labels[pixel] = static_cast<std::uint16_t>(scene_stuff_class(shown.stuff));
        light_[pixel] = stuff_colour(shown, px, py);
        if (below > 0 && below < 1) {
          auto const& other = below >= 0.5 ? stuff.front() : stuff.back();
          light_[pixel] = mix(light_[pixel], stuff_colour(other, px, py), below >= 0.5 ? 1 - below : below);
        }
      }
  }

  /// Pixels first..last (exclusive) that a stretch of the picture touches.
  std::array<std::size_t, 2> span(double low, double high) const {
    double const n = static_cast<double>(side_);
    return {static_cast<std::size_t>(std::clamp(low * n, 0.0, n)),
            static_cast<std::size_t>(std::clamp(std::ceil(high * n), 0.0, n))};
  }

  void paint_shadow(ObjectLook const& look) {
    if (stands_upright(layout_.stuff.back().stuff)) return;  // nothing to fall on
    double const n = static_cast<double>(side_);
    double const wide = 0.56 * look.size, high = 0.17 * look.size;
    double const x0 = look.x - 0.22 * look.size * layout_.light.x, y0 = look.y + 0.44 * look.size;
    auto const rows = span(y0 - high, y0 + high), columns = span(x0 - wide, x0 + wide);
    for (std::size_t y = rows[0]; y < rows[1]; ++y)
      for (std::size_t x = columns[0]; x < columns[1]; ++x) {
        double const u = ((static_cast<double>(x) + 0.5) / n - x0) / wide;
        double const v = ((static_cast<double>(y) + 0.5) / n - y0) / high;
        double const dark = 1 - u * u - v * v;
        if (dark > 0) light_[y * side_ + x] = light_[y * side_ + x] * (1 - 0.5 * smoothstep(0, 0.8, dark));
      }
  }

  void paint_object(std::size_t index) {
    auto const& look = layout_.objects[index];
    double const n = static_cast<double>(side_), scale = 2 / look.size;
    auto const& l = layout_.light;
    Light const own{l.x * look.cosine + l.y * look.sine, l.y * look.cosine - l.x * look.sine, l.z};
    auto const label = static_cast<std::uint16_t>(scene_object_class(look.surface, look.shape));
    double const reach = 0.6 * look.size;
    auto const rows = span(look.y - reach, look.y + reach), columns = span(look.x - reach, look.x + reach);
    for (std::size_t y = rows[0]; y < rows[1]; ++y)
      for (std::size_t x = columns[0]; x < columns[1]; ++x) {
        Colour sum{0, 0, 0};
        unsigned covered = 0;
        for (unsigned sample = 0; sample < 4; ++sample) {
          double const dx = (static_cast<double>(x) + ((sample & 1) != 0 ? 0.75 : 0.25)) / n - look.x;
          double const dy = (static_cast<double>(y) + ((sample & 2) != 0 ? 0.75 : 0.25)) / n - look.y;
          double const u = (dx * look.cosine + dy * look.sine) * scale;
          double const v = (dy * look.cosine - dx * look.sine) * scale;
          auto const point = object_at(look, own, u, v);
          if (!point.inside) continue;
          ++covered;
          sum = sum + object_colour(look, point);
        }
        if (covered == 0) continue;
        std::size_t const pixel = y * side_ + x;
        light_[pixel] = light_[pixel] * (1 - 0.25 * covered) + sum * 0.25;
        if (covered < 2) continue;
        if (owner_[pixel] != none) ++hidden_[index][owner_[pixel]];
        owner_[pixel] = static_cast<std::uint16_t>(index);
        labels_.labels[pixel] = label;
      }
  }

  /// The light under a window of 3 x 3 pixels, edges repeated.
  std::vector<Colour> blurred() const {
    std::vector<Colour> across(light_.size()), both(light_.size());
    for (std::size_t y = 0; y < side_; ++y)
      for (std::size_t x = 0; x < side_; ++x) {
        Colour const* const row = light_.data() + y * side_;
        across[y * side_ + x] = (row[x == 0 ? 0 : x - 1] + row[std::min(x + 1, side_ - 1)]) * 0.17 + row[x] * 0.66;
      }
    for (std::size_t y = 0; y < side_; ++y)
      for (std::size_t x = 0; x < side_; ++x) {
        std::size_t const above = y == 0 ? 0 : y - 1, below = std::min(y + 1, side_ - 1);
        both[y * side_ + x] =
            (across[above * side_ + x] + across[below * side_ + x]) * 0.17 + across[y * side_ + x] * 0.66;
      }
    return both;
  }

  SceneLayout const& layout_;
  std::size_t side_;
  std::vector<Colour> light_;
  std::vector<std::uint16_t> owner_;
  LabelMap labels_;
  std::vector<std::vector<std::size_t>> hidden_;
};

}  // namespace kovos::detail
