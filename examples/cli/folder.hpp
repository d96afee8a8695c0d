// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/data/dataset.hpp"
#include "kovos/data/folder_layout.hpp"

namespace kovos::cli {

/// The data set in a folder: its part for this purpose, or the whole where it is not divided.
inline SegmentationFolder open_folder(std::filesystem::path const& root, DatasetSplit split,
                                      SegmentationFolderOptions options = {}) {
  try {
    kovos::detail::choose_pair(root, options.layout, split);
    options.split = split;
  } catch (DataError const&) {
    // What is wrong with the whole is said below.
  }
  return SegmentationFolder(root, options);
}

/// A sentence for each folder and reason why files of a data set are not used.
inline std::vector<std::string> left_out_of(SegmentationFolder const& folder) {
  std::map<std::pair<std::filesystem::path, std::string_view>, std::map<std::string, std::size_t>> endings;
  for (auto const& [file, reason] : folder.left_out())
    ++endings[{file.parent_path(), reason}][kovos::detail::small_ending_of(file)];
  std::vector<std::string> sentences;
  for (auto const& [place, files] : endings) {
    std::size_t count = 0;
    std::string list;
    for (auto const& [ending, number] : files) {
      count += number;
      list += (list.empty() ? "" : ", ") + std::to_string(number) + ' ' + ending;
    }
    sentences.push_back("left out " + std::to_string(count) + (count == 1 ? " file of " : " files of ") +
                        kovos::detail::shown(place.first) + (count == 1 ? ", which is " : ", which are ") +
                        std::string(place.second) + ": " + list);
  }
  return sentences;
}

}  // namespace kovos::cli
