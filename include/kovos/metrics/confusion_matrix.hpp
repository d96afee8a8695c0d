// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"

namespace kovos {

namespace detail {

/// Throws DataError unless both maps have the same size and as many labels as that says.
inline void require_same_size(LabelMap const& prediction, LabelMap const& ground_truth) {
  require<DataError>(prediction.height == ground_truth.height && prediction.width == ground_truth.width,
                     "the prediction is ", prediction.height, " x ", prediction.width, " and the ground truth ",
                     ground_truth.height, " x ", ground_truth.width,
                     " (height x width): a picture is scored at the size of its ground truth");
  std::size_t const pixels = ground_truth.height * ground_truth.width;
  require<DataError>(prediction.labels.size() == pixels && ground_truth.labels.size() == pixels, "a label map of ",
                     ground_truth.height, " x ", ground_truth.width, " has ", prediction.labels.size(), " and ",
                     ground_truth.labels.size(), " labels, expected ", pixels);
}

/// The ground truth has a label that is no class at this pixel.
[[noreturn]] inline void fail_beyond_list(LabelMap const& ground_truth, std::size_t pixel, std::size_t classes) {
  fail<DataError>("the ground truth has the label ", ground_truth.labels[pixel], " at row ", pixel / ground_truth.width,
                  ", column ", pixel % ground_truth.width, ", expected 0 to ", classes - 1,
                  " or the ignored value: check that the labels belong to this list of classes");
}

/// Whether eight labels are the same.
inline bool all_equal_8(std::uint16_t const* labels) {
  std::uint64_t halves[2];
  std::memcpy(halves, labels, sizeof halves);
  return ((halves[0] ^ halves[1]) | (halves[0] ^ std::rotl(halves[0], 16))) == 0;
}

}  // namespace detail

/// Counts of pixels [classes, classes + 1]: row = class of the ground truth, column = predicted class. The last column
/// holds the pixels whose prediction is no class of the list, such as LabelMap::unknown.
class ConfusionMatrix {
 public:
  /// Throws ConfigError unless there are 1 to 65535 classes.
  explicit ConfusionMatrix(std::size_t classes) : classes_(classes) {
    require<ConfigError>(classes >= 1 && classes <= LabelMap::unknown, "a confusion matrix of ", classes,
                         " classes cannot be made: expected 1 to ", LabelMap::unknown);
    counts_.assign(classes * (classes + 1), 0);
  }

  std::size_t classes() const { return classes_; }

  /// Pixels of this class that were predicted as that one; prediction = classes() asks for those outside the list.
  std::int64_t operator()(std::size_t ground_truth, std::size_t prediction) const {
    return counts_[ground_truth * (classes_ + 1) + prediction];
  }

  /// Sets the count of one cell, for matrices that were counted elsewhere.
  std::int64_t& operator()(std::size_t ground_truth, std::size_t prediction) {
    return counts_[ground_truth * (classes_ + 1) + prediction];
  }

  /// All cells, row by row.
  std::span<std::int64_t const> counts() const { return counts_; }

  /// All pixels that were counted.
  std::int64_t pixels() const {
    std::int64_t sum = 0;
    for (auto const count : counts_) sum += count;
    return sum;
  }

  /// Counts the pixels of one picture, except those whose ground truth is LabelMap::unknown or `ignore`. Throws
  /// DataError, and counts nothing, if the sizes differ or the ground truth has a value that is no class.
  void add(LabelMap const& prediction, LabelMap const& ground_truth, std::optional<std::uint16_t> ignore = {}) {
    detail::require_same_size(prediction, ground_truth);
    std::size_t const pixels = ground_truth.labels.size();
    std::uint16_t const* const truth = ground_truth.labels.data();
    std::uint16_t const* const guess = prediction.labels.data();
    std::uint16_t const dropped = ignore.value_or(LabelMap::unknown);
    std::size_t const counted = count<1>(truth, guess, pixels, dropped);
    if (counted == pixels) return;
    count<-1>(truth, guess, counted, dropped);
    auto const is_bad = [&](std::uint16_t l) { return l >= classes_ && l != LabelMap::unknown && l != dropped; };
    auto const bad = std::find_if(ground_truth.labels.begin() + static_cast<std::ptrdiff_t>(counted),
                                  ground_truth.labels.end(), is_bad);
    detail::fail_beyond_list(ground_truth, static_cast<std::size_t>(bad - ground_truth.labels.begin()), classes_);
  }

  /// Adds the counts of another part of the data. Throws ShapeError if the classes differ in number.
  ConfusionMatrix& operator+=(ConfusionMatrix const& other) {
    require_extent("ConfusionMatrix", "number of classes", other.classes_, classes_);
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    return *this;
  }

  bool operator==(ConfusionMatrix const&) const = default;

 private:
  /// Adds Step for each pixel, in groups of eight; ends before the group that has a label beyond the list. -> pixels
  /// that were counted. A group of one pair of labels is one addition: pictures are mostly that, and additions to one
  /// cell one after another would each wait for the store before.
  template <std::int64_t Step>
  std::size_t count(std::uint16_t const* truth, std::uint16_t const* guess, std::size_t pixels, std::uint16_t dropped) {
    constexpr std::size_t group = 8;
    std::size_t const columns = classes_ + 1;
    std::int64_t* const counts = counts_.data();
    auto const cell = [&](std::size_t i) { return truth[i] * columns + std::min<std::size_t>(guess[i], classes_); };
    for (std::size_t begin = 0; begin < pixels; begin += group) {
      std::size_t const end = std::min(begin + group, pixels);
      if (end - begin == group && detail::all_equal_8(truth + begin) && detail::all_equal_8(guess + begin)) {
        std::uint16_t const label = truth[begin];
        if (label == dropped || label == LabelMap::unknown) continue;
        if (label >= classes_) return begin;
        counts[cell(begin)] += Step * static_cast<std::int64_t>(group);
        continue;
      }
      bool bad = false;
      for (std::size_t i = begin; i < end; ++i) {
        std::uint16_t const label = truth[i];
        bad |= label >= classes_ && label != dropped && label != LabelMap::unknown;
      }
      if (bad) return begin;
      // No branch on what is ignored: in a noisy picture it would be guessed wrongly.
      for (std::size_t i = begin; i < end; ++i) {
        bool const counted = truth[i] < classes_ && truth[i] != dropped;
        counts[counted ? cell(i) : 0] += counted ? Step : 0;
      }
    }
    return pixels;
  }

  std::size_t classes_;
  std::vector<std::int64_t> counts_;
};

}  // namespace kovos
