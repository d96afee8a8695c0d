// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"

namespace kovos {

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

  /// All pixels that were counted.
  std::int64_t pixels() const {
    std::int64_t sum = 0;
    for (auto const count : counts_) sum += count;
    return sum;
  }

  /// Counts the pixels of one picture, except those whose ground truth is LabelMap::unknown or `ignore`. Throws
  /// DataError, and counts nothing, if the sizes differ or the ground truth has a value that is no class.
  void add(LabelMap const& prediction, LabelMap const& ground_truth, std::optional<std::uint16_t> ignore = {}) {
    require<DataError>(prediction.height == ground_truth.height && prediction.width == ground_truth.width,
                       "the prediction is ", prediction.height, " x ", prediction.width, " and the ground truth ",
                       ground_truth.height, " x ", ground_truth.width,
                       " (height x width): a picture is scored at the size of its ground truth");
    std::size_t const pixels = ground_truth.height * ground_truth.width;
    require<DataError>(prediction.labels.size() == pixels && ground_truth.labels.size() == pixels, "a label map of ",
                       ground_truth.height, " x ", ground_truth.width, " has ", prediction.labels.size(), " and ",
                       ground_truth.labels.size(), " labels, expected ", pixels);
    auto const ignored = [&](std::uint16_t label) { return label == LabelMap::unknown || label == ignore; };
    auto const bad = std::find_if(ground_truth.labels.begin(), ground_truth.labels.end(),
                                  [&](std::uint16_t label) { return !ignored(label) && label >= classes_; });
    require<DataError>(bad == ground_truth.labels.end(), "the ground truth has the label ",
                       bad == ground_truth.labels.end() ? 0 : *bad, ", expected 0 to ", classes_ - 1,
                       " or the ignored value: check that the labels belong to this list of classes");
    for (std::size_t i = 0; i < pixels; ++i) {
      std::uint16_t const label = ground_truth.labels[i];
      if (!ignored(label)) ++(*this)(label, std::min<std::size_t>(prediction.labels[i], classes_));
    }
  }

  /// Adds the counts of another part of the data. Throws ShapeError if the classes differ in number.
  ConfusionMatrix& operator+=(ConfusionMatrix const& other) {
    require_extent("ConfusionMatrix", "number of classes", other.classes_, classes_);
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    return *this;
  }

  bool operator==(ConfusionMatrix const&) const = default;

 private:
  std::size_t classes_;
  std::vector<std::int64_t> counts_;
};

}  // namespace kovos
