// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kovos/core/image.hpp"
#include "kovos/io/image_options.hpp"

namespace kovos::cli {

/// One picture to work on: a file, or standard input ("-").
struct Picture {
  std::filesystem::path path;
  std::string stem;  // of the files that are written

  bool is_standard_input() const { return path == "-"; }
};

/// Expands files, folders and patterns (`*`, `?`) into pictures, in order, each folder sorted by name. Two pictures
/// with one stem get different ones ("a", "a-2"), so that nothing is overwritten. Throws UsageError if nothing is
/// found.
std::vector<Picture> find_pictures(std::vector<std::string> const& arguments);

/// Decodes a picture. Throws FileError or ImageError.
Image load(Picture const& picture, ImageOptions options = {});

}  // namespace kovos::cli
