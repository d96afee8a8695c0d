// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"

namespace kovos {

/// How far from its contour a pixel belongs to the boundary, in pixels: a share of the picture's diagonal, rounded half
/// to even, at least 1 (Cheng et al., Boundary IoU, 2021, whose share is 0.02). Throws ConfigError unless the share is
/// positive and finite.
inline std::size_t boundary_distance(std::size_t height, std::size_t width, double share_of_diagonal = 0.02) {
  require<ConfigError>(std::isfinite(share_of_diagonal) && share_of_diagonal > 0, "a boundary of ", share_of_diagonal,
                       " of the picture's diagonal cannot be drawn: expected a positive share, such as 0.02");
  double const h = static_cast<double>(height), w = static_cast<double>(width);
  // Nothing is farther than the longer side.
  double const longest = std::max(1.0, std::max(h, w));
  double const distance = std::nearbyint(std::min(share_of_diagonal * std::sqrt(h * h + w * w), longest));
  return static_cast<std::size_t>(std::max(1.0, distance));
}

/// For each pixel, 1 if the square of 2 distance + 1 around it holds another label or reaches beyond the picture: the
/// boundaries of the masks {labels == c} of all c at once. A mask less its erosion by that square is the same set.
/// -> [height * width]. Time grows with the pixels alone.
inline std::vector<std::uint8_t> boundary_pixels(LabelMap const& map, std::size_t distance) {
  std::size_t const height = map.height, width = map.width;
  require<DataError>(map.labels.size() == height * width, "a label map of ", height, " x ", width, " has ",
                     map.labels.size(), " labels, expected ", height * width);
  std::vector<std::uint8_t> boundary(height * width, 1);
  if (distance >= height || distance >= width) return boundary;
  // inner_rows[x]: rows, ending with this one, whose piece from x - distance to x + distance is of one and the same
  // label. The square is, once that many rows are.
  std::vector<std::uint32_t> inner_rows(width, 0);
  auto const needed = static_cast<std::uint32_t>(2 * distance + 1);
  for (std::size_t y = 0; y < height; ++y) {
    std::uint16_t const* const row = map.labels.data() + y * width;
    std::uint16_t const* const above = y == 0 ? row : row - width;
    for (std::size_t begin = 0; begin < width;) {
      std::uint16_t const label = row[begin];
      std::size_t end = begin + 1;
      while (end < width && row[end] == label) ++end;
      std::size_t const edge = std::min(begin + distance, end);
      std::size_t const inner_end = std::max(edge, end - std::min(end, distance));
      std::fill(inner_rows.begin() + static_cast<std::ptrdiff_t>(begin),
                inner_rows.begin() + static_cast<std::ptrdiff_t>(edge), 0u);
      for (std::size_t x = edge; x < inner_end; ++x) inner_rows[x] = above[x] == label ? inner_rows[x] + 1 : 1;
      std::fill(inner_rows.begin() + static_cast<std::ptrdiff_t>(inner_end),
                inner_rows.begin() + static_cast<std::ptrdiff_t>(end), 0u);
      begin = end;
    }
    if (y < 2 * distance) continue;
    std::uint8_t* const centre = boundary.data() + (y - distance) * width;
    for (std::size_t x = 0; x < width; ++x) centre[x] = inner_rows[x] < needed ? 1 : 0;
  }
  return boundary;
}

/// Pixels on boundaries, per class: of the ground truth, of the prediction, and of both. Boundaries are those of the
/// whole maps; pixels whose ground truth is ignored are then left out of all three.
class BoundaryCounts {
 public:
  /// Throws ConfigError unless there are 1 to 65535 classes and the share is positive.
  explicit BoundaryCounts(std::size_t classes, double share_of_diagonal = 0.02)
      : share_of_diagonal_(share_of_diagonal), ground_truth_(classes, 0), predicted_(classes, 0), both_(classes, 0) {
    require<ConfigError>(classes >= 1 && classes <= LabelMap::unknown, "boundaries of ", classes,
                         " classes cannot be counted: expected 1 to ", LabelMap::unknown);
    boundary_distance(1, 1, share_of_diagonal);
  }

  std::size_t classes() const { return both_.size(); }
  double share_of_diagonal() const { return share_of_diagonal_; }

  /// Per class, for this object and to set those that were counted elsewhere.
  std::span<std::int64_t const> ground_truth() const { return ground_truth_; }
  std::span<std::int64_t const> predicted() const { return predicted_; }
  std::span<std::int64_t const> both() const { return both_; }
  std::span<std::int64_t> ground_truth() { return ground_truth_; }
  std::span<std::int64_t> predicted() { return predicted_; }
  std::span<std::int64_t> both() { return both_; }

  /// Counts one picture, except pixels whose ground truth is LabelMap::unknown or `ignore`. Throws DataError, and
  /// counts nothing, as ConfusionMatrix::add.
  void add(LabelMap const& prediction, LabelMap const& ground_truth, std::optional<std::uint16_t> ignore = {}) {
    detail::require_same_size(prediction, ground_truth);
    std::size_t const classes = this->classes(), pixels = ground_truth.labels.size();
    std::uint16_t const dropped = ignore.value_or(LabelMap::unknown);
    auto const ignored = [&](std::uint16_t label) { return label == LabelMap::unknown || label == dropped; };
    for (std::size_t i = 0; i < pixels; ++i)
      if (ground_truth.labels[i] >= classes && !ignored(ground_truth.labels[i]))
        detail::fail_beyond_list(ground_truth, i, classes);
    std::size_t const distance = boundary_distance(ground_truth.height, ground_truth.width, share_of_diagonal_);
    auto const truth_boundary = boundary_pixels(ground_truth, distance);
    auto const guess_boundary = boundary_pixels(prediction, distance);
    for (std::size_t i = 0; i < pixels; ++i) {
      if ((truth_boundary[i] | guess_boundary[i]) == 0) continue;
      std::uint16_t const truth = ground_truth.labels[i], guess = prediction.labels[i];
      if (ignored(truth)) continue;
      ground_truth_[truth] += truth_boundary[i];
      if (guess >= classes) continue;
      predicted_[guess] += guess_boundary[i];
      both_[truth] += truth == guess ? truth_boundary[i] & guess_boundary[i] : 0;
    }
  }

  /// Adds the counts of another part of the data. Throws ShapeError if the classes differ in number, ConfigError if the
  /// boundaries are of another width.
  BoundaryCounts& operator+=(BoundaryCounts const& other) {
    require_extent("BoundaryCounts", "number of classes", other.classes(), classes());
    require<ConfigError>(share_of_diagonal_ == other.share_of_diagonal_, "boundaries of ", other.share_of_diagonal_,
                         " of the diagonal cannot be added to boundaries of ", share_of_diagonal_);
    for (std::size_t c = 0; c < classes(); ++c) {
      ground_truth_[c] += other.ground_truth_[c];
      predicted_[c] += other.predicted_[c];
      both_[c] += other.both_[c];
    }
    return *this;
  }

  bool operator==(BoundaryCounts const&) const = default;

 private:
  double share_of_diagonal_;
  std::vector<std::int64_t> ground_truth_, predicted_, both_;
};

/// Boundary IoU, from 0 to 1; NaN where there is nothing to divide by.
struct BoundaryIou {
  double mean = std::numeric_limits<double>::quiet_NaN();
  /// Per class asked for, in that order; NaN for one without ground truth.
  std::vector<double> iou;
};

/// The boundary IoU of each class over the whole data set, and its mean by the rule for mean IoU. Throws ConfigError
/// for a class beyond the counts or named twice.
inline BoundaryIou boundary_iou(BoundaryCounts const& counts, std::span<std::size_t const> subset,
                                AbsentClasses absent_classes = AbsentClasses::left_out) {
  detail::require_subset(subset, counts.classes());
  BoundaryIou result;
  std::size_t averaged = 0;
  double sum = 0;
  for (std::size_t const c : subset) {
    std::int64_t const truth = counts.ground_truth()[c], guess = counts.predicted()[c], both = counts.both()[c];
    // A class of the ground truth has a boundary: some pixel of it is its topmost one.
    bool const present = truth > 0;
    double const iou = static_cast<double>(both) / static_cast<double>(truth + guess - both);
    result.iou.push_back(present ? iou : std::numeric_limits<double>::quiet_NaN());
    if (present) sum += iou;
    if (present || (guess > 0 && absent_classes == AbsentClasses::zero_if_predicted)) ++averaged;
  }
  if (averaged > 0) result.mean = sum / static_cast<double>(averaged);
  return result;
}

/// The boundary IoU of all classes.
inline BoundaryIou boundary_iou(BoundaryCounts const& counts, AbsentClasses absent_classes = AbsentClasses::left_out) {
  return boundary_iou(counts, detail::all_classes(counts.classes()), absent_classes);
}

}  // namespace kovos
