// SPDX-License-Identifier: Apache-2.0
#include "kovos/metrics/confusion_matrix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "metrics/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;

TEST_CASE("pixels are counted by ground truth and prediction") {
  std::uint16_t const unknown = LabelMap::unknown;
  ConfusionMatrix matrix(3);
  matrix.add({2, 4, {0, 1, 2, 3, unknown, 0, 1, 2}}, {2, 4, {0, 0, 1, 2, 2, unknown, 7, 1}}, std::uint16_t{7});
  std::vector<std::int64_t> const expected = {1, 1, 0, 0,  //
                                              0, 0, 2, 0,  //
                                              0, 0, 0, 2};
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 4; ++column) CHECK(matrix(row, column) == expected[row * 4 + column]);
  CHECK(matrix.pixels() == 6);
}

TEST_CASE("an ignored value may be a class of the list") {
  ConfusionMatrix matrix(3);
  matrix.add({1, 3, {0, 1, 2}}, {1, 3, {0, 1, 2}}, std::uint16_t{1});
  CHECK(matrix.pixels() == 2);
  CHECK(matrix(1, 1) == 0);
}

TEST_CASE("parts add up to the whole") {
  auto const [truth, prediction] = test::label_maps(20, 30, 3);
  auto const [more_truth, more_prediction] = test::label_maps(11, 7, 4);
  ConfusionMatrix whole(7), first(7), second(7);
  whole.add(prediction, truth);
  whole.add(more_prediction, more_truth);
  first.add(prediction, truth);
  second.add(more_prediction, more_truth);
  CHECK_FALSE(first == whole);
  first += second;
  CHECK(first == whole);
  CHECK(contains(message_of<ShapeError>([&] { first += ConfusionMatrix(8); }), "number of classes is 8, expected 7"));
}

TEST_CASE("counts beyond 32 bits") {
  ConfusionMatrix matrix(2);
  matrix(1, 0) = std::int64_t{3} << 32;
  ConfusionMatrix const part = matrix;
  matrix += part;
  CHECK(matrix(1, 0) == std::int64_t{6} << 32);
  CHECK(matrix.pixels() == std::int64_t{6} << 32);
}

TEST_CASE("runs of every length and place are counted as one pixel after the other") {
  constexpr std::size_t classes = 5;
  for (std::size_t width = 1; width < 70; ++width) {
    LabelMap truth{3, width, {}}, prediction{3, width, {}};
    std::uint32_t state = static_cast<std::uint32_t>(width);
    auto const fill = [&](std::vector<std::uint16_t>& labels, std::vector<std::uint16_t> const& choices) {
      while (labels.size() < 3 * width) {
        state = state * 1664525u + 1013904223u;
        std::size_t const run = 1 + (state >> 16) % 20, choice = (state >> 24) % choices.size();
        labels.insert(labels.end(), std::min(run, 3 * width - labels.size()), choices[choice]);
      }
    };
    fill(truth.labels, {0, 1, 2, 3, 4, 77, LabelMap::unknown});
    fill(prediction.labels, {0, 1, 2, 3, 4, 5, 77, LabelMap::unknown});
    ConfusionMatrix matrix(classes), expected(classes);
    matrix.add(prediction, truth, std::uint16_t{77});
    for (std::size_t i = 0; i < 3 * width; ++i)
      if (truth.labels[i] < classes) ++expected(truth.labels[i], std::min<std::size_t>(prediction.labels[i], classes));
    CHECK(matrix == expected);
    CHECK(matrix.counts().size() == classes * (classes + 1));

    // One label beyond the list, anywhere: it is named, and nothing was counted.
    for (std::size_t const bad : {std::size_t{0}, width, 2 * width, 3 * width - 1}) {
      auto broken = truth;
      broken.labels[bad] = 6;
      auto const after = matrix;
      CHECK(contains(message_of<DataError>([&] { matrix.add(prediction, broken, std::uint16_t{77}); }),
                     "the label 6 at row " + std::to_string(bad / width) + ", column " + std::to_string(bad % width) +
                         ", expected 0 to 4"));
      CHECK(matrix == after);
    }
    // A whole group of them.
    LabelMap const all_bad{3, width, std::vector<std::uint16_t>(3 * width, 5)};
    CHECK(contains(message_of<DataError>([&] { matrix.add(all_bad, all_bad); }), "at row 0, column 0"));
    CHECK(matrix == expected);
  }
}

TEST_CASE("what cannot be counted leaves the matrix as it was") {
  ConfusionMatrix matrix(3);
  auto const refusal = [&](LabelMap const& prediction, LabelMap const& truth) {
    return message_of<DataError>([&] { matrix.add(prediction, truth); });
  };
  CHECK(contains(refusal({1, 2, {0, 0}}, {2, 1, {0, 0}}), "the prediction is 1 x 2 and the ground truth 2 x 1"));
  CHECK(contains(refusal({1, 2, {0, 0}}, {1, 2, {0, 3}}),
                 "the ground truth has the label 3 at row 0, column 1, expected 0 to 2"));
  CHECK(contains(refusal({1, 2, {0}}, {1, 2, {0, 0}}), "has 1 and 2 labels, expected 2"));
  CHECK(matrix.pixels() == 0);
  CHECK(contains(message_of<ConfigError>([] { ConfusionMatrix(0); }), "expected 1 to 65535"));
  CHECK(contains(message_of<ConfigError>([] { ConfusionMatrix(65536); }), "65536 classes cannot be made"));
}
