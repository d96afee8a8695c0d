// SPDX-License-Identifier: Apache-2.0
#include "kovos/metrics/segmentation_metrics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "metrics/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;

namespace {

constexpr double absent = std::numeric_limits<double>::quiet_NaN();

bool same(double a, double b) { return std::isnan(b) ? std::isnan(a) : std::abs(a - b) < 1e-14; }

bool same(std::vector<double> const& a, std::vector<double> const& b) {
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; equal && i < a.size(); ++i) equal = same(a[i], b[i]);
  return equal;
}

/// One line of the reference: mean IoU, frequency-weighted IoU, mean accuracy, pixel accuracy, share of zeros.
void check(SegmentationMetrics const& metrics, std::vector<double> const& expected, std::size_t present) {
  CHECK(same({metrics.mean_iou, metrics.frequency_weighted_iou, metrics.mean_accuracy, metrics.pixel_accuracy,
              metrics.zero_iou_share},
             expected));
  CHECK(metrics.present_classes == present);
}

ConfusionMatrix reference_matrix() {
  auto const [truth, prediction] = test::label_maps(23, 31, 5);
  ConfusionMatrix matrix(7);
  matrix.add(prediction, truth);
  return matrix;
}

constexpr MetricConventions current{}, old{AbsentClasses::zero_if_predicted, OutsidePredictions::left_out},
    strict{AbsentClasses::left_out, OutsidePredictions::count_as_wrong},
    mess{AbsentClasses::zero_if_predicted, OutsidePredictions::count_as_wrong};

}  // namespace

// The numbers are those of tests/reference/metrics_reference.py.
TEST_CASE("all classes: detectron2's rules, the older ones, and MESS") {
  auto const matrix = reference_matrix();
  CHECK(matrix(4, 1) == 23);
  CHECK(matrix(4, 7) == 29);
  auto const metrics = segmentation_metrics(matrix);
  check(metrics, {0.41274336785359617, 0.42240260215579745, 0.5756722464812446, 0.589041095890411, 0.2}, 5);
  CHECK(same(metrics.iou,
             {0.5220125786163522, 0.5266666666666666, 0.44360902255639095, 0.5714285714285714, 0, absent, absent}));
  CHECK(same(metrics.accuracy,
             {0.7280701754385965, 0.7383177570093458, 0.6276595744680851, 0.7843137254901961, 0, absent, absent}));
  check(segmentation_metrics(matrix, old),
        {0.3439528065446635, 0.42240260215579745, 0.5756722464812446, 0.589041095890411, 1. / 3}, 5);
  auto const with_outside = segmentation_metrics(matrix, strict);
  check(with_outside, {0.3813612901300871, 0.3780162984903951, 0.5163989032410086, 0.5119047619047619, 0.2}, 5);
  CHECK(
      same(with_outside.iou, {0.4853801169590643, 0.49375, 0.4013605442176871, 0.5263157894736842, 0, absent, absent}));
  CHECK(same(with_outside.accuracy,
             {0.6587301587301587, 0.6752136752136753, 0.5462962962962963, 0.7017543859649122, 0, absent, absent}));
  check(segmentation_metrics(matrix, mess),
        {0.31780107510840594, 0.3780162984903951, 0.5163989032410086, 0.5119047619047619, 1. / 3}, 5);
}

TEST_CASE("seen and unseen classes") {
  auto const matrix = reference_matrix();
  std::vector<std::size_t> const seen = {0, 2, 5};
  auto const metrics = seen_unseen_metrics(matrix, seen);
  check(metrics.seen, {0.4828108005863716, 0.4865802023200236, 0.6778648749533408, 0.6826923076923077, 0}, 2);
  check(metrics.unseen, {0.366031746031746, 0.3783466918120383, 0.5075438274998473, 0.5247524752475248, 1. / 3}, 3);
  CHECK(same(metrics.seen.iou, {0.5220125786163522, 0.44360902255639095, absent}));
  CHECK(same(metrics.unseen.accuracy, {0.7383177570093458, 0.7843137254901961, 0, absent}));
  CHECK(same(metrics.harmonic_mean_iou, 0.41638836565321324));
  auto const other = seen_unseen_metrics(matrix, seen, mess);
  check(other.seen, {0.29558022039225046, 0.44660185261689017, 0.6025132275132274, 0.6068376068376068, 1. / 3}, 2);
  check(other.unseen, {0.3400219298245614, 0.3326800847457627, 0.4589893537261958, 0.4491525423728814, 1. / 3}, 3);

  // Nothing seen: all the rest is unseen, and there is no mean of both.
  auto const none = seen_unseen_metrics(matrix, {});
  CHECK(same(none.unseen.mean_iou, segmentation_metrics(matrix).mean_iou));
  CHECK(std::isnan(none.seen.mean_iou));
  CHECK(std::isnan(none.harmonic_mean_iou));
  CHECK(harmonic_mean(0, 0) == 0);
  CHECK(same(harmonic_mean(0.2, 0.6), 0.3));
}

TEST_CASE("the worked example of detectron2's evaluator, old and new") {
  // Rows are predictions there; the last column holds what is ignored and so is not counted here at all.
  std::int64_t const by_prediction[4][4] = {{50, 2, 0, 0}, {3, 40, 1, 0}, {0, 4, 0, 0}, {2, 0, 6, 0}};
  ConfusionMatrix matrix(4);
  for (std::size_t p = 0; p < 4; ++p)
    for (std::size_t t = 0; t < 4; ++t) matrix(t, p) = by_prediction[p][t];
  auto const metrics = segmentation_metrics(matrix);
  CHECK(100 * metrics.mean_iou == doctest::Approx(55.906433).epsilon(2e-8));
  CHECK(100 * metrics.frequency_weighted_iou == doctest::Approx(78.745939).epsilon(2e-8));
  CHECK(100 * metrics.mean_accuracy == doctest::Approx(59.288538).epsilon(2e-8));
  CHECK(100 * metrics.pixel_accuracy == doctest::Approx(83.333333).epsilon(2e-8));
  CHECK(100 * segmentation_metrics(matrix, old).mean_iou == doctest::Approx(41.929825).epsilon(2e-8));
}

TEST_CASE("nothing was counted") {
  ConfusionMatrix matrix(3);
  matrix.add({1, 2, {0, 1}}, {1, 2, {LabelMap::unknown, LabelMap::unknown}});
  for (auto const& conventions : {current, old, strict, mess}) {
    auto const metrics = segmentation_metrics(matrix, conventions);
    check(metrics, {absent, absent, absent, absent, absent}, 0);
    CHECK(same(metrics.iou, {absent, absent, absent}));
    CHECK(same(metrics.accuracy, {absent, absent, absent}));
  }
}

TEST_CASE("only predictions outside the list") {
  ConfusionMatrix matrix(2);
  matrix.add({1, 2, {2, LabelMap::unknown}}, {1, 2, {0, 0}});
  CHECK(std::isnan(segmentation_metrics(matrix).mean_iou));
  auto const wrong = segmentation_metrics(matrix, strict);
  CHECK(wrong.mean_iou == 0);
  CHECK(wrong.pixel_accuracy == 0);
  CHECK(wrong.zero_iou_share == 1);
}

TEST_CASE("classes that cannot be scored") {
  ConfusionMatrix const matrix(3);
  std::vector<std::size_t> const beyond = {0, 3}, twice = {1, 1};
  CHECK(contains(message_of<ConfigError>([&] { segmentation_metrics(matrix, beyond); }),
                 "class 3 cannot be scored: there are 3 classes"));
  CHECK(contains(message_of<ConfigError>([&] { seen_unseen_metrics(matrix, twice); }), "class 1 is named twice"));
}
