// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>

#include "kovos/data/dataset.hpp"
#include "kovos/data/folder_layout.hpp"

namespace kovos::cli {

/// The data set in a folder: its part for this purpose, or the whole where it is not divided.
inline SegmentationFolder open_folder(std::filesystem::path const& root, DatasetSplit split,
                                      UnreadableFiles unreadable = UnreadableFiles::stop) {
  SegmentationFolderOptions options;
  options.unreadable_files = unreadable;
  try {
    kovos::detail::choose_pair(root, options.layout, split);
    options.split = split;
  } catch (DataError const&) {
    // What is wrong with the whole is said below.
  }
  return SegmentationFolder(root, options);
}

}  // namespace kovos::cli
