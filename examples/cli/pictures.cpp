// SPDX-License-Identifier: Apache-2.0
#include "pictures.hpp"

#include <glob.h>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <system_error>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/picture_names.hpp"

namespace kovos::cli {

namespace {

/// Endings of pictures that Kovos does not read, or not in every build.
constexpr std::string_view other_endings[] = {".tif",  ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".j2k", ".jpx", ".jxl",
                                              ".heic", ".heif", ".avif", ".tga", ".exr", ".hdr", ".dng", ".psd", ".ico",
                                              ".svg",  ".pcx",  ".jxr",  ".cr2", ".nef", ".arw", ".npy"};

std::string ending_of(std::filesystem::path const& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

bool looks_like_a_picture(std::filesystem::path const& path) {
  auto const ending = ending_of(path);
  return is_picture_name(path) ||
         std::find(std::begin(other_endings), std::end(other_endings), ending) != std::end(other_endings);
}

std::vector<std::filesystem::path> files_in(std::filesystem::path const& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code error, ignored;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (entry->is_regular_file(ignored)) found.push_back(entry->path());
  require<FileError>(!error, "the folder '", folder.string(), "' could not be listed: ", error.message());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::filesystem::path> pictures_in(std::filesystem::path const& folder) {
  auto found = files_in(folder);
  std::erase_if(found, [](auto const& path) { return !is_picture_name(path); });
  if (found.empty())
    throw UsageError("the folder '" + folder.string() + "' holds no picture: expected files that end in " +
                     picture_extensions_text());
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

Pictures find_pictures(std::vector<std::string> const& arguments) {
  Pictures pictures;
  auto const add = [&](std::filesystem::path const& path) {
    pictures.all.push_back({path, path == "-" ? "stdin" : path.stem().string()});
  };
  for (auto const& argument : arguments) {
    if (argument == "-") add(argument);
    else if (std::filesystem::is_directory(argument)) {
      for (auto const& path : pictures_in(argument)) add(path);
      if (auto const sentence = left_out_of(argument, is_picture_name)) pictures.left_out.push_back(*sentence);
    } else if (!std::filesystem::exists(argument) && argument.find_first_of("*?[") != std::string::npos) {
      for (auto const& path : matches_of(argument)) add(path);
    } else {
      add(argument);  // a missing file is that picture's failure, not the command's
    }
  }
  std::set<std::string> taken, used;  // stems that pictures have by themselves, and those given so far
  for (auto const& picture : pictures.all) taken.insert(picture.stem);
  for (auto& picture : pictures.all) {
    if (used.insert(picture.stem).second) continue;
    std::string stem;
    for (std::size_t count = 2; stem.empty() || taken.contains(stem); ++count)
      stem = picture.stem + "-" + std::to_string(count);
    picture.stem = stem;
    taken.insert(stem);
    used.insert(stem);
  }
  return pictures;
}

std::optional<std::string> left_out_of(std::filesystem::path const& folder,
                                       std::function<bool(std::filesystem::path const&)> const& used) {
  std::map<std::string, std::size_t> endings;
  std::size_t count = 0;
  for (auto const& path : files_in(folder)) {
    if (!looks_like_a_picture(path) || used(path)) continue;
    ++endings[ending_of(path)];
    ++count;
  }
  if (count == 0) return std::nullopt;
  std::string list;
  for (auto const& [ending, files] : endings) list += (list.empty() ? "" : ", ") + std::to_string(files) + " " + ending;
  return "left out " + std::to_string(count) + (count == 1 ? " file" : " files") + " of '" + folder.string() +
         "', which are not of the formats that are read there: " + list;
}

void require_apart(Pictures const& pictures, std::filesystem::path const& output,
                   std::function<std::vector<std::string>(Picture const&)> const& suffixes) {
  std::set<std::filesystem::path> inputs;
  std::error_code ignored;
  for (auto const& picture : pictures.all)
    if (!picture.is_standard_input()) inputs.insert(std::filesystem::weakly_canonical(picture.path, ignored));
  auto const folder = std::filesystem::weakly_canonical(output, ignored);
  for (auto const& picture : pictures.all)
    for (auto const& suffix : suffixes(picture))
      if (inputs.contains(folder / (picture.stem + suffix)))
        throw UsageError("the results of '" + picture.path.string() + "' would replace the picture '" + picture.stem +
                         suffix + "' in '" + output.string() + "': choose another output folder");
}

Image load(Picture const& picture, ImageOptions options) {
  if (!picture.is_standard_input()) return read_image(picture.path, options);
  std::vector<char> const bytes{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  return decode_image(std::as_bytes(std::span(bytes)), "standard input", options);
}

}  // namespace kovos::cli
