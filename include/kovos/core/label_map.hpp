// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kovos {

/// One class index per pixel, row-major [height, width].
struct LabelMap {
  /// Marks a pixel without a class ("unknown"); files store it as 255 (8-bit) or 65535 (16-bit).
  static constexpr std::uint16_t unknown = 65535;

  std::size_t height = 0;
  std::size_t width = 0;
  std::vector<std::uint16_t> labels;  // [height * width]

  std::uint16_t operator()(std::size_t y, std::size_t x) const { return labels[y * width + x]; }
  std::uint16_t& operator()(std::size_t y, std::size_t x) { return labels[y * width + x]; }
};

}  // namespace kovos
