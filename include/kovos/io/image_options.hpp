// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace kovos {

/// How samples of 16 bits become 8.
enum class BitDepth : std::uint8_t {
  saturate,  ///< as Pillow: grey above 255 becomes 255, colour and grey with alpha keep their high byte
  scale      ///< every sample times 255 / 65535, rounded to the nearest: for instruments that use the whole range
};

struct ImageOptions {
  BitDepth bit_depth = BitDepth::saturate;
  /// Turn the picture as its EXIF or XMP orientation asks for; false keeps the pixels as they are stored.
  bool apply_orientation = true;
};

}  // namespace kovos
