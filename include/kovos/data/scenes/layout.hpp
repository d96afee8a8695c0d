// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "kovos/data/scenes/random.hpp"
#include "kovos/data/scenes/shapes.hpp"
#include "kovos/data/scenes/textures.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos::detail {

/// Everything that is decided about a scene before it is drawn; lengths in units of the picture's side.
struct SceneLayout {
  std::vector<StuffLook> stuff;  // one, or the upper and the lower
  double horizon = 0, slope = 0, wave = 0, wave_length = 1, wave_phase = 0;
  std::vector<ObjectLook> objects;  // back to front
  Light light{};
  Colour tint{1, 1, 1};
  double noise = 0;  // amplitude, levels
  bool blurred = false;
  std::uint32_t noise_seed = 0;

  /// Where the lower background begins, at a place across the picture.
  double horizon_at(double x) const {
    return horizon + slope * (x - 0.5) + wave * std::sin(x * wave_length + wave_phase);
  }
};

inline bool scene_class_allowed(std::size_t index, SceneVocabulary vocabulary) {
  return vocabulary == SceneVocabulary::all || scene_classes()[index].seen;
}

inline bool stands_upright(std::size_t stuff) { return stuff == sky || stuff == brick_wall || stuff == tiled_wall; }

inline std::size_t sample_stuff(SceneRandom& random, SceneVocabulary vocabulary) {
  for (;;) {
    std::size_t const stuff = random.below(scene_stuffs);
    if (scene_class_allowed(scene_stuff_class(stuff), vocabulary)) return stuff;
  }
}

inline void sample_backgrounds(SceneLayout& layout, SceneRandom& random, SceneVocabulary vocabulary) {
  if (random.chance(0.45)) {
    layout.stuff.push_back(sample_stuff_look(sample_stuff(random, vocabulary), random));
    return;
  }
  static constexpr std::size_t uppers[] = {sky, brick_wall, tiled_wall};
  std::size_t const upper = uppers[random.below(3)];
  std::size_t lower = upper;
  while (stands_upright(lower)) lower = sample_stuff(random, vocabulary);
  layout.stuff = {sample_stuff_look(upper, random), sample_stuff_look(lower, random)};
  layout.horizon = random.between(0.3, 0.58);
  layout.slope = random.between(-0.07, 0.07);
  bool const soft = upper == sky && lower != water && lower != wooden_floor;
  layout.wave = soft ? random.between(0, 0.03) : 0;
  layout.wave_length = random.between(4, 14);
  layout.wave_phase = random.between(0, 6.28);
}

inline constexpr Colour scene_colours[8] = {{214, 30, 34},  {30, 158, 54},  {30, 66, 214},   {248, 216, 26},
                                            {132, 38, 178}, {246, 124, 10}, {246, 246, 244}, {30, 30, 34}};

inline double luma(Colour c) { return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b; }

/// Decides what an object is made of and how it is turned; size and surface are set already.
inline void sample_object_look(ObjectLook& look, SceneRandom& random) {
  double const turn = look.shape == ball       ? random.between(-3.1, 3.1)
                      : look.shape <= cylinder ? random.between(-0.22, 0.22)
                                               : random.between(-0.42, 0.42);
  look.cosine = std::cos(turn);
  look.sine = std::sin(turn);
  look.stretch = look.shape == ring ? random.between(0.76, 1) : 1;
  if (look.shape == cube) {
    double const yaw = random.between(0.45, 1.12), pitch = random.between(0.42, 0.62);
    double const c = std::cos(yaw), s = std::sin(yaw), down = std::sin(pitch), up = std::cos(pitch);
    double const h = 1 / std::max(c + s, (c + s) * down + up);
    look.edges[0] = {c * h, s * down * h};
    look.edges[1] = {-s * h, c * down * h};
    look.edges[2] = {0, -up * h};
  }
  if (look.surface < first_pattern) {
    Colour const jitter{random.between(0.95, 1.04), random.between(0.95, 1.04), random.between(0.95, 1.04)};
    Colour const own = scene_colours[look.surface];
    look.colours[0] = {own.r * jitter.r, own.g * jitter.g, own.b * jitter.b};
    return;
  }
  look.colours[0] = scene_colours[random.below(8)];  // painted on in white, in black where that is hard to see
  look.colours[1] = scene_colours[luma(look.colours[0]) < 138 ? 6 : 7];
  double const angle =
      look.surface == checkered ? random.between(-0.2, 0.2) : random.between(0, 2) * std::numbers::pi / 2;
  bool const aligned = look.shape == cube && look.surface != striped;
  look.pattern_cosine = aligned ? 1 : std::cos(angle);
  look.pattern_sine = aligned ? 0 : std::sin(angle);
  look.pattern_scale = random.between(0.9, 1.15);
  look.pattern_phase = look.surface == striped || !aligned ? random.unit() : 0;
}

/// Remembers roughly who is seen where, so that nobody is hidden too much.
class Occupancy {
 public:
  /// Adds the object in front unless it would hide too much of another (of a pattern more must show than of a colour)
  /// or be too small itself.
  bool place(ObjectLook const& look) {
    std::vector<std::size_t> cells;
    std::vector<std::size_t> hidden(visible_.size(), 0);
    for (std::size_t row = 0; row < grid; ++row)
      for (std::size_t column = 0; column < grid; ++column) {
        double const x = (static_cast<double>(column) + 0.5) / grid - look.x;
        double const y = (static_cast<double>(row) + 0.5) / grid - look.y;
        if (x * x + y * y > 0.36 * look.size * look.size) continue;
        double const u = (x * look.cosine + y * look.sine) * 2 / look.size;
        double const v = (y * look.cosine - x * look.sine) * 2 / look.size;
        bool const inside = object_at(look, {0, 0, 1}, u, v).inside;
        std::size_t const cell = row * grid + column;
        if (inside) cells.push_back(cell);
        bool const in_hole = look.shape == ring && u * u + v * v < 0.5;  // what only peeps through cannot be told
        if ((inside || in_hole) && owner_[cell] != 0) ++hidden[owner_[cell] - 1];
      }
    if (cells.size() < grid * grid / 60) return false;
    for (std::size_t k = 0; k < hidden.size(); ++k)
      if (static_cast<double>(visible_[k] - hidden[k]) < needed_[k]) return false;
    for (std::size_t k = 0; k < hidden.size(); ++k) visible_[k] -= hidden[k];
    needed_.push_back((look.surface < first_pattern ? 0.45 : 0.6) * static_cast<double>(cells.size()));
    visible_.push_back(cells.size());
    for (auto const cell : cells) owner_[cell] = static_cast<std::uint8_t>(visible_.size());
    return true;
  }

 private:
  static constexpr std::size_t grid = 32;
  std::array<std::uint8_t, grid * grid> owner_{};  // number of the object, from 1
  std::vector<double> needed_;                     // cells
  std::vector<std::size_t> visible_;               // cells
};

inline std::size_t sample_object_class(SceneRandom& random, SceneVocabulary vocabulary, ObjectLook const* previous) {
  bool const alike = previous != nullptr && random.chance(0.12);  // so that captions have something to count
  for (;;) {
    std::size_t const surface = random.below(scene_surfaces);
    std::size_t const shape = alike ? previous->shape : random.below(scene_shapes);
    std::size_t const index = scene_object_class(surface, shape);
    if (scene_class_allowed(index, vocabulary)) return index;
  }
}

inline void sample_objects(SceneLayout& layout, SceneRandom& random, SceneVocabulary vocabulary, std::size_t most,
                           std::optional<std::size_t> wanted) {
  static constexpr double largest[] = {0.72, 0.62, 0.52, 0.46};
  std::size_t const draw = random.below(20);
  std::size_t const count = std::min(most, std::size_t{1} + (draw >= 6) + (draw >= 13) + (draw >= 17));
  bool const two = layout.stuff.size() == 2;
  double const ground = two ? layout.horizon + std::abs(layout.slope) / 2 + layout.wave + 0.06 : 0;
  struct Place {
    double size, bottom;
  };
  std::vector<Place> places;
  for (std::size_t i = 0; i < count; ++i) {
    double const size = random.between(0.3, largest[std::min<std::size_t>(count, 4) - 1]);
    places.push_back({size, random.between(std::max(ground, size * 0.95), 1.02)});
  }
  std::sort(places.begin(), places.end(), [](Place const& a, Place const& b) { return a.bottom < b.bottom; });
  Occupancy occupancy;
  for (auto const& place : places) {
    ObjectLook look;
    std::size_t index =
        sample_object_class(random, vocabulary, layout.objects.empty() ? nullptr : &layout.objects.back());
    if (wanted && &place == &places.back()) index = *wanted;  // in front, where nothing hides it;
    look.surface = index / scene_shapes;
    look.shape = index % scene_shapes;
    bool const patterned = look.surface >= first_pattern;  // must be large enough to be read
    look.size = std::max(place.size, !patterned ? 0.3 : look.shape == star || look.shape == ring ? 0.42 : 0.36);
    look.y = place.bottom - look.size / 2;
    sample_object_look(look, random);
    for (int attempt = 0; attempt < 12; ++attempt) {
      look.x = random.between(0.4 * look.size, 1 - 0.4 * look.size);
      if (!occupancy.place(look)) continue;
      layout.objects.push_back(look);
      break;
    }
  }
}

inline SceneLayout sample_layout(std::uint64_t seed, SceneVocabulary vocabulary, std::size_t most_objects,
                                 std::optional<std::size_t> wanted) {
  SceneRandom random(seed);
  SceneLayout layout;
  sample_backgrounds(layout, random, vocabulary);
  double const across = random.between(-0.6, 0.6), down = random.between(-0.7, -0.35);
  layout.light = {across, down, std::sqrt(1 - std::min(0.9, across * across + down * down))};
  double const bright = random.between(0.86, 1.1), warm = random.between(-0.06, 0.06);
  layout.tint = {bright * (1 + warm), bright, bright * (1 - warm)};
  layout.noise = random.chance(0.3) ? 0 : random.between(1, 9);
  layout.blurred = random.chance(0.15);
  layout.noise_seed = random.bits();
  if (most_objects > 0) sample_objects(layout, random, vocabulary, most_objects, wanted);
  return layout;
}

}  // namespace kovos::detail
