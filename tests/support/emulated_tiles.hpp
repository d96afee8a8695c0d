// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/kernels/engine/host/instruction_sets.hpp"

#ifdef KOVOS_HOST_ENGINE_AMX

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace kovos::test {

/// The tiles of AMX in plain C++, for machines without: what Intel's manual says of LDTILECFG, TILELOADD, TILESTORED,
/// TILEZERO, TILERELEASE and TDPBF16PS. What the CPU refuses throws std::logic_error.
class EmulatedTileUnit {
 public:
  static void configure(detail::amx_bf16::TileConfig const& config) {
    refuse(config.palette != 1 || config.start_row != 0, "only palette 1 from row 0 on is emulated");
    for (auto byte : config.reserved) refuse(byte != 0, "a reserved byte is not zero");
    std::array<Tile, 8> shapes{};
    for (std::size_t i = 0; i < 16; ++i) {
      std::size_t const rows = config.rows[i], bytes = config.row_bytes[i];
      refuse(i >= 8 && (rows != 0 || bytes != 0), "a reserved byte is not zero");
      refuse(rows > 16 || bytes > 64, "a tile is too large");
      refuse((rows == 0) != (bytes == 0), "a tile has rows without columns or columns without rows");
      if (i < 8) shapes[i] = {rows, bytes, {}};
    }
    tiles = shapes;
  }
  static void release() { tiles = {}; }
  static bool released() {
    for (auto const& tile : tiles)
      if (tile.rows != 0) return false;
    return true;
  }

  template <int T>
  static void zero() {
    configured<T>().data = {};
  }
  template <int T>
  static void load(void const* from, std::size_t stride) {
    auto& tile = configured<T>();
    tile.data = {};
    for (std::size_t row = 0; row < tile.rows; ++row)
      std::memcpy(tile.data[row].data(), static_cast<char const*>(from) + row * stride, tile.bytes);
  }
  template <int T>
  static void store(void* to, std::size_t stride) {
    auto const& tile = configured<T>();
    for (std::size_t row = 0; row < tile.rows; ++row)
      std::memcpy(static_cast<char*>(to) + row * stride, tile.data[row].data(), tile.bytes);
  }

  template <int Sum, int A, int B>
  static void multiply() {
    static_assert(Sum != A && Sum != B && A != B, "TDPBF16PS wants three tiles");
    auto& sum = configured<Sum>();
    auto const& a = configured<A>();
    auto const& b = configured<B>();
    refuse(sum.bytes % 4 != 0 || a.bytes % 4 != 0 || b.bytes % 4 != 0, "a row is not made of whole pairs");
    refuse(sum.rows != a.rows || sum.bytes != b.bytes || a.bytes / 4 != b.rows, "the tiles' shapes do not fit");
    std::size_t const columns = sum.bytes / 4;
    for (std::size_t m = 0; m < sum.rows; ++m) {
      std::array<float, 16> first{}, second{};
      for (std::size_t k = 0; k < a.bytes / 4; ++k) {
        float const a0 = lower(a.data[m][k]), a1 = upper(a.data[m][k]);
        for (std::size_t n = 0; n < columns; ++n) {
          first[n] = normal(std::fma(a0, lower(b.data[k][n]), first[n]));
          second[n] = normal(std::fma(a1, upper(b.data[k][n]), second[n]));
        }
      }
      for (std::size_t n = 0; n < columns; ++n) {
        float const old = normal(std::bit_cast<float>(sum.data[m][n]));
        sum.data[m][n] = std::bit_cast<std::uint32_t>(normal(old + normal(first[n] + second[n])));
      }
    }
  }

 private:
  struct Tile {
    std::size_t rows, bytes;
    std::array<std::array<std::uint32_t, 16>, 16> data;
  };
  static inline thread_local std::array<Tile, 8> tiles{};

  static void refuse(bool wrong, char const* why) {
    if (wrong) throw std::logic_error(why);
  }
  template <int T>
  static Tile& configured() {
    refuse(tiles[T].rows == 0, "the tile is not configured");
    return tiles[T];
  }
  /// Denormal numbers count as zero.
  static float normal(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
  static float lower(std::uint32_t pair) { return normal(std::bit_cast<float>(pair << 16)); }
  static float upper(std::uint32_t pair) { return normal(std::bit_cast<float>(pair & 0xffff0000u)); }
};

}  // namespace kovos::test

#endif
