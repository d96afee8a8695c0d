// SPDX-License-Identifier: Apache-2.0
// What detectron2, MESS, mmsegmentation and boundary-iou-api say: tests/data/metrics/evaluators.json, by
// tests/reference/evaluator_reference.py.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kovos/metrics/boundary_iou.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"
#include "metrics/support.hpp"

using namespace kovos;
using nlohmann::json;
using test::contains;
using test::message_of;

namespace {

json const& evaluators() {
  static json const record = json::parse(std::ifstream(KOVOS_TEST_DATA "/metrics/evaluators.json"));
  return record;
}

/// Ground truth and prediction as the reference draws them; a prediction of `classes` is none of the list.
std::pair<LabelMap, LabelMap> pictures(std::size_t classes, json const& size, std::vector<std::size_t> const& absent,
                                       std::uint16_t ignore) {
  std::size_t const height = size[0], width = size[1], cell = size[2], noise = size[3];
  std::uint32_t state = size[4];
  auto const draw = [&](std::size_t n) {
    state = state * 1664525u + 1013904223u;
    return static_cast<std::uint16_t>((state >> 16) % n);
  };
  std::size_t const columns = width / cell + 1;
  std::vector<std::uint16_t> blocks((height / cell + 1) * columns);
  for (auto& block : blocks) block = draw(classes);
  LabelMap truth{height, width, {}}, prediction{height, width, {}};
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      std::uint16_t const label = blocks[y / cell * columns + x / cell];
      bool const is_absent = std::find(absent.begin(), absent.end(), label) != absent.end();
      truth.labels.push_back(draw(11) == 0 || is_absent ? ignore : label);
      prediction.labels.push_back(draw(100) < noise ? draw(classes + 1) : label);
    }
  return {truth, prediction};
}

double number(json const& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

bool same(double found, json const& expected, double scale, double tolerance) {
  double const e = number(expected) / scale;
  return std::isnan(e) ? std::isnan(found) : std::abs(found - e) <= tolerance;
}

bool same(std::vector<double> const& found, json const& expected, double scale, double tolerance) {
  bool equal = found.size() == expected.size();
  for (std::size_t c = 0; equal && c < found.size(); ++c) equal = same(found[c], expected[c], scale, tolerance);
  return equal;
}

void check_detectron2(SegmentationMetrics const& metrics, json const& expected) {
  constexpr double percent = 100, tolerance = 1e-14;
  CHECK(same(metrics.mean_iou, expected["mIoU"], percent, tolerance));
  CHECK(same(metrics.frequency_weighted_iou, expected["fwIoU"], percent, tolerance));
  CHECK(same(metrics.mean_accuracy, expected["mACC"], percent, tolerance));
  CHECK(same(metrics.pixel_accuracy, expected["pACC"], percent, tolerance));
  if (!expected.contains("IoU")) return;
  CHECK(same(metrics.iou, expected["IoU"], percent, tolerance));
  CHECK(same(metrics.accuracy, expected["ACC"], percent, tolerance));
}

std::vector<std::int64_t> values(std::span<std::int64_t const> counts) { return {counts.begin(), counts.end()}; }

}  // namespace

TEST_CASE("equal to detectron2 now and before July 2022, to MESS, mmsegmentation and boundary-iou-api") {
  CHECK(evaluators()["cases"].size() == 4);
  for (auto const& c : evaluators()["cases"]) {
    CAPTURE(c["name"].get<std::string>());
    std::size_t const classes = c["classes"];
    std::uint16_t const ignore = c["ignore"];
    auto const absent = c["absent"].get<std::vector<std::size_t>>();
    ConfusionMatrix matrix(classes);
    BoundaryCounts boundary(classes);
    for (auto const& size : c["pictures"]) {
      auto const [truth, prediction] = pictures(classes, size, absent, ignore);
      matrix.add(prediction, truth, ignore);
      boundary.add(prediction, truth, ignore);
    }
    if (!c["confusion"].is_null())
      for (std::size_t row = 0; row < classes; ++row)
        for (std::size_t column = 0; column < classes; ++column)
          CHECK(matrix(row, column) == c["confusion"][row][column].get<std::int64_t>());

    check_detectron2(segmentation_metrics(matrix, detectron2_conventions), c["detectron2"]);
    check_detectron2(segmentation_metrics(matrix, detectron2_v06_conventions), c["detectron2_before_f3c1bc19"]);

    auto const& mess = c["mess"];
    auto const of_interest = mess["classes_of_interest"].get<std::vector<std::size_t>>();
    auto const found = mess_metrics(matrix, of_interest);
    check_detectron2(found.all, mess);
    CHECK(same(found.classes_of_interest.mean_iou, mess["CoI-mIoU"], 100, 1e-14));
    CHECK(same(found.classes_of_interest.mean_accuracy, mess["CoI-mACC"], 100, 1e-14));
    CHECK(found.sensitivity.has_value() == (classes == 2));
    CHECK(found.specificity.has_value() == (classes == 2));
    if (classes == 2) {
      CHECK(same(*found.sensitivity, mess["Sensitivity"], 100, 1e-14));
      CHECK(same(*found.specificity, mess["Specificity"], 100, 1e-14));
    }
    CHECK(same(mess_metrics(matrix).classes_of_interest.mean_iou, mess["mIoU"], 100, 1e-14));

    // mmsegmentation divides in fp32.
    constexpr double tolerance = 2e-7;
    auto const& mmseg = c["mmsegmentation"];
    auto const theirs = segmentation_metrics(matrix, mmsegmentation_conventions);
    CHECK(same(theirs.mean_iou, mmseg["mIoU"], 1, tolerance));
    CHECK(same(theirs.mean_accuracy, mmseg["mAcc"], 1, tolerance));
    CHECK(same(theirs.pixel_accuracy, mmseg["aAcc"], 1, tolerance));
    std::vector<double> iou, accuracy, dice, precision;
    for (auto const& of : class_counts(matrix, OutsidePredictions::count_as_wrong)) {
      iou.push_back(of.iou());
      accuracy.push_back(of.accuracy());
      dice.push_back(of.dice());
      precision.push_back(of.precision());
    }
    CHECK(same(iou, mmseg["IoU"], 1, tolerance));
    CHECK(same(accuracy, mmseg["Acc"], 1, tolerance));
    CHECK(same(dice, mmseg["Dice"], 1, tolerance));
    CHECK(same(precision, mmseg["Precision"], 1, tolerance));

    using Counts = std::vector<std::int64_t>;
    CHECK(values(boundary.ground_truth()) == c["boundary"]["ground_truth"].get<Counts>());
    CHECK(values(boundary.predicted()) == c["boundary"]["predicted"].get<Counts>());
    CHECK(values(boundary.both()) == c["boundary"]["both"].get<Counts>());
  }
}

TEST_CASE("boundaries are those of boundary-iou-api, pixel by pixel") {
  CHECK(evaluators()["boundaries"].size() == 9);
  for (auto const& c : evaluators()["boundaries"]) {
    std::size_t const height = c["height"], width = c["width"];
    CAPTURE(height);
    CAPTURE(width);
    auto const labels = pictures(3, {height, width, c["cell"], c["noise"], c["seed"]}, {}, 255).second;
    std::vector<std::uint8_t> expected;
    std::uint8_t value = 0;
    for (auto const& run : c["runs"]) {
      expected.insert(expected.end(), run.get<std::size_t>(), value);
      value = value == 0 ? 1 : 0;
    }
    CHECK(boundary_pixels(labels, boundary_distance(height, width)) == expected);
  }
}

TEST_CASE("a pixel is on a boundary if its square is not of one label") {
  for (std::uint32_t seed = 1; seed < 40; ++seed) {
    std::size_t const height = 1 + seed * 7 % 23, width = 1 + seed * 5 % 29, distance = 1 + seed % 4;
    auto const labels = pictures(2, {height, width, 4 + seed % 9, seed % 3, seed}, {}, 255).second;
    auto const found = boundary_pixels(labels, distance);
    bool equal = true;
    auto const d = static_cast<std::ptrdiff_t>(distance);
    auto const inside = [&](std::ptrdiff_t y, std::ptrdiff_t x) {
      return y >= 0 && x >= 0 && y < static_cast<std::ptrdiff_t>(height) && x < static_cast<std::ptrdiff_t>(width);
    };
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        bool whole = true;
        for (std::ptrdiff_t v = -d; v <= d; ++v)
          for (std::ptrdiff_t u = -d; u <= d; ++u) {
            auto const yy = static_cast<std::ptrdiff_t>(y) + v, xx = static_cast<std::ptrdiff_t>(x) + u;
            whole = whole && inside(yy, xx) &&
                    labels(static_cast<std::size_t>(yy), static_cast<std::size_t>(xx)) == labels(y, x);
          }
        equal = equal && found[y * width + x] == (whole ? 0 : 1);
      }
    CAPTURE(seed);
    CHECK(equal);
  }
}

TEST_CASE("the width of a boundary") {
  CHECK(boundary_distance(1, 1) == 1);
  CHECK(boundary_distance(75, 100) == 2);   // 2.5 is rounded to even
  CHECK(boundary_distance(105, 140) == 4);  // 3.5 as well
  CHECK(boundary_distance(480, 640) == 16);
  CHECK(boundary_distance(480, 640, 0.005) == 4);
  CHECK(boundary_distance(3, 4, 1e300) == 4);
  for (double const share : {0., -0.1, std::nan(""), std::numeric_limits<double>::infinity()})
    CHECK(contains(message_of<ConfigError>([&] { boundary_distance(4, 4, share); }), "expected a positive share"));
}

TEST_CASE("boundary IoU: means by both rules, parts, refusals") {
  BoundaryCounts counts(4);
  auto const set = [&](std::size_t c, std::int64_t truth, std::int64_t guess, std::int64_t both) {
    counts.ground_truth()[c] = truth;
    counts.predicted()[c] = guess;
    counts.both()[c] = both;
  };
  set(0, 10, 10, 5);  // 1/3
  set(1, 4, 0, 0);    // 0
  set(2, 0, 7, 0);    // only predicted
  auto const now = boundary_iou(counts), before = boundary_iou(counts, AbsentClasses::zero_if_predicted);
  CHECK(now.mean == doctest::Approx(1. / 6));
  CHECK(before.mean == doctest::Approx(1. / 9));
  CHECK(now.iou[0] == doctest::Approx(1. / 3));
  CHECK(now.iou[1] == 0);
  CHECK(std::isnan(now.iou[2]));
  CHECK(std::isnan(now.iou[3]));
  std::vector<std::size_t> const some = {0}, beyond = {4}, twice = {1, 1};
  CHECK(boundary_iou(counts, some).mean == doctest::Approx(1. / 3));
  CHECK(contains(message_of<ConfigError>([&] { boundary_iou(counts, beyond); }), "class 4 cannot be scored"));
  CHECK(contains(message_of<ConfigError>([&] { boundary_iou(counts, twice); }), "class 1 is named twice"));
  CHECK(std::isnan(boundary_iou(BoundaryCounts(2)).mean));

  auto const [truth, prediction] = test::label_maps(20, 30, 3);
  auto const [more_truth, more_prediction] = test::label_maps(11, 7, 4);
  BoundaryCounts whole(7), first(7), second(7);
  whole.add(prediction, truth);
  whole.add(more_prediction, more_truth);
  first.add(prediction, truth);
  second.add(more_prediction, more_truth);
  CHECK_FALSE(first == whole);
  first += second;
  CHECK(first == whole);
  CHECK(contains(message_of<ShapeError>([&] { first += BoundaryCounts(8); }), "number of classes is 8, expected 7"));
  CHECK(contains(message_of<ConfigError>([&] { first += BoundaryCounts(7, 0.1); }), "cannot be added to boundaries"));
  CHECK(contains(message_of<ConfigError>([&] { BoundaryCounts(0); }), "expected 1 to 65535"));
  CHECK(contains(message_of<ConfigError>([&] { BoundaryCounts(3, 0); }), "expected a positive share"));

  auto const before_error = first;
  CHECK(contains(message_of<DataError>([&] {
                   first.add({2, 2, {0, 0, 0, 0}}, {2, 2, {0, 0, 0, 9}});
                 }),
                 "has the label 9 at row 1, column 1, expected 0 to 6"));
  CHECK(contains(message_of<DataError>([&] { first.add({1, 2, {0, 0}}, {2, 1, {0, 0}}); }), "the prediction is 1 x 2"));
  CHECK(contains(message_of<DataError>([&] { boundary_pixels({2, 2, {0}}, 1); }), "has 1 labels, expected 4"));
  CHECK(first == before_error);
  // An ignored value may be a class of the list; boundaries run along it all the same.
  BoundaryCounts ignoring(2);
  ignoring.add({1, 4, {0, 0, 1, 1}}, {1, 4, {0, 0, 1, 1}}, std::uint16_t{1});
  CHECK(values(ignoring.ground_truth()) == std::vector<std::int64_t>{2, 0});
  CHECK(values(ignoring.predicted()) == std::vector<std::int64_t>{2, 0});
}
