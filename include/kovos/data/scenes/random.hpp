// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace kovos::detail {

/// Random numbers that are the same everywhere: the distributions of the standard library are not.
class SceneRandom {
 public:
  explicit SceneRandom(std::uint64_t seed) : engine_(seed) {}

  /// 0 .. count-1.
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(((engine_() >> 32) * count) >> 32); }
  /// [0, 1).
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  double between(double low, double high) { return low + (high - low) * unit(); }
  bool chance(double probability) { return unit() < probability; }
  std::uint32_t bits() { return static_cast<std::uint32_t>(engine_() >> 32); }

 private:
  std::mt19937_64 engine_;
};

/// The largest integer not above x, for |x| < 2^20.
inline int floor_of(double x) { return static_cast<int>(x + 1048576.0) - 1048576; }

/// 0 at low and below, 1 at high and above, smooth between.
inline double smoothstep(double low, double high, double x) {
  double t = (x - low) / (high - low);
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  return t * t * (3 - 2 * t);
}

/// An integer hash of a lattice point.
inline std::uint32_t lattice_bits(int x, int y, std::uint32_t seed) {
  std::uint32_t h = static_cast<std::uint32_t>(x) * 0x9E3779B1u ^ static_cast<std::uint32_t>(y) * 0x85EBCA77u ^ seed;
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return h ^ (h >> 15);
}

/// The same as a number in [0, 1).
inline double lattice_value(int x, int y, std::uint32_t seed) { return lattice_bits(x, y, seed) * 0x1p-32; }

/// Value noise: smooth, in [0, 1), features one unit large.
inline double value_noise(double x, double y, std::uint32_t seed) {
  int const column = floor_of(x), row = floor_of(y);
  double s = x - column, t = y - row;
  s = s * s * (3 - 2 * s);
  t = t * t * (3 - 2 * t);
  double const a = lattice_value(column, row, seed), b = lattice_value(column + 1, row, seed);
  double const c = lattice_value(column, row + 1, seed), d = lattice_value(column + 1, row + 1, seed);
  double const top = a + (b - a) * s, bottom = c + (d - c) * s;
  return top + (bottom - top) * t;
}

}  // namespace kovos::detail
