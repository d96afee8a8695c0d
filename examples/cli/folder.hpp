// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>

#include "kovos/data/dataset.hpp"

namespace kovos::cli {

/// The data set in a folder: its part for this purpose, or the whole where it is not divided.
inline SegmentationFolder open_folder(std::filesystem::path const& root, DatasetSplit split,
                                      UnreadableFiles unreadable = UnreadableFiles::stop) {
  SegmentationFolderOptions options;
  options.unreadable_files = unreadable;
  options.split = split;
  try {
    return SegmentationFolder(root, options);
  } catch (DataError const&) {
    options.split.reset();
    return SegmentationFolder(root, options);
  }
}

}  // namespace kovos::cli
