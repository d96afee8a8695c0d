// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/data/label_encoding.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// How a folder of pictures and labels is arranged. `training` below also stands for train and train2017, `validation`
/// for val and val2017.
enum class FolderLayout : std::uint8_t {
  automatic,   ///< told from the names of the folders
  plain,       ///< images/ and annotations/ or annotations_detectron2/ (class indices) with classes.txt; flat, or both
               ///< with training/ and validation/, or inside folders training/ and validation/
  from_one,    ///< as plain, with labels that count from 1: 0 = none, k = class k - 1
  ade20k,      ///< images/{training,validation}, annotations/ as published or annotations_detectron2/ as class indices
  coco_stuff,  ///< images/{train2017,val2017} or {train2017,val2017}; stuffthingmaps/ as published or
               ///< stuffthingmaps_detectron2/ as class indices
};

enum class DatasetSplit : std::uint8_t { training, validation };

inline std::string_view name_of(FolderLayout layout) {
  switch (layout) {
    case FolderLayout::automatic:
      return "automatic";
    case FolderLayout::plain:
      return "plain";
    case FolderLayout::from_one:
      return "from_one";
    case FolderLayout::ade20k:
      return "ade20k";
    case FolderLayout::coco_stuff:
      return "coco_stuff";
  }
  return "?";
}

inline constexpr FolderLayout folder_layouts[] = {FolderLayout::automatic, FolderLayout::plain, FolderLayout::from_one,
                                                  FolderLayout::ade20k, FolderLayout::coco_stuff};

/// The layout of this name; nothing if there is none.
inline std::optional<FolderLayout> find_layout(std::string_view name) {
  for (auto const layout : folder_layouts)
    if (name_of(layout) == name) return layout;
  return std::nullopt;
}

inline std::string_view name_of(DatasetSplit split) {
  return split == DatasetSplit::training ? "training" : "validation";
}

namespace detail {

/// Where pictures and their labels are.
struct FolderPair {
  std::filesystem::path images, labels;
  FolderLayout layout = FolderLayout::plain;
  LabelEncoding encoding = LabelEncoding::class_index;
  std::optional<DatasetSplit> split;
  std::optional<std::filesystem::path> classes_file;
};

inline bool is_folder(std::filesystem::path const& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

inline bool is_file(std::filesystem::path const& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

inline std::optional<DatasetSplit> split_of(std::string_view name) {
  if (name == "training" || name == "train" || name == "train2017") return DatasetSplit::training;
  if (name == "validation" || name == "val" || name == "val2017") return DatasetSplit::validation;
  return std::nullopt;
}

inline constexpr std::string_view split_names[] = {"training", "train", "train2017", "validation", "val", "val2017"};

/// What a folder holds, sorted by name, without what is hidden. Throws FileError if it cannot be listed.
inline std::vector<std::filesystem::path> listed(std::filesystem::path const& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> entries;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!entry->path().filename().native().starts_with('.')) entries.push_back(entry->path());
  }
  require<FileError>(!error, shown(folder), " could not be listed: ", error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

struct LabelFolder {
  std::string_view name;
  FolderLayout layout;
  LabelEncoding encoding;
};

/// Prepared labels come before the published ones, which need no longer be there.
inline constexpr LabelFolder label_folders[] = {
    {"stuffthingmaps_detectron2", FolderLayout::coco_stuff, LabelEncoding::class_index},
    {"annotations_detectron2", FolderLayout::coco_stuff, LabelEncoding::class_index},
    {"stuffthingmaps", FolderLayout::coco_stuff, LabelEncoding::coco_stuff_raw},
    {"stuffthingmaps_trainval2017", FolderLayout::coco_stuff, LabelEncoding::coco_stuff_raw},
    {"annotations", FolderLayout::coco_stuff, LabelEncoding::coco_stuff_raw},
    {"annotations_detectron2", FolderLayout::ade20k, LabelEncoding::class_index},
    {"annotations", FolderLayout::ade20k, LabelEncoding::from_one},
    {"annotations_detectron2", FolderLayout::plain, LabelEncoding::class_index},
    {"annotations", FolderLayout::plain, LabelEncoding::class_index},
    {"annotations", FolderLayout::from_one, LabelEncoding::from_one},
};

/// The layout of a folder that has images and labels; nothing if it has not.
inline std::optional<FolderLayout> recognised_layout(std::filesystem::path const& folder, bool has_classes_file) {
  auto const has = [&](std::string_view name) { return is_folder(folder / name); };
  if (has("stuffthingmaps") || has("stuffthingmaps_detectron2") || has("stuffthingmaps_trainval2017")) {
    return FolderLayout::coco_stuff;
  }
  if (!has("images")) return std::nullopt;
  for (char const* labels : {"annotations_detectron2", "annotations"}) {
    bool const coco = has(std::string(labels) + "/train2017") || has(std::string(labels) + "/val2017");
    if (coco && !has_classes_file) return FolderLayout::coco_stuff;
  }
  bool const prepared = has("annotations_detectron2");
  if (!prepared && !has("annotations")) return std::nullopt;
  std::error_code ignored;
  auto const real = std::filesystem::weakly_canonical(folder, ignored);
  bool const ade20k = real.filename() == "ADEChallengeData2016" || is_file(folder / "objectInfo150.txt");
  return ade20k || (prepared && !has_classes_file) ? FolderLayout::ade20k : FolderLayout::plain;
}

/// The pairs of one folder: one for each of training and validation, or a single one without sub-folders.
inline std::vector<FolderPair> pairs_in(std::filesystem::path const& folder, FolderLayout layout) {
  std::vector<FolderPair> pairs;
  bool const coco = layout == FolderLayout::coco_stuff;
  for (auto const& labels : label_folders) {
    if (labels.layout != layout) continue;
    for (auto const split : split_names) {
      // COCO's own annotations/ holds JSON files beside which train2017/ can only be label pictures.
      if (coco && !split.ends_with("2017")) continue;
      auto const label_folder = folder / labels.name / split;
      auto image_folder = folder / "images" / split;
      if (coco && !is_folder(image_folder)) image_folder = folder / split;
      auto const known =
          std::any_of(pairs.begin(), pairs.end(), [&](auto const& p) { return p.images == image_folder; });
      if (known || !is_folder(label_folder) || !is_folder(image_folder)) continue;
      pairs.push_back({image_folder, label_folder, layout, labels.encoding, split_of(split), std::nullopt});
    }
  }
  bool const divided = std::any_of(std::begin(split_names), std::end(split_names),
                                   [&](std::string_view split) { return is_folder(folder / "images" / split); });
  if (coco || divided || !is_folder(folder / "images")) return pairs;
  for (auto const& labels : label_folders) {
    if (labels.layout != layout || !is_folder(folder / labels.name)) continue;
    pairs.push_back({folder / "images", folder / labels.name, layout, labels.encoding,
                     split_of(folder.filename().string()), std::nullopt});
    break;
  }
  return pairs;
}

/// Collects the pairs of a folder or, where it has none, of those below it. The nearest classes.txt, here or above, is
/// theirs.
inline void find_pairs(std::filesystem::path const& folder, std::optional<std::filesystem::path> classes_file,
                       FolderLayout wanted, std::size_t depth, std::vector<FolderPair>& found) {
  if (is_file(folder / "classes.txt")) classes_file = folder / "classes.txt";
  auto const recognised = recognised_layout(folder, classes_file.has_value());
  auto const layout = wanted == FolderLayout::automatic ? recognised : wanted;
  auto pairs = layout ? pairs_in(folder, *layout) : std::vector<FolderPair>();
  for (auto& pair : pairs) {
    pair.classes_file = classes_file;
    found.push_back(pair);
  }
  if (!pairs.empty() || depth == 0) return;
  // Folders of very many files are not worth a look.
  constexpr std::string_view closed[] = {"images",    "annotations", "annotations_detectron2",
                                         "train2017", "val2017",     "stuffthingmaps"};
  for (auto const& entry : listed(folder)) {
    bool const skip = std::find(std::begin(closed), std::end(closed), entry.filename().string()) != std::end(closed);
    if (!skip && is_folder(entry)) find_pairs(entry, classes_file, wanted, depth - 1, found);
  }
}

/// The one pair of folders that was meant. Throws DataError if there is none or more than one.
inline FolderPair choose_pair(std::filesystem::path const& root, FolderLayout layout,
                              std::optional<DatasetSplit> split) {
  require<DataError>(is_folder(root), shown(root),
                     " is not a folder: name the folder that holds the pictures' and the ", "labels' folders");
  std::vector<FolderPair> found;
  find_pairs(root, std::nullopt, layout, 3, found);
  require<DataError>(!found.empty(), shown(root), " has no pictures with labels in the layout ", name_of(layout),
                     ": expected folders images and annotations (with classes.txt), those of ADEChallengeData2016, or "
                     "train2017 and stuffthingmaps of COCO-Stuff, in it or at most three folders below");
  std::vector<FolderPair> chosen;
  for (auto const& pair : found)
    if (!split || pair.split == split) chosen.push_back(pair);
  std::string places;
  for (auto const& pair : chosen.empty() ? found : chosen) places += (places.empty() ? "" : ", ") + shown(pair.images);
  require<DataError>(!chosen.empty(), shown(root), " has no ", split ? name_of(*split) : "",
                     " pictures with labels, only ", places,
                     ": choose another split, or none for folders without training and validation");
  require<DataError>(chosen.size() == 1, shown(root), " has pictures in more than one place (", places,
                     "): choose training or validation, or name a folder further down");
  return chosen.front();
}

}  // namespace detail

}  // namespace kovos
