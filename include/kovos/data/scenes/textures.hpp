// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kovos/data/scenes/random.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos::detail {

/// Light intensities, 0..255.
struct Colour {
  double r, g, b;
};
inline Colour operator*(Colour c, double f) { return {c.r * f, c.g * f, c.b * f}; }
inline Colour operator+(Colour a, Colour b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Colour mix(Colour a, Colour b, double share) { return a * (1 - share) + b * share; }

/// How one background looks in one scene.
struct StuffLook {
  std::size_t stuff = sky;
  std::uint32_t seed = 0;
  Colour base{}, second{};
  double scale = 1;     // of the texture's features
  double amount = 0;    // 0..1: clouds, waves, drifts
  bool turned = false;  // planks that run upwards
};

inline StuffLook sample_stuff_look(std::size_t stuff, SceneRandom& random) {
  static constexpr Colour base[scene_stuffs] = {{70, 138, 222},  {92, 146, 52},   {30, 92, 138},
                                                {214, 186, 132}, {152, 72, 54},   {168, 112, 62},
                                                {236, 240, 246}, {134, 132, 128}, {0, 0, 0}};
  static constexpr Colour second[scene_stuffs] = {{188, 218, 246}, {150, 168, 66},  {104, 172, 192},
                                                  {232, 210, 164}, {196, 188, 176}, {122, 76, 38},
                                                  {184, 198, 222}, {58, 55, 50},    {0, 0, 0}};
  static constexpr Colour tiles[] = {{140, 196, 190}, {230, 216, 182}, {160, 190, 218}, {212, 176, 172}};
  StuffLook look;
  look.stuff = stuff;
  look.seed = random.bits();
  look.base = stuff == tiled_wall ? tiles[random.below(4)] : base[stuff];
  look.second =
      stuff == tiled_wall ? (random.chance(0.5) ? Colour{246, 246, 242} : Colour{96, 98, 102}) : second[stuff];
  double const strength = stuff == snow ? 0.02 : 0.08;
  Colour const jitter{random.between(1 - strength, 1 + strength), random.between(1 - strength, 1 + strength),
                      random.between(1 - strength, 1 + strength)};
  look.base = {look.base.r * jitter.r, look.base.g * jitter.g, look.base.b * jitter.b};
  look.scale = random.between(0.8, 1.3);
  look.amount = random.unit();
  look.turned = random.chance(0.5);
  return look;
}

inline Colour sky_colour(StuffLook const& look, double x, double y) {
  Colour const clear = mix(look.base, look.second, std::min(1.0, y / 90));
  double const shape = 0.62 * value_noise(x / 27, y / 11, look.seed) + 0.38 * value_noise(x / 10, y / 5, look.seed + 1);
  return mix(clear, {250, 251, 253}, 0.88 * smoothstep(0.72 - 0.24 * look.amount, 0.94 - 0.2 * look.amount, shape));
}

inline Colour grass_colour(StuffLook const& look, double x, double y) {
  double const patch = value_noise(x / 15, y / 9, look.seed);
  double const blade = value_noise(x / 1.35 + 0.6 * patch, y / 4.5, look.seed + 1);
  return mix(look.base, look.second, 0.55 * patch) * (0.58 + 0.68 * blade);
}

inline Colour water_colour(StuffLook const& look, double x, double y) {
  double const swell = value_noise(x / 24, y / 10, look.seed);
  double const wave = value_noise(x / 12 + 2 * swell, y / 2.9, look.seed + 1);
  double const crest = smoothstep(0.62, 0.95, 1 - (wave < 0.5 ? 1 - 2 * wave : 2 * wave - 1));
  return mix(look.base * (0.8 + 0.4 * swell), look.second, crest * (0.45 + 0.4 * look.amount));
}

inline Colour sand_colour(StuffLook const& look, double x, double y) {
  double const dune = value_noise(x / 26, y / 12, look.seed);
  double const phase = (y + 9 * dune + 0.12 * x) / 7.5;
  double const ripple = phase - floor_of(phase);
  double const slope = ripple < 0.7 ? ripple / 0.7 : (1 - ripple) / 0.3;
  double const grain = value_noise(x / 0.9, y / 0.9, look.seed + 1);
  return mix(look.base, look.second, 0.75 * slope) * (0.87 + 0.08 * dune + 0.16 * (grain - 0.5) + 0.03);
}

inline Colour brick_colour(StuffLook const& look, double x, double y) {
  int const row = floor_of(y / 8);
  double const shifted = x + ((row & 1) != 0 ? 8.5 : 0);
  int const column = floor_of(shifted / 17);
  double const across = shifted - column * 17, down = y - row * 8;
  double const joint = std::max(smoothstep(1.9, 0.9, across), smoothstep(1.9, 0.9, down));
  double const grain = value_noise(x / 1.6, y / 1.6, look.seed + 1);
  double const brick = 0.72 + 0.42 * lattice_value(column, row, look.seed) + 0.24 * (grain - 0.5);
  return mix(look.base * brick, look.second * (0.9 + 0.2 * grain), joint);
}

inline Colour wood_colour(StuffLook const& look, double x, double y) {
  if (look.turned) std::swap(x, y);
  int const row = floor_of(y / 11);
  double const shifted = x + 50 * lattice_value(row, 7, look.seed);
  int const plank = floor_of(shifted / 50);
  double const along = shifted - plank * 50, down = y - row * 11;
  std::uint32_t const own = look.seed + lattice_bits(plank, row, look.seed);
  double const grain = 0.6 * value_noise(x / 15, y / 1.5, own) + 0.4 * value_noise(x / 30, y / 3.5, own + 1);
  double const gap = std::max(smoothstep(1.5, 0.6, down), smoothstep(1.5, 0.6, along));
  double const tone = 0.84 + 0.3 * lattice_value(plank, row, look.seed + 2);
  return mix(look.base, look.second, 0.8 * smoothstep(0.4, 0.85, grain)) * (tone * (1 - 0.6 * gap));
}

inline Colour snow_colour(StuffLook const& look, double x, double y) {
  auto const height = [&](double s, double t) {
    return 0.7 * value_noise(s / 11, t / 5, look.seed) + 0.3 * value_noise(s / 4, t / 2.5, look.seed + 1);
  };
  double const slope = height(x, y) - height(x - 1.2, y - 1.2);  // bumps, lit from one side
  double const grain = lattice_value(floor_of(x * 1.3), floor_of(y * 1.3), look.seed + 2);
  double const shade = smoothstep(-0.1, 0.22, slope) * (0.6 + 0.4 * look.amount);
  return mix(look.base, look.second, shade) * (0.98 + 0.03 * grain) + Colour{12, 12, 10} * (grain > 0.96 ? 1 : 0);
}

inline Colour cobble_colour(StuffLook const& look, double x, double y) {
  double const across = x / 13, down = y / 11;
  int const column = floor_of(across), row = floor_of(down);
  double nearest = 9, next = 9;
  std::uint32_t stone = 0;
  for (int j = row - 1; j <= row + 1; ++j)
    for (int i = column - 1; i <= column + 1; ++i) {
      std::uint32_t const bits = lattice_bits(i, j, look.seed);
      double const dx = i + 0.22 + 0.56 * (bits & 0xFFFF) * 0x1p-16 - across;
      double const dy = j + 0.22 + 0.56 * (bits >> 16) * 0x1p-16 - down;
      double const distance = dx * dx + dy * dy;
      if (distance < nearest) {
        next = nearest;
        nearest = distance;
        stone = bits;
      } else {
        next = std::min(next, distance);
      }
    }
  double const tone = 0.68 + 0.5 * (stone & 255) / 255.0;
  double const grain = value_noise(x / 1.5, y / 1.5, look.seed + 1);
  double const warmth = (stone >> 8 & 255) / 255.0 - 0.5;
  Colour const body{look.base.r * (1 + 0.14 * warmth), look.base.g, look.base.b * (1 - 0.2 * warmth)};
  return mix(look.second, body * (tone * (1.1 - 0.35 * nearest) + 0.18 * (grain - 0.5)),
             smoothstep(0.05, 0.28, next - nearest));
}

inline Colour tile_colour(StuffLook const& look, double x, double y) {
  int const column = floor_of(x / 15), row = floor_of(y / 15);
  double const across = x - column * 15, down = y - row * 15;
  double const joint = std::max(smoothstep(1.8, 0.9, across), smoothstep(1.8, 0.9, down));
  double const gloss = smoothstep(5, 0, std::max(across, down) - 1.5) +
                       smoothstep(2.2, 0, across + down - 9) * (across + down > 9 ? 0.35 : 0);
  double const tone = 0.9 + 0.14 * lattice_value(column, row, look.seed) - 0.004 * down;
  return mix(look.base * tone + Colour{26, 26, 26} * gloss, look.second, joint);
}

/// The colour of a background at a point, in units of 1/96 of the picture's side.
inline Colour stuff_colour(StuffLook const& look, double x, double y) {
  double const u = x / look.scale, v = y / look.scale;
  switch (look.stuff) {
    case sky:
      return sky_colour(look, u, y);
    case grass:
      return grass_colour(look, u, v);
    case water:
      return water_colour(look, u, v);
    case sand:
      return sand_colour(look, u, v);
    case brick_wall:
      return brick_colour(look, u, v);
    case wooden_floor:
      return wood_colour(look, u, v);
    case snow:
      return snow_colour(look, u, v);
    case cobblestone:
      return cobble_colour(look, u, v);
    default:
      return tile_colour(look, u, v);
  }
}

}  // namespace kovos::detail
