// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/folder_layout.hpp"
#include "kovos/data/label_encoding.hpp"
#include "kovos/data/sample.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/image_options.hpp"

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

/// One name per line, before its "=" if it has synonyms; blank lines and those that begin with '#' do not count.
inline std::vector<std::string> read_class_names(std::filesystem::path const& path) {
  auto const bytes = read_file(path, std::size_t{16} << 20);
  std::string text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  require<DataError>(is_utf8(text), shown(path), " is not UTF-8: save it as UTF-8, one class per line");
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  auto const trimmed_name = [](std::string_view line) {
    constexpr std::string_view blanks = " \t\r\v\f";
    std::size_t const first = line.find_first_not_of(blanks);
    return first == line.npos ? line.substr(0, 0) : line.substr(first, line.find_last_not_of(blanks) - first + 1);
  };
  std::vector<std::string> names;
  for (std::string_view rest = text; !rest.empty();) {
    std::size_t const end = std::min(rest.find('\n'), rest.size());
    auto const line = trimmed_name(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.front() == '#') continue;
    names.emplace_back(trimmed_name(line.substr(0, line.find('='))));
  }
  require<DataError>(!names.empty(), shown(path), " names no class: write one class per line");
  return names;
}

}  // namespace detail

/// Pictures and their labels in a folder, paired by name: JPEG or PNG, and a PNG of class indices with 255 (65535 in 16
/// bits) for none. They are sorted by name; labels without a picture are left alone.
class SegmentationFolder {
 public:
  struct Skipped {
    std::string name, reason;
  };

  /// Lists the folder; no picture is read yet. Throws DataError if there is nothing to be found, more than one place to
  /// choose from, a picture without a label, or a list of classes that is missing or not that of the layout; FileError
  /// if a folder or classes.txt cannot be read.
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
  std::filesystem::path label_path(std::size_t i) const { return pair_.labels / (pictures_.at(i).name + ".png"); }

  FolderLayout layout() const { return pair_.layout; }
  LabelEncoding label_encoding() const { return pair_.encoding; }
  /// The classes.txt of the folder, if there is one.
  std::optional<std::filesystem::path> const& classes_file() const { return pair_.classes_file; }
  /// Number of classes; every label is below it, or LabelMap::unknown.
  std::size_t class_count() const { return class_count_; }
  /// Of the options or of classes.txt; empty if there are neither. Then benchmark() tells which list is meant.
  std::vector<std::string> const& class_names() const { return class_names_; }
  /// The benchmark whose classes these are (ade150, coco171, as find_benchmark knows them); empty for a plain folder.
  std::string_view benchmark() const {
    if (pair_.layout == FolderLayout::ade20k) return "ade150";
    return pair_.layout == FolderLayout::coco_stuff ? "coco171" : "";
  }

  /// Reads one sample. Throws FileError or ImageError if a file cannot be read, DataError if picture and label differ
  /// in size or a label is beyond the list of classes. May be called from several threads.
  SegmentationSample load(std::size_t i) const {
    SegmentationSample sample{read_image(image_path(i), image_options_), read_png_labels(label_path(i)), name(i)};
    require<DataError>(sample.image.height == sample.labels.height && sample.image.width == sample.labels.width,
                       detail::shown(image_path(i)), " is ", sample.image.height, " x ", sample.image.width,
                       " and its label ", detail::shown(label_path(i)), " is ", sample.labels.height, " x ",
                       sample.labels.width, " (height x width): expected the same size");
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
  /// skipped, they leave the list and are noted in skipped(). Throws DataError if nothing remains.
  void verify() {
    std::vector<Picture> readable;
    for (std::size_t i = 0; i < size(); ++i)
      if (try_load(i)) readable.push_back(pictures_[i]);
    require<DataError>(!readable.empty(), "none of the ", size(), " pictures in ", detail::shown(pair_.images),
                       " can be read with its label; the first: ", skipped_.empty() ? "" : skipped_.front().reason);
    pictures_ = std::move(readable);
  }

  /// What was left out, each once.
  std::vector<Skipped> const& skipped() const { return skipped_; }

 private:
  struct Picture {
    std::filesystem::path image;
    std::string name;
  };

  void choose_classes(std::filesystem::path const& root, SegmentationFolderOptions& options) {
    bool const plain = pair_.layout == FolderLayout::plain;
    require<DataError>(!plain || pair_.classes_file || options.layout == FolderLayout::plain, detail::shown(root),
                       " has images and annotations but no classes.txt: write one class per line into it, or say ",
                       "which layout it is (plain with class names, or ade20k)");
    if (!options.class_names.empty()) class_names_ = std::move(options.class_names);
    else if (pair_.classes_file) class_names_ = detail::read_class_names(*pair_.classes_file);
    require<DataError>(!plain || !class_names_.empty(), detail::shown(root),
                       " has no classes.txt: write one class per line into it, or give the class names");
    class_count_ = class_names_.size();
    if (!plain) {
      class_count_ = pair_.layout == FolderLayout::ade20k ? detail::ade20k_classes : detail::coco_stuff_classes;
      require<DataError>(class_names_.empty() || class_names_.size() == class_count_, "the labels in ",
                         detail::shown(pair_.labels), " are of the layout ", name_of(pair_.layout), ", which has ",
                         class_count_, " classes, but ", class_names_.size(), " class names are given");
    }
    require<DataError>(class_count_ <= LabelMap::unknown, "there are ", class_count_, " class names, expected at most ",
                       LabelMap::unknown);
    for (std::size_t value = 0; value < decoded_.size(); ++value)
      decoded_[value] = decode_label(static_cast<std::uint16_t>(value), pair_.encoding);
  }

  void list_pictures() {
    for (auto const& path : detail::listed(pair_.images)) {
      if (is_picture(path)) pictures_.push_back({path, path.stem().string()});
    }
    require<DataError>(!pictures_.empty(), detail::shown(pair_.images),
                       " has no picture: expected files that end in .jpg, .jpeg or .png");
    // A dot in a name sorts differently from the end of a name.
    std::sort(pictures_.begin(), pictures_.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
    auto const twin = std::adjacent_find(pictures_.begin(), pictures_.end(),
                                         [](auto const& a, auto const& b) { return a.name == b.name; });
    if (twin != pictures_.end()) {
      fail<DataError>(detail::shown(twin->image), " and ", detail::shown(std::next(twin)->image),
                      " would have the same label: rename or remove one of them");
    }
    std::vector<std::string> labels;
    for (auto const& path : detail::listed(pair_.labels))
      if (path.extension() == ".png") labels.push_back(path.stem().string());
    std::sort(labels.begin(), labels.end());
    std::size_t missing = 0, first = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      if (std::binary_search(labels.begin(), labels.end(), name(i))) continue;
      if (missing == 0) first = i;
      ++missing;
    }
    if (missing > 0) {
      std::string const others = missing == 1 ? "" : ", nor have " + std::to_string(missing - 1) + " other pictures";
      fail<DataError>(detail::shown(image_path(first)), " has no label", others, ": expected ",
                      detail::shown(label_path(first)));
    }
  }

  static bool is_picture(std::filesystem::path const& path) {
    std::string extension = path.extension().string();
    for (char& c : extension)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
  }

  template <class IsBad>
  [[noreturn]] void fail_beyond_list(std::size_t i, LabelMap const& values, IsBad const& is_bad) const {
    auto const found = std::find_if(values.labels.begin(), values.labels.end(),
                                    [&](std::uint16_t value) { return is_bad(decoded_[value]); });
    auto const k = static_cast<std::size_t>(found - values.labels.begin());
    bool const shifted = pair_.encoding == LabelEncoding::ade20k_raw;
    fail<DataError>(detail::shown(label_path(i)), " has the value ", *found, " at row ", k / values.width, ", column ",
                    k % values.width, ", expected 0 to ", class_count_ - (shifted ? 0 : 1),
                    " or 255 for none: the list has ", class_count_, " classes");
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
  std::vector<std::string> class_names_;
  std::vector<Picture> pictures_;
  std::vector<Skipped> skipped_;
};

}  // namespace kovos
