// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/folder_layout.hpp"
#include "kovos/data/label_encoding.hpp"
#include "kovos/data/labelled_picture.hpp"
#include "kovos/data/sample.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/text/benchmark_classes.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos {

/// What happens to pictures and labels that cannot be read or decoded.
enum class UnreadableFiles : std::uint8_t {
  stop,  ///< the error is thrown
  skip   ///< they are left out and noted with the reason
};

struct SegmentationFolderOptions {
  FolderLayout layout = FolderLayout::automatic;
  std::optional<DatasetSplit> split = {};
  /// Instead of those of classes.txt. A plain folder without classes.txt needs `layout` as well.
  std::vector<std::string> class_names = {};
  UnreadableFiles unreadable_files = UnreadableFiles::stop;
  /// How the pictures are decoded.
  ImageOptions image = {};
};

namespace detail {

/// The endings, in small letters, of pictures that a data set may hold beside those that are read.
inline constexpr std::string_view other_picture_endings[] = {".bmp", ".tif", ".tiff", ".webp", ".gif",  ".ppm",
                                                             ".pgm", ".jp2", ".heic", ".heif", ".avif", ".jxl"};

inline std::string small_ending_of(std::filesystem::path const& path) {
  std::string ending = path.extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return ending;
}

inline bool is_label_name(std::filesystem::path const& path) {
  auto const ending = path.extension();
  return ending == ".png" || ending == ".tif" || ending == ".tiff";
}

/// Whether 0 fills the outermost pixels and little of the rest, as where annotators did not reach the border.
inline bool is_framed_by_zero(LabelMap const& map) {
  if (map.height < 8 || map.width < 8) return false;
  std::size_t frame = 0, inside = 0;
  for (std::size_t y = 0; y < map.height; ++y) {
    for (std::size_t x = 0; x < map.width; ++x) {
      if (map(y, x) != 0) continue;
      bool const at_border = y == 0 || x == 0 || y + 1 == map.height || x + 1 == map.width;
      ++(at_border ? frame : inside);
    }
  }
  std::size_t const frame_size = 2 * (map.height + map.width) - 4, inside_size = (map.height - 2) * (map.width - 2);
  return 10 * frame >= 9 * frame_size && 4 * inside <= inside_size;
}

/// Whether a class is what is left when all is named, which may well be a frame.
inline bool is_name_of_nothing(std::string_view name) {
  for (std::string_view const word :
       {"background", "other", "others", "unlabeled", "unlabelled", "void", "none", "unknown"})
    if (name == word) return true;
  return false;
}

inline bool are_names_of(ClassList const& classes, std::string_view benchmark) {
  auto const list = benchmark_class_list(*find_benchmark(benchmark));
  auto const same = [](ClassEntry const& a, ClassEntry const& b) { return a.words == b.words; };
  return std::equal(classes.begin(), classes.end(), list.begin(), list.end(), same);
}

}  // namespace detail

/// Pictures and their labels in a folder, paired by name: JPEG or PNG, and a PNG or TIFF of class indices with 255
/// for none (65535 in 16 bits; 255 too if there are at most 255 classes). They are sorted by name.
class SegmentationFolder {
 public:
  struct Skipped {
    std::string name, reason;
  };
  struct Doubtful {
    std::string name, reason;
  };

  /// A file that is not used.
  struct LeftOut {
    std::filesystem::path file;
    std::string_view reason;  ///< what it is: not of the formats that are read there, or (a label) without a picture
  };

  /// Lists the folder; no picture is read yet. Throws DataError if there is nothing to be found, more than one place to
  /// choose from, a picture without a label, or a list of classes that is missing or not that of the layout; FileError
  /// if a folder or classes.txt cannot be read, TextError if classes.txt is no list of classes.
  explicit SegmentationFolder(std::filesystem::path const& root, SegmentationFolderOptions options = {})
      : pair_(detail::choose_pair(root, options.layout, options.split)),
        policy_(options.unreadable_files),
        image_options_(options.image) {
    choose_classes(root, options);
    list_pictures();
  }

  std::size_t size() const { return pictures_.size(); }
  /// The file's name without folder and extension.
  std::string const& name(std::size_t i) const { return pictures_.at(i).name; }
  std::filesystem::path const& image_path(std::size_t i) const { return pictures_.at(i).image; }
  std::filesystem::path const& label_path(std::size_t i) const { return pictures_.at(i).labels; }

  FolderLayout layout() const { return pair_.layout; }
  LabelEncoding label_encoding() const { return pair_.encoding; }
  /// The classes.txt of the folder, if there is one.
  std::optional<std::filesystem::path> const& classes_file() const { return pair_.classes_file; }
  /// Number of classes; every label is below it, or LabelMap::unknown.
  std::size_t class_count() const { return class_count_; }
  /// The classes with the words that are looked for: of the options, of classes.txt or of the benchmark.
  ClassList const& class_list() const { return classes_; }
  /// The benchmark whose classes these are (ade150, coco171, as find_benchmark knows them); empty for a plain folder.
  std::string_view benchmark() const {
    if (pair_.layout == FolderLayout::ade20k) return "ade150";
    return pair_.layout == FolderLayout::coco_stuff ? "coco171" : "";
  }

  /// Reads one sample. Throws FileError or ImageError if a file cannot be read, DataError if picture and label differ
  /// in size or a label is beyond the list of classes. May be called from several threads.
  SegmentationSample load(std::size_t i) const {
    auto read = detail::read_picture_and_values(image_path(i), label_path(i), image_options_);
    SegmentationSample sample{std::move(read.image), as_class_indices(std::move(read.values), value_count()), name(i),
                              std::move(read.doubt)};
    bool bad = false;
    auto const is_bad = [&](std::uint16_t label) { return label >= class_count_ && label != LabelMap::unknown; };
    for (std::uint16_t const value : sample.labels.labels) bad |= is_bad(decoded_[value]);
    if (bad) fail_beyond_list(i, sample.labels, is_bad);
    for (std::uint16_t& label : sample.labels.labels) label = decoded_[label];
    return sample;
  }

  /// Reads one sample as load. Where unreadable files are to be skipped, one that cannot be read or decoded gives
  /// nothing and is noted in skipped(). One thread at a time.
  std::optional<SegmentationSample> try_load(std::size_t i) {
    if (policy_ == UnreadableFiles::stop) return load(i);
    try {
      return load(i);
    } catch (FileError const& error) {
      note(i, error.what());
    } catch (ImageError const& error) {
      note(i, error.what());
    }
    return std::nullopt;
  }

  /// Reads every sample once, so that a long run does not fail late. Throws as load; where unreadable files are to be
  /// skipped, they leave the list and are noted in skipped(). Samples whose labels may not be right are noted in
  /// doubtful(). Throws DataError if nothing remains.
  void verify() {
    std::vector<Picture> readable;
    doubtful_.clear();
    for (std::size_t i = 0; i < size(); ++i) {
      auto const sample = try_load(i);
      if (!sample) continue;
      readable.push_back(pictures_[i]);
      if (!sample->doubt.empty()) doubtful_.push_back({name(i), sample->doubt});
    }
    require<DataError>(!readable.empty(), "none of the ", size(), " pictures in ", detail::shown(pair_.images),
                       " can be read with its label; the first: ", skipped_.empty() ? "" : skipped_.front().reason);
    pictures_ = std::move(readable);
  }

  /// Pictures of the list that could not be read, each once.
  std::vector<Skipped> const& skipped() const { return skipped_; }

  /// Samples whose labels may not lie on the picture, or not mean what is taken, as verify() found.
  std::vector<Doubtful> const& doubtful() const { return doubtful_; }

  /// Files beside those of the list, sorted.
  std::vector<LeftOut> const& left_out() const { return left_out_; }

  /// A sentence if the labels look as if they had another meaning than the layout says, so that every class would be
  /// scored as its neighbour; nothing if they do not, or are not read by class index. Reads up to `most` labels, spread
  /// over the list; what cannot be read is passed over.
  std::optional<std::string> layout_warning(std::size_t most = 32) const;

 private:
  struct Picture {
    std::filesystem::path image, labels;
    std::string name;
  };

  bool is_plain() const { return pair_.layout == FolderLayout::plain || pair_.layout == FolderLayout::from_one; }

  /// How many values a label may have, beside that for none.
  std::size_t value_count() const { return class_count_ + (pair_.encoding == LabelEncoding::from_one ? 1 : 0); }

  /// The layout in which labels of this many classes count from 1.
  std::string_view layout_from_one() const {
    return name_of(class_count_ == detail::ade20k_classes ? FolderLayout::ade20k : FolderLayout::from_one);
  }

  void choose_classes(std::filesystem::path const& root, SegmentationFolderOptions& options) {
    require<DataError>(
        !is_plain() || pair_.classes_file || options.layout != FolderLayout::automatic, detail::shown(root),
        " has images and annotations but no classes.txt. If it is ADE20K as published, choose the layout "
        "ade20k (--layout ade20k). Else write one class per line into classes.txt, in the order of the "
        "labels' values: the first is 0, or 1 in the layout from_one, where 0 is none");
    for (auto& name : options.class_names) classes_.push_back({name, {name}});
    if (classes_.empty() && pair_.classes_file) classes_ = read_classes(*pair_.classes_file);
    require<DataError>(!is_plain() || !classes_.empty(), detail::shown(root),
                       " has no classes.txt: write one class per line into it, or give the class names");
    if (classes_.empty()) classes_ = benchmark_class_list(*find_benchmark(benchmark()));
    class_count_ = classes_.size();
    if (!is_plain()) {
      auto const expected = pair_.layout == FolderLayout::ade20k ? detail::ade20k_classes : detail::coco_stuff_classes;
      require<DataError>(class_count_ == expected, "the labels in ", detail::shown(pair_.labels), " are of the layout ",
                         name_of(pair_.layout), ", which has ", expected, " classes, but ", class_count_,
                         " class names are given");
    }
    require<DataError>(class_count_ <= LabelMap::unknown, "there are ", class_count_, " class names, expected at most ",
                       LabelMap::unknown);
    for (std::size_t value = 0; value < decoded_.size(); ++value)
      decoded_[value] = decode_label(static_cast<std::uint16_t>(value), pair_.encoding);
  }

  void list_pictures() {
    for (auto const& path : detail::listed(pair_.images)) {
      auto const ending = detail::small_ending_of(path);
      auto const is_ending = [&](std::string_view other) { return other == ending; };
      bool const is_picture = ending == ".jpg" || ending == ".jpeg" || ending == ".png";
      if (is_picture) pictures_.push_back({path, {}, path.stem().string()});
      else if (std::any_of(std::begin(detail::other_picture_endings), std::end(detail::other_picture_endings),
                           is_ending))
        left_out_.push_back({path, "not of the formats that are read there"});
    }
    require<DataError>(!pictures_.empty(), detail::shown(pair_.images),
                       " has no picture: expected files that end in .jpg, .jpeg or .png (folders inside it are not "
                       "searched)");
    // A dot in a name sorts differently from the end of a name.
    std::sort(pictures_.begin(), pictures_.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
    require_no_twins(pictures_, &Picture::image, "would have the same label");
    std::vector<Picture> labels;
    for (auto const& path : detail::listed(pair_.labels))
      if (detail::is_label_name(path)) labels.push_back({{}, path, path.stem().string()});
    std::sort(labels.begin(), labels.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
    require_no_twins(labels, &Picture::labels, "would be labels of the same picture");
    pair_up(labels);
  }

  /// Throws DataError unless every picture has a label.
  void pair_up(std::vector<Picture> const& labels) {
    std::size_t missing = 0, first = 0;
    auto label = labels.begin();
    auto const leave_out = [&] { left_out_.push_back({(label++)->labels, "without a picture"}); };
    for (std::size_t i = 0; i < size(); ++i) {
      while (label != labels.end() && label->name < name(i)) leave_out();
      if (label != labels.end() && label->name == name(i)) {
        pictures_[i].labels = (label++)->labels;
        continue;
      }
      if (missing == 0) first = i;
      ++missing;
    }
    while (label != labels.end()) leave_out();
    if (missing > 0) {
      std::string const others = missing == 1 ? "" : ", nor have " + std::to_string(missing - 1) + " other pictures";
      fail<DataError>(detail::shown(image_path(first)), " has no label", others, ": expected ",
                      detail::shown(pair_.labels / (name(first) + ".png")));
    }
  }

  /// Throws DataError if two entries of a sorted list have one name.
  static void require_no_twins(std::vector<Picture> const& list, std::filesystem::path Picture::*file,
                               std::string_view what) {
    auto const twin =
        std::adjacent_find(list.begin(), list.end(), [](auto const& a, auto const& b) { return a.name == b.name; });
    if (twin == list.end()) return;
    fail<DataError>(detail::shown((*twin).*file), " and ", detail::shown((*std::next(twin)).*file), ' ', what,
                    ": rename or remove one of them");
  }

  template <class IsBad>
  [[noreturn]] void fail_beyond_list(std::size_t i, LabelMap const& values, IsBad const& is_bad) const {
    auto const found = std::find_if(values.labels.begin(), values.labels.end(),
                                    [&](std::uint16_t value) { return is_bad(decoded_[value]); });
    auto const k = static_cast<std::size_t>(found - values.labels.begin());
    bool const from_one = pair_.encoding == LabelEncoding::from_one;
    std::string advice;
    if (pair_.encoding == LabelEncoding::class_index && *found == class_count_)
      advice = "; if 0 is none and the classes count from 1, choose the layout " + std::string(layout_from_one()) +
               " (--layout " + std::string(layout_from_one()) + ")";
    detail::fail_at_pixel(detail::shown(label_path(i)), *found, k, values.width, "expected 0 to ",
                          class_count_ - (from_one ? 0 : 1), " or 255 for none: the list has ", class_count_,
                          " classes", advice);
  }

  void note(std::size_t i, std::string reason) {
    auto const same = [&](Skipped const& s) { return s.name == name(i); };
    if (std::none_of(skipped_.begin(), skipped_.end(), same)) skipped_.push_back({name(i), std::move(reason)});
  }

  detail::FolderPair pair_;
  UnreadableFiles policy_;
  ImageOptions image_options_;
  std::size_t class_count_ = 0;
  std::vector<std::uint16_t> decoded_ = std::vector<std::uint16_t>(65536);  // of each value of a label file
  ClassList classes_;
  std::vector<Picture> pictures_;
  std::vector<Skipped> skipped_;
  std::vector<Doubtful> doubtful_;
  std::vector<LeftOut> left_out_;
};

inline std::optional<std::string> SegmentationFolder::layout_warning(std::size_t most) const {
  bool const published = pair_.layout == FolderLayout::ade20k && pair_.encoding == LabelEncoding::from_one;
  if (pair_.encoding != LabelEncoding::class_index && !published) return std::nullopt;
  std::size_t const count = std::min(most, size());
  std::size_t read = 0, framed = 0, with_none = 0, with_zero = 0;
  std::optional<std::size_t> beyond;
  for (std::size_t k = 0; k < count; ++k) {
    std::size_t const i = k * size() / count;
    LabelMap map;
    try {
      map = read_png_labels(label_path(i), value_count());
    } catch (Error const&) {
      continue;
    }
    ++read;
    auto const has = [&](std::size_t value) {
      return std::find(map.labels.begin(), map.labels.end(), value) != map.labels.end();
    };
    if (has(LabelMap::unknown)) ++with_none;
    if (has(0)) ++with_zero;
    if (!beyond && has(class_count_)) beyond = i;
    if (detail::is_framed_by_zero(map)) ++framed;
  }
  if (published) {
    if (with_none == 0) return std::nullopt;
    return detail::shown(pair_.labels) + " is read as ADE20K is published (0 = none), but " +
           std::to_string(with_none) + " of " + std::to_string(read) +
           " labels have the value 255, which published ones do not: if they are class indices already, choose the "
           "layout plain (--layout plain) with a classes.txt, or every class is scored as its neighbour";
  }
  std::string sign;
  if (beyond) {
    sign = detail::shown(label_path(*beyond)) + " has the value " + std::to_string(class_count_) +
           ", which is the number of classes";
  } else if (with_none == 0 && read > 0 && 2 * framed >= read && !detail::is_name_of_nothing(classes_.front().name)) {
    sign = "in " + std::to_string(framed) + " of " + std::to_string(read) +
           " labels looked at 0 is the frame, and none has 255";
  } else if (with_none == 0 && with_zero > 0 && detail::are_names_of(classes_, "ade150")) {
    sign = "the classes are those of ADE20K, whose prepared labels have 255 where nothing is, and none has it here";
  } else {
    return std::nullopt;
  }
  std::string const layout(layout_from_one());
  return "the labels in " + detail::shown(pair_.labels) +
         " look as if classes counted from 1 and 0 were none: " + sign + ". If so, choose the layout " + layout +
         " (--layout " + layout + "), or every class is scored as its neighbour";
}

}  // namespace kovos
