// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "kovos/data/dataset.hpp"
#include "kovos/data/folder_layout.hpp"
#include "pictures.hpp"

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

/// A sentence on the pictures beside those of the data set that are of formats which are not read there.
inline std::optional<std::string> left_out_of(SegmentationFolder const& folder) {
  std::set<std::filesystem::path> used;
  for (std::size_t i = 0; i < folder.size(); ++i) used.insert(folder.image_path(i));
  for (auto const& skipped : folder.skipped()) used.insert(skipped.name);  // told one by one
  auto const is_used = [&](std::filesystem::path const& path) {
    return used.contains(path) || used.contains(path.stem());
  };
  return left_out_of(folder.image_path(0).parent_path(), is_used);
}

}  // namespace kovos::cli
