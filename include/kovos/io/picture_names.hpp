// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace kovos {

/// The endings, in small letters, of files that decode_image of this build takes.
inline std::span<std::string_view const> picture_extensions() {
  using namespace std::string_view_literals;
  static constexpr std::array known{".jpg"sv, ".jpeg"sv, ".jpe"sv, ".jfif"sv, ".png"sv,
                                    ".ppm"sv, ".pgm"sv,  ".pbm"sv, ".pnm"sv,
#ifdef KOVOS_ENABLE_TIFF
                                    ".tif"sv, ".tiff"sv
#endif
  };
  return known;
}

/// Whether a file is listed as a picture: by its ending, in large or small letters. What it is, its content tells.
inline bool is_picture_name(std::filesystem::path const& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  auto const known = picture_extensions();
  return std::find(known.begin(), known.end(), extension) != known.end();
}

/// The endings for a message: ".jpg, .jpeg, ... or .png".
inline std::string picture_extensions_text() {
  std::string text;
  auto const known = picture_extensions();
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (i > 0) text += i + 1 < known.size() ? ", " : " or ";
    text += known[i];
  }
  return text;
}

}  // namespace kovos
