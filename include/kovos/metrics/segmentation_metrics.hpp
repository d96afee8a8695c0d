// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/metrics/confusion_matrix.hpp"

namespace kovos {

/// What a class without ground truth does to the mean IoU. With large vocabularies the two rules differ by points: name
/// the one that was used beside the number.
enum class AbsentClasses : std::uint8_t {
  left_out,          ///< detectron2 since July 2022: the mean is over the classes of the ground truth
  zero_if_predicted  ///< detectron2 before, mmsegmentation and MESS: one that was predicted nevertheless counts as 0
};

/// What pixels predicted as no class of the list do to the scores.
enum class OutsidePredictions : std::uint8_t {
  left_out,       ///< detectron2: as if their ground truth were ignored
  count_as_wrong  ///< mmsegmentation and MESS
};

struct MetricConventions {
  AbsentClasses absent_classes = AbsentClasses::left_out;
  OutsidePredictions outside_predictions = OutsidePredictions::left_out;
  bool operator==(MetricConventions const&) const = default;
};

/// SemSegEvaluator of detectron2 since July 2022, which is what CAT-Seg is scored with.
inline constexpr MetricConventions detectron2_conventions{AbsentClasses::left_out, OutsidePredictions::left_out};
/// The same up to v0.6: papers of 2021 and early 2022.
inline constexpr MetricConventions detectron2_v06_conventions{AbsentClasses::zero_if_predicted,
                                                              OutsidePredictions::left_out};
/// IoUMetric of mmsegmentation. It counts in fp32, so its own numbers are off beyond 2^24 pixels of a class.
inline constexpr MetricConventions mmsegmentation_conventions{AbsentClasses::zero_if_predicted,
                                                              OutsidePredictions::count_as_wrong};
/// The evaluator of the MESS benchmark.
inline constexpr MetricConventions mess_conventions = mmsegmentation_conventions;

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
  std::size_t averaged_classes = 0;  ///< those that mean_iou is the mean of, by the rule for absent ones
  /// Per class asked for, in that order; NaN for one without ground truth.
  std::vector<double> iou, accuracy;
};

/// One class, in pixels.
struct ClassCounts {
  std::int64_t ground_truth = 0, predicted = 0, correct = 0;

  /// NaN if the class is nowhere, 0 if it is only predicted; the others likewise NaN where they divide by 0.
  double iou() const { return share(correct, ground_truth + predicted - correct); }
  /// Also recall, and what segmentation calls the accuracy of a class.
  double accuracy() const { return share(correct, ground_truth); }
  double precision() const { return share(correct, predicted); }
  /// Also F1.
  double dice() const { return share(2 * correct, ground_truth + predicted); }

  bool operator==(ClassCounts const&) const = default;

 private:
  static double share(std::int64_t part, std::int64_t whole) {
    return whole == 0 ? std::numeric_limits<double>::quiet_NaN()
                      : static_cast<double>(part) / static_cast<double>(whole);
  }
};

/// What a table of all classes shows, in their order.
inline std::vector<ClassCounts> class_counts(ConfusionMatrix const& matrix,
                                             OutsidePredictions outside_predictions = OutsidePredictions::left_out) {
  std::size_t const classes = matrix.classes();
  std::vector<ClassCounts> counts(classes);
  for (std::size_t row = 0; row < classes; ++row) {
    for (std::size_t column = 0; column < classes; ++column) {
      counts[row].ground_truth += matrix(row, column);
      counts[column].predicted += matrix(row, column);
    }
    if (outside_predictions == OutsidePredictions::count_as_wrong) counts[row].ground_truth += matrix(row, classes);
    counts[row].correct = matrix(row, row);
  }
  return counts;
}

namespace detail {

/// Throws ConfigError for a class beyond the list or named twice.
inline void require_subset(std::span<std::size_t const> subset, std::size_t classes) {
  std::vector<bool> named(classes, false);
  for (std::size_t const c : subset) {
    require<ConfigError>(c < classes, "class ", c, " cannot be scored: there are ", classes, " classes");
    require<ConfigError>(!named[c], "class ", c, " is named twice in the classes to score");
    named[c] = true;
  }
}

inline std::vector<std::size_t> all_classes(std::size_t classes) {
  std::vector<std::size_t> all(classes);
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

}  // namespace detail

/// The scores averaged over some classes. IoU and accuracy of each are those of the whole matrix: a pixel confused with
/// a class that was not asked for is still wrong. Definitions: detectron2's SemSegEvaluator. Throws ConfigError for a
/// class beyond the matrix or named twice.
inline SegmentationMetrics segmentation_metrics(ConfusionMatrix const& matrix, std::span<std::size_t const> subset,
                                                MetricConventions conventions = {}) {
  detail::require_subset(subset, matrix.classes());
  auto const counts = class_counts(matrix, conventions.outside_predictions);
  SegmentationMetrics metrics;
  std::int64_t all = 0, right = 0;
  std::size_t zeros = 0;
  double iou_sum = 0, weighted_iou_sum = 0, accuracy_sum = 0;
  for (std::size_t const c : subset) {
    ClassCounts const& of = counts[c];
    bool const present = of.ground_truth > 0;
    metrics.iou.push_back(present ? of.iou() : std::numeric_limits<double>::quiet_NaN());
    metrics.accuracy.push_back(of.accuracy());
    if (present || (of.predicted > 0 && conventions.absent_classes == AbsentClasses::zero_if_predicted)) {
      ++metrics.averaged_classes;
      if (of.correct == 0) ++zeros;
    }
    if (!present) continue;
    iou_sum += of.iou();
    weighted_iou_sum += of.iou() * static_cast<double>(of.ground_truth);
    accuracy_sum += of.accuracy();
    all += of.ground_truth;
    right += of.correct;
    ++metrics.present_classes;
  }
  if (metrics.averaged_classes > 0) {
    auto const averaged = static_cast<double>(metrics.averaged_classes);
    metrics.mean_iou = iou_sum / averaged;
    metrics.zero_iou_share = static_cast<double>(zeros) / averaged;
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
  return segmentation_metrics(matrix, detail::all_classes(matrix.classes()), conventions);
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

/// What the MESS benchmark reports.
struct MessMetrics {
  SegmentationMetrics all, classes_of_interest;
  /// With two classes only: the accuracy of class 1 and of class 0, which MESS calls others or background.
  std::optional<double> sensitivity, specificity;
};

/// The scores by MESS' conventions; classes_of_interest.mean_iou is its CoI-mIoU. No class named means all of them.
/// Throws ConfigError as segmentation_metrics.
inline MessMetrics mess_metrics(ConfusionMatrix const& matrix, std::span<std::size_t const> classes_of_interest = {}) {
  MessMetrics metrics{segmentation_metrics(matrix, mess_conventions), {}, {}, {}};
  metrics.classes_of_interest =
      classes_of_interest.empty() ? metrics.all : segmentation_metrics(matrix, classes_of_interest, mess_conventions);
  if (matrix.classes() == 2) {
    metrics.specificity = metrics.all.accuracy[0];
    metrics.sensitivity = metrics.all.accuracy[1];
  }
  return metrics;
}

}  // namespace kovos
