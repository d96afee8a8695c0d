// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace kovos {

/// A set of pixels by the lengths of its runs, as COCO counts them: column by column from the top left, first a run
/// outside (which may be empty), then one inside, and so on.
struct RunLengthMask {
  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::uint32_t> runs;

  /// How many pixels are inside.
  std::size_t area() const {
    std::size_t sum = 0;
    for (std::size_t i = 1; i < runs.size(); i += 2) sum += runs[i];
    return sum;
  }
};

/// The pixels (y, x) with inside(y, x).
template <class Inside>
RunLengthMask run_length_mask(std::size_t height, std::size_t width, Inside const& inside) {
  RunLengthMask mask{height, width, {}};
  bool current = false;
  std::uint32_t length = 0;
  for (std::size_t x = 0; x < width; ++x)
    for (std::size_t y = 0; y < height; ++y) {
      if (bool(inside(y, x)) != current) {
        mask.runs.push_back(length);
        length = 0;
        current = !current;
      }
      ++length;
    }
  if (length > 0) mask.runs.push_back(length);
  return mask;
}

/// One byte per pixel, row-major [height * width], 1 inside and 0 outside. Runs beyond the last pixel are ignored.
inline std::vector<std::uint8_t> mask_pixels(RunLengthMask const& mask) {
  std::vector<std::uint8_t> pixels(mask.height * mask.width, 0);
  std::size_t at = 0;
  for (std::size_t i = 0; i < mask.runs.size(); ++i)
    for (std::uint32_t n = 0; n < mask.runs[i] && at < pixels.size(); ++n, ++at)
      if (i % 2 == 1) pixels[at % mask.height * mask.width + at / mask.height] = 1;
  return pixels;
}

}  // namespace kovos
