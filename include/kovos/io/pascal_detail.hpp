// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/coco_rle.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// A mask of a picture of PASCAL in Detail and the category of its pixels.
struct DetailSegment {
  std::uint32_t category = 0;
  std::size_t height = 0, width = 0;
  std::string counts;  // as parse_coco_rle reads them
};

struct DetailPicture {
  std::string file_name;
  std::size_t height = 0, width = 0;
  std::vector<DetailSegment> segments;  // in the order of the file: where they overlap, the later one counts
};

namespace detail {

/// Collects pictures and segments while the text goes by; nothing else of it is kept.
class DetailCollector : public nlohmann::json_sax<nlohmann::json> {
 public:
  DetailCollector(std::string name, std::string_view phase) : name_(std::move(name)), phase_(phase) {}

  /// Whether segments went by whose picture was not known yet: then the text has to be read again.
  bool incomplete() const { return incomplete_; }
  void begin_again() {
    incomplete_ = false;
    second_ = true;
    for (auto& picture : pictures_) picture.segments.clear();
  }
  bool has_pictures() const { return has_pictures_; }
  bool has_segments() const { return has_segments_; }
  std::vector<DetailPicture> take() { return std::move(pictures_); }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override {
    if (wanted()) complain("has the negative ", in_quotes(key_), " ", value);
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (wanted()) number(value);
    return true;
  }
  bool number_float(number_float_t value, string_t const&) override {
    // Some writers make every number a float.
    if (!wanted()) return true;
    if (!(value >= 0 && value < 0x1p53) || value != static_cast<double>(static_cast<std::uint64_t>(value))) {
      complain("has the ", in_quotes(key_), " ", value, ", expected an integer");
    }
    number(static_cast<std::uint64_t>(value));
    return true;
  }
  bool string(string_t& value) override {
    switch (place()) {
      case Place::picture:
        if (key_ == "file_name") file_name_ = std::move(value);
        if (key_ == "phase") found_phase_ = std::move(value);
        if (key_ == "image_id") id_ = std::move(value);
        break;
      case Place::segment:
        if (key_ == "image_id") id_ = std::move(value);
        break;
      case Place::mask:
        if (key_ == "counts") counts_ = std::move(value);
        break;
      default:
        break;
    }
    return true;
  }
  bool binary(binary_t&) override { return true; }

  bool start_object(std::size_t) override {
    Place next = Place::elsewhere;
    if (places_.empty()) next = Place::root;
    else if (place() == Place::pictures) next = Place::picture;
    else if (place() == Place::segments) next = Place::segment;
    else if (place() == Place::segment && key_ == "segmentation") next = Place::mask;
    if (next == Place::picture || next == Place::segment) forget();
    places_.push_back(next);
    return true;
  }
  bool start_array(std::size_t) override {
    Place next = Place::elsewhere;
    if (place() == Place::root && key_ == "images") next = Place::pictures;
    else if (place() == Place::root && key_ == "annos_segmentation") next = Place::segments;
    else if (place() == Place::mask && key_ == "counts") next = Place::counts;
    else if (place() == Place::mask && key_ == "size") next = Place::size;
    if (place() == Place::segment && key_ == "segmentation") {
      complain("has a segment of polygons, expected run lengths, at the segment of picture ", in_quotes(id_));
    }
    if (next == Place::pictures) has_pictures_ = true;
    if (next == Place::segments) has_segments_ = true;
    if (next == Place::counts) runs_.emplace();
    places_.push_back(next);
    return true;
  }
  bool key(string_t& name) override {
    key_ = name;
    return true;
  }
  bool end_object() override {
    auto const ended = place();
    places_.pop_back();
    if (ended == Place::picture) end_picture();
    if (ended == Place::segment) end_segment();
    return true;
  }
  bool end_array() override {
    if (place() == Place::pictures) pictures_complete_ = true;
    places_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, std::string const&, nlohmann::json::exception const&) override {
    complain("is damaged JSON at byte ", position, ": download it again");
  }

 private:
  enum class Place : std::uint8_t { elsewhere, root, pictures, picture, segments, segment, mask, counts, size };

  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<FileError>(name_, " ", parts...);
  }
  Place place() const { return places_.empty() ? Place::elsewhere : places_.back(); }

  /// Whether a number here belongs to what is collected.
  bool wanted() const {
    switch (place()) {
      case Place::picture:
        return key_ == "height" || key_ == "width" || key_ == "image_id";
      case Place::segment:
        return key_ == "image_id" || key_ == "category_id";
      case Place::counts:
      case Place::size:
        return true;
      default:
        return false;
    }
  }

  void number(std::uint64_t value) {
    if (key_ == "image_id") {
      id_ = std::to_string(value);
    } else if (place() == Place::size) {
      size_.push_back(value);
      if (size_.size() > 2) complain("has a mask with more than two extents");
    } else {
      if (value > std::numeric_limits<std::uint32_t>::max()) complain("has the ", in_quotes(key_), " ", value);
      auto const small = static_cast<std::uint32_t>(value);
      if (place() == Place::counts) runs_->push_back(small);
      else if (key_ == "height") height_ = small;
      else if (key_ == "width") width_ = small;
      else category_ = small;
    }
  }

  void forget() {
    id_.clear();
    file_name_.clear();
    found_phase_.clear();
    height_ = width_ = 0;
    category_.reset();
    counts_.reset();
    runs_.reset();
    size_.clear();
  }

  void end_picture() {
    if (second_ || found_phase_ != phase_) return;
    if (id_.empty() || file_name_.empty() || height_ == 0 || width_ == 0) {
      complain("has a picture ", in_quotes(file_name_), " without image_id, file_name, height or width");
    }
    if (!index_.emplace(id_, pictures_.size()).second) complain("has two pictures of the image_id ", in_quotes(id_));
    pictures_.push_back({file_name_, height_, width_, {}});
  }

  void end_segment() {
    if (!pictures_complete_) {
      incomplete_ = true;
      return;
    }
    if (id_.empty()) complain("has a segment without image_id");
    auto const at = index_.find(id_);
    if (at == index_.end()) return;
    if (!category_) complain("has a segment of picture ", in_quotes(id_), " without category_id");
    if (size_.size() != 2 || (!counts_ && !runs_)) {
      complain("has a segment of picture ", in_quotes(id_), " without the size or the counts of its mask");
    }
    // As text a mask takes about a third of the memory of its numbers.
    auto counts = counts_ ? std::move(*counts_) : coco_rle_text(*runs_);
    counts.shrink_to_fit();
    pictures_[at->second].segments.push_back({*category_, size_[0], size_[1], std::move(counts)});
  }

  std::string name_;
  std::string_view phase_;
  std::vector<DetailPicture> pictures_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<Place> places_;
  std::string key_;
  bool pictures_complete_ = false, incomplete_ = false, second_ = false, has_pictures_ = false, has_segments_ = false;

  // What the picture or segment that is going by has said so far.
  std::string id_, file_name_, found_phase_;
  std::uint32_t height_ = 0, width_ = 0;
  std::optional<std::uint32_t> category_;
  std::optional<std::string> counts_;
  std::optional<std::vector<std::uint32_t>> runs_;
  std::vector<std::uint64_t> size_;
};

}  // namespace detail

/// The pictures of a phase ("train", "val") and their segments, out of the text of the JSON file of the Detail API
/// (trainval_merged.json of PASCAL Context). Memory holds the masks of that phase alone, as run lengths. `name` is what
/// messages call the file. Throws FileError if it is damaged or no such file, or has no picture of that phase.
inline std::vector<DetailPicture> parse_pascal_detail(std::span<std::byte const> bytes, std::string_view phase,
                                                      std::string_view name) {
  auto const* const text = reinterpret_cast<char const*>(bytes.data());
  detail::DetailCollector collector{std::string(name), phase};
  nlohmann::json::sax_parse(text, text + bytes.size(), &collector);
  require<FileError>(collector.has_pictures() && collector.has_segments(), name,
                     " has no lists 'images' and 'annos_segmentation', expected a file of the Detail API such as ",
                     "trainval_merged.json");
  if (collector.incomplete()) {
    collector.begin_again();
    nlohmann::json::sax_parse(text, text + bytes.size(), &collector);
  }
  auto pictures = collector.take();
  require<FileError>(!pictures.empty(), name, " has no picture of the phase ", detail::in_quotes(phase));
  return pictures;
}

/// The pictures of a phase of a file of the Detail API. Throws as parse_pascal_detail, or FileError if the file cannot
/// be read.
inline std::vector<DetailPicture> read_pascal_detail(std::filesystem::path const& path, std::string_view phase) {
  auto const file = MappedFile::open(path);
  return parse_pascal_detail(file->bytes(), phase, detail::shown(path));
}

}  // namespace kovos
