// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "kovos/core/error.hpp"

namespace kovos::detail {

/// Pictures beyond this are refused before memory is asked for (Pillow's limit).
inline constexpr std::size_t most_pixels = 178956970;

inline void check_picture_size(std::size_t height, std::size_t width, std::string_view source) {
  require<ImageError>(height > 0 && width > 0, std::string(source), ": the picture is ", width, " x ", height,
                      " pixels, which is empty");
  require<ImageError>(width <= most_pixels / height, std::string(source), ": ", width, " x ", height,
                      " pixels are more than the ", most_pixels, " this library reads; shrink the picture first");
}

}  // namespace kovos::detail
