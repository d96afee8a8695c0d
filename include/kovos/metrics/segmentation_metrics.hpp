// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/metrics/confusion_matrix.hpp"

namespace kovos {

/// What a class without ground truth does to the mean IoU.
enum class AbsentClasses : std::uint8_t {
  left_out,          ///< detectron2 since July 2022: the mean is over the classes of the ground truth
  zero_if_predicted  ///< before, and MESS: one that was predicted nevertheless counts as 0
};

/// What pixels predicted as no class of the list do to the scores.
enum class OutsidePredictions : std::uint8_t {
  left_out,       ///< detectron2: as if their ground truth were ignored
  count_as_wrong  ///< MESS
};

struct MetricConventions {
  AbsentClasses absent_classes = AbsentClasses::left_out;
  OutsidePredictions outside_predictions = OutsidePredictions::left_out;
};

/// The scores of a semantic segmentation, all from 0 to 1; NaN where there is nothing to divide by.
struct SegmentationMetrics {
  double mean_iou = std::numeric_limits<double>::quiet_NaN();
  double frequency_weighted_iou = std::numeric_limits<double>::quiet_NaN();
  double mean_accuracy = std::numeric_limits<double>::quiet_NaN();
  double pixel_accuracy = std::numeric_limits<double>::quiet_NaN();
  /// Classes of IoU 0, as a share of those that mean_iou averages.
  double zero_iou_share = std::numeric_limits<double>::quiet_NaN();
  /// Classes of the ground truth.
  std::size_t present_classes = 0;
  /// Per class asked for, in that order; NaN for one without ground truth.
  std::vector<double> iou, accuracy;
};

/// The scores averaged over some classes. IoU and accuracy of each are those of the whole matrix: a pixel confused with
/// a class that was not asked for is still wrong. Definitions: detectron2's SemSegEvaluator. Throws ConfigError for a
/// class beyond the matrix or named twice.
inline SegmentationMetrics segmentation_metrics(ConfusionMatrix const& matrix, std::span<std::size_t const> subset,
                                                MetricConventions conventions = {}) {
  std::size_t const classes = matrix.classes();
  bool const count_outside = conventions.outside_predictions == OutsidePredictions::count_as_wrong;
  std::vector<std::int64_t> predicted(classes, 0), truth(classes, 0);
  for (std::size_t row = 0; row < classes; ++row) {
    for (std::size_t column = 0; column < classes; ++column) {
      truth[row] += matrix(row, column);
      predicted[column] += matrix(row, column);
    }
    if (count_outside) truth[row] += matrix(row, classes);
  }

  SegmentationMetrics metrics;
  std::vector<bool> seen(classes, false);
  std::int64_t all = 0, right = 0;
  std::size_t averaged = 0, zeros = 0;
  double iou_sum = 0, weighted_iou_sum = 0, accuracy_sum = 0;
  for (std::size_t const c : subset) {
    require<ConfigError>(c < classes, "class ", c, " cannot be scored: the confusion matrix has ", classes, " classes");
    require<ConfigError>(!seen[c], "class ", c, " is named twice in the classes to score");
    seen[c] = true;
    if (truth[c] == 0) {
      metrics.iou.push_back(std::numeric_limits<double>::quiet_NaN());
      metrics.accuracy.push_back(std::numeric_limits<double>::quiet_NaN());
      if (predicted[c] > 0 && conventions.absent_classes == AbsentClasses::zero_if_predicted) {
        ++averaged;
        ++zeros;
      }
      continue;
    }
    double const hits = static_cast<double>(matrix(c, c)), pixels = static_cast<double>(truth[c]);
    double const iou = hits / static_cast<double>(truth[c] + predicted[c] - matrix(c, c));
    metrics.iou.push_back(iou);
    metrics.accuracy.push_back(hits / pixels);
    iou_sum += iou;
    weighted_iou_sum += iou * pixels;
    accuracy_sum += hits / pixels;
    all += truth[c];
    right += matrix(c, c);
    ++metrics.present_classes;
    ++averaged;
    if (matrix(c, c) == 0) ++zeros;
  }
  if (averaged > 0) {
    metrics.mean_iou = iou_sum / static_cast<double>(averaged);
    metrics.zero_iou_share = static_cast<double>(zeros) / static_cast<double>(averaged);
  }
  if (metrics.present_classes > 0) {
    metrics.frequency_weighted_iou = weighted_iou_sum / static_cast<double>(all);
    metrics.mean_accuracy = accuracy_sum / static_cast<double>(metrics.present_classes);
    metrics.pixel_accuracy = static_cast<double>(right) / static_cast<double>(all);
  }
  return metrics;
}

/// The scores over all classes.
inline SegmentationMetrics segmentation_metrics(ConfusionMatrix const& matrix, MetricConventions conventions = {}) {
  std::vector<std::size_t> all(matrix.classes());
  for (std::size_t c = 0; c < all.size(); ++c) all[c] = c;
  return segmentation_metrics(matrix, all, conventions);
}

/// 2 a b / (a + b); 0 if both are 0, NaN if one is.
inline double harmonic_mean(double a, double b) { return a + b == 0 ? 0 : 2 * a * b / (a + b); }

/// The scores over the classes a model was trained on and over the others.
struct SeenUnseenMetrics {
  SegmentationMetrics seen, unseen;
  double harmonic_mean_iou = std::numeric_limits<double>::quiet_NaN();
};

/// Splits the classes in those listed as seen and all others. Throws ConfigError as segmentation_metrics.
inline SeenUnseenMetrics seen_unseen_metrics(ConfusionMatrix const& matrix, std::span<std::size_t const> seen,
                                             MetricConventions conventions = {}) {
  std::vector<std::size_t> unseen;
  for (std::size_t c = 0; c < matrix.classes(); ++c)
    if (std::find(seen.begin(), seen.end(), c) == seen.end()) unseen.push_back(c);
  SeenUnseenMetrics metrics{segmentation_metrics(matrix, seen, conventions),
                            segmentation_metrics(matrix, unseen, conventions)};
  metrics.harmonic_mean_iou = harmonic_mean(metrics.seen.mean_iou, metrics.unseen.mean_iou);
  return metrics;
}

}  // namespace kovos
