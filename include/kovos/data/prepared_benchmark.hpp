// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/data/folder_layout.hpp"
#include "kovos/data/label_encoding.hpp"
#include "kovos/data/labelled_picture.hpp"
#include "kovos/data/name_list.hpp"
#include "kovos/data/sample.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/label_file.hpp"

namespace kovos {

namespace detail {

/// What the values of the label files of a benchmark mean.
enum class PreparedValues : std::uint8_t {
  classes,         ///< the class; 255 (fewer than 255 classes) and 65535 are none
  end_is_none,     ///< the class; the number of classes, which the benchmark registers, and 65535 are none
  from_one,        ///< k is class k - 1; 0 and 255 are none
  voc_background,  ///< k is class k - 1, 0 is class 20; 255 is none
  coco_stuff,      ///< COCO-Stuff's numbers less 1, of which 171 are classes; others are none
  cityscapes_ids,  ///< Cityscapes' own numbers, 0 to 33, of which 19 are classes
};

/// The numbers that Cityscapes gives to the 19 classes.
inline constexpr std::array<std::uint16_t, 19> cityscapes_ids = {7,  8,  11, 12, 13, 17, 19, 20, 21, 22,
                                                                 23, 24, 25, 26, 27, 28, 31, 32, 33};

/// Where a benchmark has one label file per picture. Paths are below the data set's folder; files may be in folders
/// below theirs, the same for picture and label.
struct PreparedForm {
  std::string_view benchmark, folder, images, image_ending, labels, label_ending;
  std::string_view list;  // names of the pictures; empty: all that have a label
  PreparedValues values;
  std::size_t classes;
};

/// Of one benchmark the first form that is there counts: what the authors' scripts wrote comes before what is
/// published.
inline constexpr PreparedForm prepared_forms[] = {
    {"ade150", "ADEChallengeData2016", "images/validation", ".jpg", "annotations_detectron2/validation", ".png", "",
     PreparedValues::classes, 150},
    {"ade150", "ADEChallengeData2016", "images/validation", ".jpg", "annotations/validation", ".png", "",
     PreparedValues::from_one, 150},
    {"ade847", "ADE20K_2021_17_01", "images_detectron2/validation", ".jpg", "annotations_detectron2/validation", ".tif",
     "", PreparedValues::classes, 847},
    {"pc459", "VOCdevkit/VOC2010", "JPEGImages", ".jpg", "annotations_detectron2/pc459_val", ".tif", "",
     PreparedValues::end_is_none, 459},
    {"pc59", "VOCdevkit/VOC2010", "JPEGImages", ".jpg", "annotations_detectron2/pc59_val", ".png", "",
     PreparedValues::classes, 59},
    {"pc59", "pascal_ctx_d2", "images/validation", ".jpg", "annotations_ctx59/validation", ".png", "",
     PreparedValues::classes, 59},
    {"pc459", "pascal_ctx_d2", "images/validation", ".jpg", "annotations_ctx459/validation", ".tif", "",
     PreparedValues::classes, 459},
    {"voc20", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "annotations_detectron2/val", ".png", "",
     PreparedValues::classes, 20},
    {"voc20b", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "annotations_detectron2_bg/val", ".png", "",
     PreparedValues::classes, 21},
    {"voc20", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "SegmentationClassAug", ".png",
     "ImageSets/Segmentation/val.txt", PreparedValues::from_one, 20},
    {"voc20b", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "SegmentationClassAug", ".png",
     "ImageSets/Segmentation/val.txt", PreparedValues::voc_background, 21},
    {"voc20", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "SegmentationClass", ".png", "ImageSets/Segmentation/val.txt",
     PreparedValues::from_one, 20},
    {"voc20b", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "SegmentationClass", ".png", "ImageSets/Segmentation/val.txt",
     PreparedValues::voc_background, 21},
    {"voc20", "pascal_voc_d2", "images/validation", ".jpg", "annotations_pascal20/validation", ".png", "",
     PreparedValues::classes, 20},
    {"voc21", "pascal_voc_d2", "images/validation", ".jpg", "annotations_pascal21/validation", ".png", "",
     PreparedValues::classes, 21},
    {"voc21", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "SegmentationClassAug", ".png",
     "ImageSets/Segmentation/val.txt", PreparedValues::classes, 21},
    {"voc21", "VOCdevkit/VOC2012", "JPEGImages", ".jpg", "SegmentationClass", ".png", "ImageSets/Segmentation/val.txt",
     PreparedValues::classes, 21},
    {"coco171", "coco-stuff", "images/val2017", ".jpg", "annotations_detectron2/val2017", ".png", "",
     PreparedValues::classes, 171},
    {"coco171", "coco-stuff", "images/val2017", ".jpg", "annotations/val2017", ".png", "", PreparedValues::coco_stuff,
     171},
    {"coco171", "coco", "val2017", ".jpg", "stuffthingmaps_detectron2/val2017", ".png", "", PreparedValues::classes,
     171},
    {"coco171", "coco", "val2017", ".jpg", "stuffthingmaps/val2017", ".png", "", PreparedValues::coco_stuff, 171},
    {"cityscapes", "cityscapes", "leftImg8bit/val", "_leftImg8bit.png", "gtFine/val", "_gtFine_labelTrainIds.png", "",
     PreparedValues::classes, 19},
    {"cityscapes", "cityscapes", "leftImg8bit/val", "_leftImg8bit.png", "gtFine/val", "_gtFine_labelIds.png", "",
     PreparedValues::cityscapes_ids, 19},
    {"mapillary", "mapillary_vistas", "validation/images", ".jpg", "validation/labels", ".png", "",
     PreparedValues::end_is_none, 65},
    {"mapillary", "mapillary_vistas", "validation/images", ".jpg", "validation/v1.2/labels", ".png", "",
     PreparedValues::end_is_none, 65},
    // MESS, as its package prepares them.
    {"mess_atlantis", "atlantis", "images_detectron2/test", ".jpg", "annotations_detectron2/test", ".png", "",
     PreparedValues::classes, 56},
    {"mess_bdd100k", "bdd100k", "images/10k/val", ".jpg", "annotations_detectron2/val", ".png", "",
     PreparedValues::classes, 19},
    {"mess_chase_db1", "CHASEDB1", "images_detectron2/test", ".jpg", "annotations_detectron2/test", ".png", "",
     PreparedValues::classes, 2},
    {"mess_corrosion_cs", "Corrosion Condition State Classification", "original/Test/images", ".jpeg",
     "original/Test/masks", ".png", "", PreparedValues::classes, 4},
    {"mess_cryonuseg", "CryoNuSeg", "images_detectron2", ".png", "annotations_detectron2", ".png", "",
     PreparedValues::classes, 2},
    {"mess_cub_200", "CUB_200_2011", "images_detectron2/test", ".jpg", "annotations_detectron2/test", ".png", "",
     PreparedValues::classes, 201},
    {"mess_cwfid", "cwfid", "images", "_image.png", "annotations_detectron2/test", "_annotation.png", "",
     PreparedValues::classes, 3},
    {"mess_dark_zurich", "Dark_Zurich", "rgb_anon/val/night/GOPR0356", "_rgb_anon.png", "annotations_detectron2/val",
     "_gt_labelIds.png", "", PreparedValues::classes, 20},
    {"mess_deepcrack", "DeepCrack", "test_img", ".jpg", "annotations_detectron2/test", ".png", "",
     PreparedValues::classes, 2},
    {"mess_dram", "DRAM_processed", "images_detectron2/test", ".jpg", "annotations_detectron2/test", ".png", "",
     PreparedValues::classes, 12},
    {"mess_floodnet", "FloodNet-Supervised_v1.0", "images_detectron2/test", ".jpg", "annotations_detectron2/test",
     ".png", "", PreparedValues::classes, 10},
    {"mess_foodseg103", "FoodSeg103", "Images/img_dir/test", ".jpg", "Images/ann_dir/test", ".png", "",
     PreparedValues::classes, 104},
    {"mess_isaid", "isaid", "images_detectron2/val", ".png", "annotations_detectron2/val", ".png", "",
     PreparedValues::classes, 16},
    {"mess_isprs_potsdam", "ISPRS_Potsdam", "images_detectron2/test/irrg", ".png", "annotations_detectron2/test",
     ".png", "", PreparedValues::classes, 6},
    {"mess_kvasir_instrument", "kvasir-instrument", "images_detectron2/test", ".png", "annotations_detectron2/test",
     ".png", "", PreparedValues::classes, 2},
    {"mess_mhp_v1", "LV-MHP-v1", "images_detectron2/test", ".jpg", "annotations_detectron2/test", ".png", "",
     PreparedValues::classes, 19},
    {"mess_paxray_lungs", "paxray_dataset", "images_detectron2/test", ".png", "annotations_detectron2/test/lungs",
     ".png", "", PreparedValues::classes, 2},
    {"mess_paxray_mediastinum", "paxray_dataset", "images_detectron2/test", ".png",
     "annotations_detectron2/test/mediastinum", ".png", "", PreparedValues::classes, 2},
    {"mess_paxray_bones", "paxray_dataset", "images_detectron2/test", ".png", "annotations_detectron2/test/bones",
     ".png", "", PreparedValues::classes, 2},
    {"mess_paxray_diaphragm", "paxray_dataset", "images_detectron2/test", ".png",
     "annotations_detectron2/test/diaphragm", ".png", "", PreparedValues::classes, 2},
    {"mess_pst900", "PST900_RGBT_Dataset", "test/thermal", ".png", "test/labels", ".png", "", PreparedValues::classes,
     5},
    {"mess_suim", "SUIM", "TEST/images", ".jpg", "annotations_detectron2/test", ".png", "", PreparedValues::classes, 8},
    {"mess_uavid", "uavid_v1.5", "images_detectron2/val", ".png", "annotations_detectron2/val", ".png", "",
     PreparedValues::classes, 8},
    {"mess_worldfloods", "WorldFloods", "images_detectron2/test/irrg", ".png", "annotations_detectron2/test", ".png",
     "", PreparedValues::classes, 3},
    {"mess_zerowaste", "zerowaste-f", "splits_final_deblurred/test/data", ".PNG", "splits_final_deblurred/test/sem_seg",
     ".PNG", "", PreparedValues::classes, 5},
};

/// The class of a value; nothing if the value has no meaning.
inline std::optional<std::uint16_t> prepared_class(std::uint16_t value, PreparedForm const& form) {
  std::uint16_t const none = LabelMap::unknown;
  switch (form.values) {
    case PreparedValues::classes:
      if (value < form.classes) return value;
      return value == none || (value == 255 && form.classes < 255) ? std::optional(none) : std::nullopt;
    case PreparedValues::end_is_none:
      if (value < form.classes) return value;
      return value == none || value == form.classes ? std::optional(none) : std::nullopt;
    case PreparedValues::from_one:
      if (value == 0 || value == 255 || value == none) return none;
      return value <= form.classes ? std::optional(static_cast<std::uint16_t>(value - 1)) : std::nullopt;
    case PreparedValues::voc_background:
      if (value == 255) return none;
      if (value == 0) return std::uint16_t{20};
      return value <= 20 ? std::optional(static_cast<std::uint16_t>(value - 1)) : std::nullopt;
    case PreparedValues::coco_stuff:
      return decode_label(value, LabelEncoding::coco_stuff_raw);
    case PreparedValues::cityscapes_ids: {
      if (value > 33) return std::nullopt;
      auto const at = std::lower_bound(cityscapes_ids.begin(), cityscapes_ids.end(), value);
      return *at == value ? static_cast<std::uint16_t>(at - cityscapes_ids.begin()) : none;
    }
  }
  return std::nullopt;
}

/// Where the folder of a data set may be below the one that is given.
inline std::array<std::string_view, 3> places_of(PreparedForm const& form) {
  // Also without VOCdevkit; the same without "/".
  return {std::string_view(), form.folder, form.folder.substr(form.folder.find('/') + 1)};
}

/// Names in a folder and those below it, relative to it, of the files with this ending, without it. Throws FileError.
inline std::vector<std::string> names_below(std::filesystem::path const& folder, std::string_view ending) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
    auto const name = entry->path().lexically_relative(folder).string();
    bool const hidden = entry->path().filename().native().starts_with('.');
    if (!hidden && name.ends_with(ending)) names.push_back(name.substr(0, name.size() - ending.size()));
  }
  require<FileError>(!error, shown(folder), " could not be listed: ", error.message());
  return names;
}

}  // namespace detail

/// The validation pictures of a benchmark that has one label file per picture, in the folders where detectron2's users
/// have them: ade150, ade847, pc459, pc59, voc20, voc20b and coco171 as CAT-Seg's scripts prepare them, voc21 and those
/// of PASCAL as FC-CLIP's do; ade150, coco171, the three of PASCAL VOC, cityscapes and mapillary (Vistas 1.2) as
/// published; the sets of MESS (mess_*) as its package prepares them.
class PreparedBenchmark {
 public:
  /// The benchmark in its folder `root`, or in the place that it has below a folder of data sets; nothing if its labels
  /// are not there or it is none of these. No picture is read yet. Throws DataError if a part of it is missing,
  /// FileError if a folder or list cannot be read.
  static std::optional<PreparedBenchmark> find(std::string_view name, std::filesystem::path const& root,
                                               ImageOptions options = {}) {
    for (auto const& form : detail::prepared_forms) {
      if (form.benchmark != name) continue;
      for (auto const place : detail::places_of(form)) {
        auto const folder = root / place;
        if (!detail::is_folder(folder / form.labels)) continue;
        // Two forms of Cityscapes differ in the files' names alone.
        auto const* const next = &form + 1;
        bool const another =
            next != std::end(detail::prepared_forms) && next->benchmark == name && next->labels == form.labels;
        PreparedBenchmark found(form, folder, options);
        if (found.size() > 0 || !another) return found.check(), std::move(found);
      }
    }
    return std::nullopt;
  }

  std::size_t size() const { return pictures_.size(); }
  /// The file's name without folder and extension.
  std::string const& name(std::size_t i) const { return pictures_.at(i).name; }
  std::filesystem::path const& image_path(std::size_t i) const { return pictures_.at(i).image; }
  std::filesystem::path const& label_path(std::size_t i) const { return pictures_.at(i).labels; }

  /// Reads one sample. Throws FileError or ImageError if a file cannot be read, DataError if picture and labels differ
  /// in size or a label has no meaning in the benchmark. May be called from several threads.
  SegmentationSample load(std::size_t i) const {
    auto const& picture = pictures_.at(i);
    auto [image, values, doubt] = detail::read_picture_and_values(picture.image, picture.labels, options_);
    SegmentationSample sample{
        std::move(image), {values.height, values.width, std::move(values.values)}, picture.name, std::move(doubt)};
    for (std::size_t k = 0; k < sample.labels.labels.size(); ++k) {
      auto& label = sample.labels.labels[k];
      auto const found = detail::prepared_class(label, *form_);
      if (!found)
        detail::fail_at_pixel(detail::shown(picture.labels), label, k, sample.labels.width,
                              "which means nothing in the benchmark ", form_->benchmark, " of ", form_->classes,
                              " classes: prepare the labels again");
      label = *found;
    }
    return sample;
  }

 private:
  struct Picture {
    std::filesystem::path image, labels;
    std::string name;
  };

  PreparedBenchmark(detail::PreparedForm const& form, std::filesystem::path const& folder, ImageOptions options)
      : form_(&form), options_(options) {
    auto const labels = folder / form.labels;
    source_ = form.list.empty() ? labels : folder / form.list;
    std::vector<std::string> names;
    if (form.list.empty()) {
      names = detail::names_below(labels, form.label_ending);
    } else {
      require<DataError>(detail::is_file(source_), detail::shown(source_),
                         " is missing: it names the pictures that are scored, one per line");
      names = detail::read_name_list(source_);
    }
    for (auto const& name : names) {
      pictures_.push_back({folder / form.images / (name + std::string(form.image_ending)),
                           labels / (name + std::string(form.label_ending)),
                           std::filesystem::path(name).filename().string()});
    }
    std::sort(pictures_.begin(), pictures_.end(), [](auto const& a, auto const& b) { return a.labels < b.labels; });
  }

  /// Throws DataError unless all that is listed is there.
  void check() const {
    require<DataError>(!pictures_.empty(), detail::shown(source_), " names no picture: expected ",
                       form_->list.empty() ? "files that end in " : "one per line",
                       form_->list.empty() ? form_->label_ending : "");
    detail::require_files(pictures_, source_);
  }

  detail::PreparedForm const* form_;
  ImageOptions options_;
  std::filesystem::path source_;  // of the names
  std::vector<Picture> pictures_;
};

/// Says what of a benchmark's data is there and what is missing, for a message, where it could not be found. Empty if
/// it has no files of one label per picture.
inline std::string missing_parts(std::string_view name, std::filesystem::path const& root) {
  std::string forms;
  for (auto const& form : detail::prepared_forms) {
    if (form.benchmark != name) continue;
    // The place that has the pictures is the one that is meant.
    auto const places = detail::places_of(form);
    auto const place = std::find_if(places.begin(), places.end(),
                                    [&](auto const& at) { return detail::is_folder(root / at / form.images); });
    auto const folder = root / (place == places.end() ? form.folder : *place);
    forms += (forms.empty() ? "" : "; or ") + detail::shown(folder / form.images) + " (" +
             (place == places.end() ? "missing" : "there") + ") and " + detail::shown(folder / form.labels) +
             " with *" + std::string(form.label_ending) + " (missing)";
  }
  return forms.empty()
             ? forms
             : detail::shown(root) + " has no labels of the benchmark " + std::string(name) + ": expected " + forms;
}

}  // namespace kovos
