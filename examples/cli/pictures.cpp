// SPDX-License-Identifier: Apache-2.0
#include "pictures.hpp"

#include <glob.h>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <iterator>
#include <map>
#include <span>
#include <string_view>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/image.hpp"

namespace kovos::cli {

namespace {

bool is_picture_name(std::filesystem::path const& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::string_view known[] = {".png", ".jpg", ".jpeg", ".jpe", ".ppm"};
  return std::find(std::begin(known), std::end(known), extension) != std::end(known);
}

std::vector<std::filesystem::path> pictures_in(std::filesystem::path const& folder) {
  std::vector<std::filesystem::path> found;
  for (auto const& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_regular_file() && is_picture_name(entry.path())) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  if (found.empty()) throw UsageError("the folder '" + folder.string() + "' holds no PNG or JPEG picture");
  return found;
}

std::vector<std::filesystem::path> matches_of(std::string const& pattern) {
  glob_t result{};
  int const status = ::glob(pattern.c_str(), GLOB_TILDE, nullptr, &result);
  std::vector<std::filesystem::path> found;
  for (std::size_t i = 0; status == 0 && i < result.gl_pathc; ++i) found.emplace_back(result.gl_pathv[i]);
  ::globfree(&result);
  if (found.empty()) throw UsageError("nothing matches '" + pattern + "'");
  return found;
}

}  // namespace

std::vector<Picture> find_pictures(std::vector<std::string> const& arguments) {
  std::vector<Picture> pictures;
  std::map<std::string, int> used;
  auto const add = [&](std::filesystem::path const& path) {
    std::string stem = path == "-" ? "stdin" : path.stem().string();
    int const count = ++used[stem];
    if (count > 1) stem += "-" + std::to_string(count);
    pictures.push_back({path, stem});
  };
  for (auto const& argument : arguments) {
    if (argument == "-") add(argument);
    else if (std::filesystem::is_directory(argument)) {
      for (auto const& path : pictures_in(argument)) add(path);
    } else if (!std::filesystem::exists(argument) && argument.find_first_of("*?[") != std::string::npos) {
      for (auto const& path : matches_of(argument)) add(path);
    } else {
      add(argument);  // a missing file is that picture's failure, not the command's
    }
  }
  return pictures;
}

Image load(Picture const& picture, ImageOptions options) {
  if (!picture.is_standard_input()) return read_image(picture.path, options);
  std::vector<char> const bytes{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  return decode_image(std::as_bytes(std::span(bytes)), "standard input", options);
}

}  // namespace kovos::cli
