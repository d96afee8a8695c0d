// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kovos/core/image.hpp"
#include "kovos/drawing/font.hpp"

namespace kovos::detail {

using Color = std::array<std::uint8_t, 3>;

inline constexpr Color panel_color{250, 250, 248};
inline constexpr Color text_color{40, 42, 48};
inline constexpr Color faint_color{128, 130, 138};

/// Sets a pixel if it lies in the picture.
inline void put(Image& image, std::size_t y, std::size_t x, Color const& color) {
  if (y < image.height && x < image.width) std::copy(color.begin(), color.end(), image.row(y) + 3 * x);
}

inline void fill_box(Image& image, std::size_t top, std::size_t left, std::size_t height, std::size_t width,
                     Color const& color) {
  for (std::size_t y = top; y < top + height; ++y)
    for (std::size_t x = left; x < left + width; ++x) put(image, y, x, color);
}

/// Of a text that the font can show (printable), each pixel of a glyph being scale x scale; in pixels.
inline std::size_t text_width(std::string_view text, std::size_t scale) {
  return text.size() * (glyph_width + 1) * scale;
}

inline void draw_text(Image& image, std::size_t top, std::size_t left, std::string_view text, std::size_t scale,
                      Color const& color) {
  for (char const c : text) {
    auto const& glyph = glyphs[static_cast<unsigned char>(c) - 0x20];
    for (std::size_t x = 0; x < glyph_width; ++x)
      for (std::size_t y = 0; y < glyph_height; ++y)
        if (glyph[x] >> y & 1) fill_box(image, top + y * scale, left + x * scale, scale, scale, color);
    left += (glyph_width + 1) * scale;
  }
}

}  // namespace kovos::detail
