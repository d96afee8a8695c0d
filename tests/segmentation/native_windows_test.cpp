// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kovos/kernels/resample.hpp"
#include "kovos/kernels/resample_part.hpp"
#include "kovos/segmentation/native_windows.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using Memory = Context<>::memory_space;

struct FakeWords {
  std::vector<std::string> names;
};

/// Scores on a grid of 6 x 5 that depend on where the window's pixels are bright, by a rule of its own for each class.
struct FakeModel {
  Context<> own{};
  Context<> const& context() const { return own; }
  DynamicTensor<float, 4, Memory> grid_scores(Image const& picture, FakeWords const& words,
                                              SegmentOptions const& options, StageTimes*) const {
    CHECK(options.window == WindowMode::whole);
    std::size_t const classes = words.names.size();
    DynamicTensor<float, 4> const scores(dynamic_extents<4>(classes, 6, 5, 1));
    for (std::size_t t = 0; t < classes; ++t)
      for (std::size_t y = 0; y < 6; ++y)
        for (std::size_t x = 0; x < 5; ++x) {
          std::uint8_t const* const p = picture.row(y * picture.height / 6) + 3 * (x * picture.width / 5);
          scores.data()[(t * 6 + y) * 5 + x] =
              0.5f + 0.5f * static_cast<float>(std::sin(0.1 * p[0] + 1.7 * static_cast<double>(t) + 0.05 * p[1]));
        }
    return to_device(own, scores);
  }
};

Image made_picture(std::size_t height, std::size_t width) {
  Image image{height, width, std::vector<std::uint8_t>(height * width * 3)};
  std::uint32_t state = 7;
  for (auto& value : image.pixels) value = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  return image;
}

Image part_of(Image const& image, std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
  REQUIRE(top + height <= image.height);
  REQUIRE(left + width <= image.width);
  Image part{height, width, std::vector<std::uint8_t>(height * width * 3)};
  for (std::size_t y = 0; y < height; ++y) std::copy_n(image.row(top + y) + 3 * left, width * 3, part.row(y));
  return part;
}

/// The same by the book, everything in memory: MMSegmentation's slide_inference.
struct Reference {
  std::vector<double> scores;  // [T, H, W]
  std::size_t windows = 0;
};
Reference by_the_book(FakeModel const& model, Image const& image, FakeWords const& words, std::size_t window,
                      std::size_t stride) {
  std::size_t const h = image.height, w = image.width, classes = words.names.size();
  Reference result{std::vector<double>(classes * h * w), 0};
  std::vector<int> count(h * w);
  auto const grids = [&](std::size_t extent) {
    return (extent + stride > window + 1 ? (extent + stride - window - 1) / stride : 0) + 1;
  };
  SegmentOptions options;
  options.window = WindowMode::whole;
  for (std::size_t i = 0; i < grids(h); ++i)
    for (std::size_t j = 0; j < grids(w); ++j) {
      std::size_t const y2 = std::min(i * stride + window, h), x2 = std::min(j * stride + window, w);
      std::size_t const y1 = y2 > window ? y2 - window : 0, x1 = x2 > window ? x2 - window : 0;
      auto const maps = test::on_host(resize_bilinear(
          model.own, model.grid_scores(part_of(image, y1, x1, y2 - y1, x2 - x1), words, options, nullptr), y2 - y1,
          x2 - x1));
      ++result.windows;
      for (std::size_t y = y1; y < y2; ++y)
        for (std::size_t x = x1; x < x2; ++x) {
          ++count[y * w + x];
          for (std::size_t t = 0; t < classes; ++t)
            result.scores[(t * h + y) * w + x] +=
                static_cast<double>(maps.data()[(t * (y2 - y1) + y - y1) * (x2 - x1) + x - x1]);
        }
    }
  for (std::size_t i = 0; i < result.scores.size(); ++i) result.scores[i] /= count[i % (h * w)];
  return result;
}

struct Run {
  LabelMap labels;
  NativeSegmentation told;
  std::size_t largest_read = 0;
};
Run run(FakeModel const& model, Image const& image, FakeWords const& words, NativeWindows const& native,
        SegmentOptions const& options = {}) {
  Run result;
  result.labels = {image.height, image.width, std::vector<std::uint16_t>(image.height * image.width, 60000)};
  std::size_t last = 0, expected = 0;
  result.told = segment_native(
      model,
      PictureParts{image.height, image.width,
                   [&](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
                     result.largest_read = std::max(result.largest_read, height * width);
                     return part_of(image, top, left, height, width);
                   }},
      words, options, native,
      [&](std::size_t top, std::size_t left, LabelMap const& block) {
        CHECK(top % native.block == 0);
        CHECK(left % native.block == 0);
        for (std::size_t y = 0; y < block.height; ++y)
          for (std::size_t x = 0; x < block.width; ++x) {
            auto& label = result.labels(top + y, left + x);
            REQUIRE(label == 60000);  // each pixel comes once
            label = block(y, x);
          }
      },
      [&](std::size_t done, std::size_t all) {
        CHECK(done == last + 1);
        last = done;
        expected = all;
      });
  CHECK(last == result.told.windows);
  CHECK(expected == last);
  return result;
}

}  // namespace

TEST_CASE("windows stand where MMSegmentation puts them") {
  using Starts = std::vector<std::size_t>;
  CHECK(window_starts(1000, 384, 256) == Starts{0, 256, 512, 616});
  CHECK(window_starts(384, 384, 192) == Starts{0});
  CHECK(window_starts(100, 384, 192) == Starts{0});
  CHECK(window_starts(385, 384, 192) == Starts{0, 1});
  CHECK(window_starts(768, 384, 384) == Starts{0, 384});
  NativeWindows native;
  native.window = 100;
  native.overlap = 0.3;
  CHECK(native.stride() == 70);
}

TEST_CASE("a part of resized maps is that part of the resized maps") {
  Context<> const context;
  DynamicTensor<float, 4> const waves(dynamic_extents<4>(2, 7, 9, 1));
  for (std::size_t i = 0; i < waves.size(); ++i)
    waves.data()[i] = static_cast<float>(std::sin(3.0 * static_cast<double>(i)));
  auto const maps = to_device(context, waves);
  for (auto const& [height, width] : {std::pair<std::size_t, std::size_t>{23, 40}, {7, 9}, {5, 3}}) {
    auto const whole = test::on_host(resize_bilinear(context, maps, height, width));
    auto const sum = context.tensor<float>(2, height - 2, width - 1, std::size_t{1});
    fill(context, sum, 1.0f);
    add_resized_part(context, sum, maps, height, width, 2, 1);
    auto const got = test::on_host(sum);
    float worst = 0;
    for (std::size_t t = 0; t < 2; ++t)
      for (std::size_t y = 0; y < height - 2; ++y)
        for (std::size_t x = 0; x < width - 1; ++x)
          worst = std::max(worst, std::abs(got.data()[(t * (height - 2) + y) * (width - 1) + x] - 1 -
                                           whole.data()[(t * height + y + 2) * width + x + 1]));
    CHECK(worst < 1e-6f);
    CHECK_THROWS_AS(add_resized_part(context, sum, maps, height, width, 3, 1), ShapeError);
  }
}

TEST_CASE("labels by windows are those of averaging everything in memory, whatever the strips and blocks") {
  FakeModel const model;
  FakeWords const words{{"a", "b", "c", "d"}};
  struct Case {
    std::size_t height, width, window;
    double overlap;
  };
  for (auto const& c : {Case{70, 95, 20, 0.5},
                        {70, 95, 20, 0},
                        {33, 61, 24, 0.3},
                        {41, 30, 16, 0.75},
                        {10, 50, 16, 0.5},
                        {10, 12, 16, 0.5},
                        {16, 16, 16, 0.9},
                        {1, 40, 8, 0.25}}) {
    CAPTURE(c.height);
    CAPTURE(c.overlap);
    auto const image = made_picture(c.height, c.width);
    NativeWindows native;
    native.window = c.window;
    native.overlap = c.overlap;
    auto const expected = by_the_book(model, image, words, c.window, native.stride());
    std::size_t const pixels = c.height * c.width;
    LabelMap first;
    for (auto const& [block, memory] :
         {std::pair<std::size_t, std::size_t>{512, std::size_t{1} << 28}, {16, 0}, {32, 0}, {16, 40000}, {7, 100000}}) {
      CAPTURE(block);
      native.block = block;
      native.memory = memory;
      auto const got = run(model, image, words, native);
      std::size_t wrong = 0;
      for (std::size_t p = 0; p < pixels; ++p) {
        double best = -1;
        for (std::size_t t = 0; t < 4; ++t) best = std::max(best, expected.scores[t * pixels + p]);
        wrong += expected.scores[got.labels.labels[p] * pixels + p] < best - 1e-6;
      }
      CHECK(wrong == 0);
      CHECK(got.largest_read <= c.window * c.window);
      if (block == 512) {
        CHECK(got.told.windows == expected.windows);
        first = got.labels;
      }
      CHECK(got.labels.labels == first.labels);  // to the bit
      double total = got.told.unknown_area;
      for (std::size_t t = 0; t < 4; ++t) {
        auto const count = std::count(got.labels.labels.begin(), got.labels.labels.end(), t);
        CHECK(got.told.area[t] == doctest::Approx(static_cast<double>(count) / static_cast<double>(pixels)));
        total += got.told.area[t];
      }
      CHECK(total == doctest::Approx(1));
    }
  }
}

TEST_CASE("unknown and background are decided on the averaged scores") {
  FakeModel const model;
  FakeWords const words{{"a", "b", "c", "d"}};
  auto const image = made_picture(50, 44);
  NativeWindows native;
  native.window = 16;
  native.block = 16;
  auto const plain = run(model, image, words, native);
  auto const expected = by_the_book(model, image, words, 16, 8);
  SegmentOptions options;
  options.unknown = 0.75f;
  options.background_from = 2;
  auto const got = run(model, image, words, native, options);
  CHECK(got.told.names == std::vector<std::string>{"a", "b", "background"});
  std::size_t wrong = 0, unknown = 0;
  double sum = 0;
  for (std::size_t p = 0; p < 50 * 44; ++p) {
    auto const label = plain.labels.labels[p];
    double const score = expected.scores[label * 50 * 44 + p];
    if (std::abs(score - 0.75) < 1e-6) continue;
    auto const want = score < 0.75 ? LabelMap::unknown : std::min<std::uint16_t>(label, 2);
    wrong += got.labels.labels[p] != want;
    unknown += want == LabelMap::unknown;
    if (want == 0) sum += score;
  }
  CHECK(wrong == 0);
  CHECK(unknown > 0);
  CHECK(got.told.unknown_area == doctest::Approx(static_cast<double>(unknown) / (50 * 44)));
  CHECK(got.told.mean_confidence[0] * got.told.area[0] * 50 * 44 == doctest::Approx(sum).epsilon(1e-5));
}

TEST_CASE("pixels without data are unknown and count for no class") {
  FakeModel const model;
  FakeWords const words{{"a", "b"}};
  auto const image = made_picture(40, 36);
  auto const empty = [](std::size_t y, std::size_t x) { return y + x < 30; };
  NativeWindows native;
  native.window = native.block = 16;
  auto const plain = run(model, image, words, native);
  LabelMap labels{40, 36, std::vector<std::uint16_t>(40 * 36)};
  auto const told =
      segment_native(model,
                     PictureParts{40, 36,
                                  [&](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
                                    return part_of(image, top, left, height, width);
                                  },
                                  [&](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
                                    std::vector<std::uint8_t> result;
                                    for (std::size_t i = 0; i < height * width; ++i)
                                      result.push_back(empty(top + i / width, left + i % width));
                                    return result;
                                  }},
                     words, {}, native, [&](std::size_t top, std::size_t left, LabelMap const& block) {
                       for (std::size_t y = 0; y < block.height; ++y)
                         for (std::size_t x = 0; x < block.width; ++x) labels(top + y, left + x) = block(y, x);
                     });
  std::size_t wrong = 0, count[2] = {}, without = 0;
  for (std::size_t y = 0; y < 40; ++y)
    for (std::size_t x = 0; x < 36; ++x) {
      auto const want = empty(y, x) ? LabelMap::unknown : plain.labels(y, x);
      wrong += labels(y, x) != want;
      if (empty(y, x)) ++without;
      else ++count[want];
    }
  CHECK(wrong == 0);
  CHECK(told.unknown_area == doctest::Approx(static_cast<double>(without) / 1440));
  for (std::size_t t = 0; t < 2; ++t) CHECK(told.area[t] == doctest::Approx(static_cast<double>(count[t]) / 1440));
}

TEST_CASE("impossible windows are refused before anything is read") {
  FakeModel const model;
  FakeWords const words{{"a"}};
  auto const image = made_picture(10, 10);
  auto const with = [&](auto const& change) {
    NativeWindows native;
    SegmentOptions options;
    change(native, options);
    (void)run(model, image, words, native, options);
  };
  CHECK_THROWS_AS(with([](auto& n, auto&) { n.window = 0; }), ConfigError);
  CHECK_THROWS_AS(with([](auto& n, auto&) { n.overlap = 0.95; }), ConfigError);
  CHECK_THROWS_AS(with([](auto& n, auto&) { n.overlap = -0.1; }), ConfigError);
  CHECK_THROWS_AS(with([](auto&, auto& o) { o.keep_scores = true; }), ConfigError);
}
