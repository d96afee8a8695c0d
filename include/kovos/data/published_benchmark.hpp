// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/ade20k_full.hpp"
#include "kovos/data/folder_layout.hpp"
#include "kovos/data/labelled_picture.hpp"
#include "kovos/data/name_list.hpp"
#include "kovos/data/pascal_context.hpp"
#include "kovos/data/sample.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/mat_file.hpp"
#include "kovos/io/pascal_detail.hpp"

namespace kovos {

/// The validation pictures of a benchmark whose publishers' labels are not one plain label picture each, so that
/// otherwise a script has to prepare them:
///
///     pc459   JPEGImages/*.jpg, trainval/*.mat, pascalcontext_val.txt        (VOC2010)
///     pc59    JPEGImages/*.jpg, trainval_merged.json                         (VOC2010)
///     ade847  images/ADE/validation/**/ADE_val_*.jpg with *_seg.png          (ADE20K_2021_17_01)
///
/// The labels are those of the authors' scripts. Pictures of ade847 are shrunk by their rule, but not saved as JPEG
/// once more (shrink_to_ade20k_full).
class PublishedBenchmark {
 public:
  /// The benchmark in its folder `root`, or in the place that it has below a folder of data sets; nothing if its labels
  /// are not there or no such form of it is known. No picture is read yet. Throws DataError if a part of it is missing,
  /// FileError if a list cannot be read.
  static std::optional<PublishedBenchmark> find(std::string_view name, std::filesystem::path const& root,
                                                ImageOptions options = {}) {
    constexpr std::string_view context[] = {"", "VOCdevkit/VOC2010", "VOC2010"}, ade20k[] = {"", "ADE20K_2021_17_01"};
    PublishedBenchmark found(options);
    if (name == "pc459") {
      for (auto const place : context)
        if (detail::is_folder(root / place / "trainval")) return found.list_context_459(root / place), found;
    } else if (name == "pc59") {
      for (auto const place : context)
        if (detail::is_file(root / place / "trainval_merged.json")) return found.list_context_59(root / place), found;
    } else if (name == "ade847") {
      for (auto const place : ade20k)
        if (detail::is_folder(root / place / "images/ADE/validation")) return found.list_ade20k(root / place), found;
    }
    return std::nullopt;
  }

  std::size_t size() const { return pictures_.size(); }
  /// The file's name without folder and extension.
  std::string const& name(std::size_t i) const { return pictures_.at(i).name; }
  std::filesystem::path const& image_path(std::size_t i) const { return pictures_.at(i).image; }
  /// The file that has the labels; all pictures of pc59 share one.
  std::filesystem::path const& label_path(std::size_t i) const { return pictures_.at(i).labels; }

  /// Reads one sample. Throws FileError or ImageError if a file cannot be read, DataError if picture and labels differ
  /// in size or labels are not those of the benchmark. May be called from several threads.
  SegmentationSample load(std::size_t i) const {
    auto const& picture = pictures_.at(i);
    auto options = options_;
    if (kind_ == Kind::ade20k) options.apply_orientation = false;  // as the authors' script
    auto const bytes = read_file(picture.image);
    SegmentationSample sample{decode_image(bytes, picture.image.string(), options),
                              {},
                              picture.name,
                              detail::doubt_of_orientation(bytes, picture.image, options)};
    switch (kind_) {
      case Kind::context_459:
        sample.labels = pascal_context_459_labels(read_mat(picture.labels, "LabelMap"), detail::shown(picture.labels));
        break;
      case Kind::context_59:
        sample.labels = pascal_context_59_labels((*segments_)[i]);
        break;
      case Kind::ade20k:
        sample.labels = ade20k_full_labels(read_image(picture.labels, {BitDepth::saturate, false}));
        break;
    }
    require<DataError>(sample.image.height == sample.labels.height && sample.image.width == sample.labels.width,
                       detail::shown(picture.image), " is ", sample.image.height, " x ", sample.image.width,
                       " and its labels in ", detail::shown(picture.labels), " are ", sample.labels.height, " x ",
                       sample.labels.width, " (height x width): expected the same size");
    if (kind_ == Kind::ade20k) shrink_to_ade20k_full(sample.image, sample.labels);
    return sample;
  }

 private:
  enum class Kind : std::uint8_t { context_459, context_59, ade20k };
  struct Picture {
    std::filesystem::path image, labels;
    std::string name;
  };

  explicit PublishedBenchmark(ImageOptions options) : options_(options) {}

  void list_context_459(std::filesystem::path const& root) {
    kind_ = Kind::context_459;
    auto const list = root / "pascalcontext_val.txt";
    require<DataError>(detail::is_file(list), detail::shown(list),
                       " is missing: it names the pictures that are scored, one per line; CAT-Seg has it in datasets/");
    for (auto const& id : detail::read_name_list(list)) {
      pictures_.push_back({root / "JPEGImages" / (id + ".jpg"), root / "trainval" / (id + ".mat"), id});
    }
    check(list);
  }

  void list_context_59(std::filesystem::path const& root) {
    kind_ = Kind::context_59;
    auto const file = root / "trainval_merged.json";
    segments_ = std::make_shared<std::vector<DetailPicture> const>(read_pascal_detail(file, "val"));
    for (auto const& picture : *segments_) {
      auto const image = root / "JPEGImages" / picture.file_name;
      pictures_.push_back({image, file, image.stem().string()});
    }
    check(file);
  }

  void list_ade20k(std::filesystem::path const& root) {
    kind_ = Kind::ade20k;
    auto const folder = root / "images/ADE/validation";
    std::error_code error;
    std::filesystem::recursive_directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
      auto const& path = entry->path();
      auto const stem = path.stem().string();
      if (!stem.starts_with("ADE_val_") || path.extension() != ".jpg") continue;
      pictures_.push_back({path, path.parent_path() / (stem + "_seg.png"), stem});
    }
    require<FileError>(!error, detail::shown(folder), " could not be listed: ", error.message());
    std::sort(pictures_.begin(), pictures_.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
    check(folder);
  }

  /// Throws DataError unless all that is listed in `source` is there.
  void check(std::filesystem::path const& source) const {
    require<DataError>(!pictures_.empty(), detail::shown(source), " names no picture",
                       kind_ == Kind::ade20k ? ": expected files ADE_val_*.jpg in it or below" : "");
    detail::require_files(pictures_, source);
  }

  Kind kind_ = Kind::context_459;
  ImageOptions options_;
  std::vector<Picture> pictures_;
  std::shared_ptr<std::vector<DetailPicture> const> segments_;  // of pc59, in the order of pictures_
};

}  // namespace kovos
