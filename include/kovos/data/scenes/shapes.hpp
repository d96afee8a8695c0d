// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "kovos/data/scenes/random.hpp"
#include "kovos/data/scenes/textures.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos::detail {

/// Where the light comes from: x to the right, y downwards, z towards the viewer; of length 1.
struct Light {
  double x, y, z;
};

/// One object: what it is, where (units of the picture's side), and how its surface looks.
struct ObjectLook {
  std::size_t shape = ball, surface = 0;
  double x = 0.5, y = 0.5, size = 0.4;  // centre and larger extent
  double cosine = 1, sine = 0;          // of its rotation in the picture
  double stretch = 1;                   // height over width, where the shape allows it
  Colour colours[2] = {};
  double pattern_cosine = 1, pattern_sine = 0, pattern_scale = 1, pattern_phase = 0;
  std::array<double, 2> edges[3] = {};  // the cube's half edges in the picture: right, left, up
};

/// What a point of an object shows; p and q run along its surface, one unit being half its size.
struct SurfacePoint {
  bool inside = false;
  double p = 0, q = 0;
  double light = 1, gloss = 0;
};

inline double specular(double cosine) {
  double c = std::max(0.0, cosine);
  for (int i = 0; i < 4; ++i) c *= c;  // to the 16th
  return c;
}

inline SurfacePoint ball_at(Light const& light, double u, double v) {
  double const square = u * u + v * v;
  if (square >= 1) return {};
  double const w = std::sqrt(1 - square);
  double const lambert = u * light.x + v * light.y + w * light.z;
  double const half = 1 / std::sqrt(2 + 2 * light.z);
  double const bulge = 1 / (0.55 + 0.45 * w);
  return {true, u * bulge, v * bulge, 0.5 + 0.58 * std::max(0.0, lambert),
          0.75 * specular((u * light.x + v * light.y + w * (1 + light.z)) * half)};
}

inline SurfacePoint cube_at(ObjectLook const& look, Light const& light, double u, double v) {
  // Faces right, left and top: each beside the edge that leads to it, spanned by the two others.
  static constexpr std::size_t spans[3][2] = {{1, 2}, {0, 2}, {0, 1}};
  for (std::size_t face = 0; face < 3; ++face) {
    auto const& out = look.edges[face];
    auto const& a = look.edges[spans[face][0]];
    auto const& b = look.edges[spans[face][1]];
    double const area = a[0] * b[1] - a[1] * b[0];
    double const x = u - out[0], y = v - out[1];
    double const p = (x * b[1] - y * b[0]) / area, q = (a[0] * y - a[1] * x) / area;
    if (std::abs(p) > 1 || std::abs(q) > 1) continue;
    double const bright = face == 2 ? 1.08 : (face == 0) == (light.x > 0) ? 0.86 : 0.6;
    double const edge = std::max(std::abs(p), std::abs(q)) > 0.94 ? 0.06 : 0;
    return {true, p, q, bright + edge, 0};
  }
  return {};
}

/// Light on an upright round body; t runs across it from -1 to 1.
inline double round_light(Light const& light, double t) {
  double const w = std::sqrt(std::max(0.0, 1 - t * t));
  return 0.5 + 0.58 * std::max(0.0, t * light.x * 1.25 + w * light.z);
}

inline SurfacePoint cone_at(Light const& light, double u, double v) {
  double const base = 0.72;
  double const half = 0.82 * (v + 1) / (base + 1);
  double const e = u / 0.82, f = (v - base) / 0.24;
  if (v < -1 || (v <= base ? std::abs(u) >= half : e * e + f * f >= 1)) return {};
  double const t = std::clamp(u / std::max(0.02, 0.82 * (std::min(v, base) + 1) / (base + 1)), -1.0, 1.0);
  return {true, 0.8 * t * (1 + 0.25 * t * t), v, round_light(light, t),
          0.3 * specular(1 - std::abs(t - 0.8 * light.x))};
}

inline SurfacePoint cylinder_at(Light const& light, double u, double v) {
  double const half = 0.62, high = 0.76, flat = 0.22;
  double const e = u / half, f = (v + high) / flat, g = (v - high) / flat;
  if (e * e + f * f < 1) {
    double const rim = e * e + f * f > 0.74 ? 1.15 : 0.98;
    return {true, u, (v + high) * (half / flat), rim, 0};
  }
  if (std::abs(u) >= half || v < -high || (v > high && e * e + g * g >= 1)) return {};
  return {true, 0.75 * e * (1 + 0.25 * e * e), v, 0.94 * round_light(light, e),
          0.35 * specular(1 - std::abs(e - 0.8 * light.x))};
}

inline SurfacePoint star_at(ObjectLook const& look, Light const& light, double u, double v) {
  static constexpr double tips[5][2] = {{0, -1},
                                        {0.95105651629515357, -0.30901699437494742},
                                        {0.58778525229247313, 0.80901699437494742},
                                        {-0.58778525229247313, 0.80901699437494742},
                                        {-0.95105651629515357, -0.30901699437494742}};
  // A corner of the star between two tips lies at radius 0.47: an edge leaves a tip this much sideways per step
  // inwards.
  constexpr double slope = 0.47 * 0.58778525229247313 / (1 - 0.47 * 0.80901699437494742);
  double along = -2;
  std::size_t tip = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    double const projection = u * tips[i][0] + v * tips[i][1];
    if (projection > along) {
      along = projection;
      tip = i;
    }
  }
  double const side = v * tips[tip][0] - u * tips[tip][1];
  if (std::abs(side) >= slope * (1 - along)) return {};
  double const sign = side < 0 ? -1 : 1;
  double const nx = -sign * tips[tip][1] + slope * tips[tip][0], ny = sign * tips[tip][0] + slope * tips[tip][1];
  double const relief = look.surface < first_pattern ? 0.26 : 0.12;  // patterns read best on flat ground
  return {true, u, v, 0.88 + relief * (nx * light.x + ny * light.y), 0};
}

inline SurfacePoint ring_at(ObjectLook const& look, Light const& light, double u, double v) {
  double const y = v / look.stretch;
  double const radius = std::sqrt(u * u + y * y);
  if (radius >= 1 || radius <= 0.4) return {};
  double const rho = (radius - 0.7) / 0.3;
  double const w = std::sqrt(std::max(0.0, 1 - rho * rho));
  double const nx = rho * u / radius, ny = rho * y / radius;
  double const half = 1 / std::sqrt(2 + 2 * light.z);
  SurfacePoint point{true, 0, rho, 0.5 + 0.58 * std::max(0.0, nx * light.x + ny * light.y + w * light.z),
                     0.5 * specular((nx * light.x + ny * light.y + w * (1 + light.z)) * half)};
  if (look.surface >= first_pattern) point.p = std::atan2(y, u) * (0.5 / std::numbers::pi) + 0.5;
  return point;
}

inline SurfacePoint heart_at(Light const& light, double u, double v) {
  double const x = 1.16 * u, y = 0.12 - 1.16 * v;
  double const square = x * x + y * y - 1;
  double const depth = x * x * y * y * y - square * square * square;
  if (depth <= 0) return {};
  double const dx = u - 0.45 * (light.x < 0 ? -1 : 1), dy = v + 0.45;
  return {true, u, v, 0.72 + 0.28 * smoothstep(0, 0.3, depth) + 0.14 * (u * light.x + v * light.y),
          0.6 * specular(1 - 2.2 * (dx * dx + dy * dy))};
}

/// The object at a point in its own coordinates, in which it spans about -1 to 1; the light is in them too.
inline SurfacePoint object_at(ObjectLook const& look, Light const& light, double u, double v) {
  switch (look.shape) {
    case ball:
      return ball_at(light, u, v);
    case cube:
      return cube_at(look, light, u, v);
    case cone:
      return cone_at(light, u, v);
    case cylinder:
      return cylinder_at(light, u, v);
    case star:
      return star_at(look, light, u, v);
    case ring:
      return ring_at(look, light, u, v);
    default:
      return heart_at(light, u, v);
  }
}

/// Which of the two colours of a pattern shows.
inline std::size_t pattern_at(ObjectLook const& look, SurfacePoint const& point) {
  if (look.shape == ring) {  // p is the share of the way around, q runs across the tube
    if (look.surface == striped) return static_cast<std::size_t>(floor_of(point.p * 10)) & 1;
    if (look.surface == checkered) return static_cast<std::size_t>(floor_of(point.p * 10) + (point.q > 0 ? 1 : 0)) & 1;
    double const turn = point.p * 6;
    double const across = (turn - floor_of(turn) - 0.5) * 0.73, down = point.q * 0.3;
    return across * across + down * down < 0.2 * 0.2 ? 1 : 0;
  }
  double const scale = look.shape == cube ? 1 : look.pattern_scale;
  double const p = (point.p * look.pattern_cosine + point.q * look.pattern_sine) / scale;
  double const q = (point.q * look.pattern_cosine - point.p * look.pattern_sine) / scale;
  if (look.surface == striped) return static_cast<std::size_t>(floor_of(p / 0.42 + look.pattern_phase)) & 1;
  double const cell = look.shape == star ? 0.42 : look.shape == cube ? 0.667 : 0.56;
  if (look.surface == checkered) return static_cast<std::size_t>(floor_of(p / cell) + floor_of(q / cell)) & 1;
  double const row = q / 0.74 + look.pattern_phase;
  double const column = p / 0.82 + 0.5 * (floor_of(row) & 1);
  double const across = (column - floor_of(column) - 0.5) * 0.82, down = (row - floor_of(row) - 0.5) * 0.74;
  return across * across + down * down < 0.25 * 0.25 ? 1 : 0;
}

/// The light that comes from a point of the object.
inline Colour object_colour(ObjectLook const& look, SurfacePoint const& point) {
  Colour const own = look.colours[look.surface < first_pattern ? 0 : pattern_at(look, point)];
  return own * point.light + Colour{150, 150, 150} * point.gloss;
}

}  // namespace kovos::detail
