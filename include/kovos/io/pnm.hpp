// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/picture_size.hpp"

namespace kovos::detail {

/// The numbers of a PNM header or of a plain (P1 to P3) picture, one after another.
class PnmNumbers {
 public:
  PnmNumbers(std::span<std::byte const> bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  /// The next number; single_digit: bits of P1 may stand without blanks between them.
  std::size_t next(bool single_digit = false) {
    while (at_ < bytes_.size() && (blank(byte()) || byte() == '#')) {
      if (byte() == '#')
        while (at_ < bytes_.size() && byte() != '\n' && byte() != '\r') ++at_;
      else ++at_;
    }
    require<ImageError>(at_ < bytes_.size(), std::string(name_), ": the PNM picture is truncated after ", bytes_.size(),
                        " bytes; save or download it again");
    std::size_t value = 0;
    std::size_t const first = at_;
    while (at_ < bytes_.size() && byte() >= '0' && byte() <= '9' && value < 1000000000) {
      value = 10 * value + static_cast<std::size_t>(byte() - '0');
      ++at_;
      if (single_digit) return value;
    }
    bool const ends = at_ == bytes_.size() || blank(byte()) || byte() == '#';
    require<ImageError>(at_ > first && ends, std::string(name_), ": damaged PNM (no number at byte ", first,
                        "); save or download it again");
    return value;
  }

  /// What follows the one blank after the header.
  std::span<std::byte const> rest() const { return bytes_.subspan(std::min(at_ + 1, bytes_.size())); }
  void skip(std::size_t count) { at_ += count; }

 private:
  static bool blank(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  int byte() const { return std::to_integer<int>(bytes_[at_]); }

  std::span<std::byte const> bytes_;
  std::string_view name_;
  std::size_t at_ = 0;
};

/// A PBM, PGM or PPM, plain or raw, as 8-bit RGB by Pillow's rules: other maxima than 255 are scaled to it, grey above
/// 255 to 16 bits.
inline Image decode_pnm(std::span<std::byte const> bytes, std::string_view name, ImageOptions options) {
  PnmNumbers numbers(bytes, name);
  int const kind = std::to_integer<int>(bytes[1]) - '0';
  numbers.skip(2);
  std::size_t const width = numbers.next(), height = numbers.next();
  check_picture_size(height, width, name);
  bool const bits = kind == 1 || kind == 4, plain = kind <= 3, color = kind == 3 || kind == 6;
  std::size_t const maximum = bits ? 1 : numbers.next();
  require<ImageError>(maximum >= 1 && maximum <= 65535, std::string(name), ": the PNM picture states a maximum of ",
                      maximum, ", expected 1 to 65535");
  std::size_t const samples = color ? 3 : 1, sample_bytes = maximum > 255 ? 2 : 1;
  std::size_t const stride = bits ? (width + 7) / 8 : width * samples * sample_bytes;
  auto const raw = numbers.rest();
  // A plain sample is at least a digit, with a blank after all but the last unless it is a bit.
  std::size_t const least = !plain ? stride * height : (bits ? 1 : 2) * width * height * samples - (bits ? 0 : 1);
  require<ImageError>(raw.size() >= least, std::string(name), ": the PNM picture is truncated: ", width, " x ", height,
                      " pixels need at least ", least, " bytes after the header, got ", raw.size(),
                      "; save or download it again");

  bool const wide_grey = maximum > 255 && !color;
  double const whole = wide_grey ? 65535 : 255;
  std::vector<std::uint8_t> table(maximum + 1);  // 8-bit value of each sample
  for (std::size_t v = 0; v <= maximum; ++v) {
    if (bits) {
      table[v] = v == 0 ? 255 : 0;
      continue;
    }
    double value = std::nearbyint(static_cast<double>(v) / static_cast<double>(maximum) * whole);
    if (wide_grey)
      value = options.bit_depth == BitDepth::scale ? std::floor((value + 128) / 257) : std::min(value, 255.0);
    table[v] = static_cast<std::uint8_t>(value);
  }
  Image image{height, width, std::vector<std::uint8_t>(height * width * 3)};
  for (std::size_t y = 0; y < height; ++y) {
    std::uint8_t* const to = image.row(y);
    for (std::size_t i = 0; i < width * samples; ++i) {
      auto const byte = [&](std::size_t at) { return std::to_integer<std::size_t>(raw[y * stride + at]); };
      std::size_t value = 0;
      if (plain) {
        value = numbers.next(bits);
        require<ImageError>(value <= maximum, std::string(name), ": damaged PNM (row ", y, " has the value ", value,
                            ", more than the stated maximum ", maximum, "); save or download it again");
      } else if (bits) {
        value = byte(i / 8) >> (7 - i % 8) & 1;
      } else {
        value = sample_bytes == 2 ? byte(2 * i) << 8 | byte(2 * i + 1) : byte(i);
      }
      std::uint8_t const v = table[std::min(value, maximum)];
      if (color) to[i] = v;
      else to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = v;
    }
  }
  return image;
}

}  // namespace kovos::detail
