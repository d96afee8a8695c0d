// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace kovos {

/// A running 64-bit fingerprint of bytes, several GB/s: four multiply-rotate lanes. Tells files and word lists apart;
/// not for security.
class Fingerprint {
 public:
  Fingerprint() = default;
  /// Goes on from the value() of another.
  explicit Fingerprint(std::uint64_t value) : state_(value) {}

  void add(std::span<std::byte const> bytes) {
    std::uint64_t lanes[4] = {state_, state_ ^ odd(1), state_ ^ odd(2), state_ ^ odd(3)};
    std::size_t i = 0;
    for (; i + 32 <= bytes.size(); i += 32)
      for (std::size_t lane = 0; lane < 4; ++lane) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i + 8 * lane, 8);
        lanes[lane] = std::rotl(lanes[lane] + word * odd(2), 31) * odd(1);
      }
    state_ = mix(std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18));
    for (; i < bytes.size(); ++i) state_ = mix(state_ ^ std::to_integer<std::uint64_t>(bytes[i]));
    state_ = mix(state_ ^ bytes.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }

  std::uint64_t value() const { return state_; }

  /// Sixteen hexadecimal digits.
  std::string to_string() const {
    std::string text(16, '0');
    for (std::size_t i = 0; i < 16; ++i) text[15 - i] = "0123456789abcdef"[state_ >> (4 * i) & 15];
    return text;
  }

 private:
  static constexpr std::uint64_t odd(std::size_t i) {
    constexpr std::uint64_t numbers[4] = {0xD6E8FEB86659FD93u, 0x9E6C63D0876A9A47u, 0xC2B2AE3D27D4EB4Fu,
                                          0x165667B19E3779F9u};
    return numbers[i];
  }
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 32)) * odd(0);
    x = (x ^ (x >> 29)) * odd(1);
    return x ^ (x >> 32);
  }

  std::uint64_t state_ = 0x243F6A8885A308D3u;
};

}  // namespace kovos
