// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kovos {

/// A picture on the host: 8-bit RGB, interleaved, row-major [height, width, 3].
struct Image {
  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::uint8_t> pixels;  // [height * width * 3]

  std::uint8_t const* row(std::size_t y) const { return pixels.data() + y * width * 3; }
  std::uint8_t* row(std::size_t y) { return pixels.data() + y * width * 3; }
};

}  // namespace kovos
