// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

// Draws that are the same on every machine: the distributions of the standard library are not.
namespace kovos::detail {

/// 0 .. count - 1, for a count below 2^32.
inline std::size_t draw_below(std::mt19937_64& random, std::size_t count) {
  return static_cast<std::size_t>(((random() >> 32) * std::uint64_t{count}) >> 32);
}

/// [0, 1) in steps of 2^-24.
inline double draw_unit(std::mt19937_64& random) { return static_cast<double>(random() >> 40) * 0x1p-24; }

/// [low, high). The product is exact, so that a fused multiplication and addition changes nothing.
inline double draw_between(std::mt19937_64& random, double low, double high) {
  return low + static_cast<double>(static_cast<float>(high - low)) * draw_unit(random);
}

inline bool draw_chance(std::mt19937_64& random, double probability) { return draw_unit(random) < probability; }

}  // namespace kovos::detail
