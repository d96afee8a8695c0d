// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
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

/// The pictures that were named, and sentences on files that were left out.
struct Pictures {
  std::vector<Picture> all;
  std::vector<std::string> left_out;
};

/// Expands files, folders and patterns (`*`, `?`) into pictures, in order, each folder sorted by name. No two have the
/// same stem: a picture whose stem an earlier one has becomes "a-2", or the next number that no picture has by itself.
/// Throws UsageError if nothing is found.
Pictures find_pictures(std::vector<std::string> const& arguments);

/// A sentence on the files of a folder that look like pictures, by their ending, and are not used; nothing if there are
/// none. Throws FileError if the folder cannot be listed.
std::optional<std::string> left_out_of(std::filesystem::path const& folder,
                                       std::function<bool(std::filesystem::path const&)> const& used);

/// Throws UsageError if a file that is to be written is one of the pictures. suffixes: what follows a picture's stem in
/// the names of its results.
void require_apart(Pictures const& pictures, std::filesystem::path const& output,
                   std::function<std::vector<std::string>(Picture const&)> const& suffixes);

/// Decodes a picture. Throws FileError or ImageError.
Image load(Picture const& picture, ImageOptions options = {});

}  // namespace kovos::cli
