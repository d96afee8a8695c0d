// SPDX-License-Identifier: Apache-2.0
#include "kovos/drawing/curves.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace kovos;
using detail::Color;
using Numbers = std::vector<double>;

namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();

Color pixel(Image const& image, std::size_t y, std::size_t x) {
  return {image.row(y)[3 * x], image.row(y)[3 * x + 1], image.row(y)[3 * x + 2]};
}

/// How many pixels of one column have a color, below the legend.
std::size_t in_column(Image const& image, std::size_t x, Color const& color) {
  std::size_t count = 0;
  for (std::size_t y = 60; y < image.height; ++y) count += pixel(image, y, x) == color ? 1 : 0;
  return count;
}

std::size_t in_image(Image const& image, Color const& color) {
  std::size_t count = 0;
  for (std::size_t x = 0; x < image.width; ++x) count += in_column(image, x, color);
  return count;
}

Image draw(std::vector<CurvePanel> const& panels, CurveOptions const& options = {}) {
  return draw_curves(panels, options);
}

void check_near(Numbers const& got, Numbers const& expected, double relative = 1e-9) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO(i);
    CHECK(got[i] == doctest::Approx(expected[i]).epsilon(relative));
  }
}

}  // namespace

TEST_CASE("curves: ticks are round numbers within the axis") {
  check_near(detail::linear_ticks(0, 1, 5), {0, 0.2, 0.4, 0.6, 0.8, 1});
  check_near(detail::linear_ticks(-0.05, 1.05, 3), {0, 0.5, 1});
  check_near(detail::linear_ticks(3, 39990, 5), {10000, 20000, 30000});
  check_near(detail::linear_ticks(-7, 12, 4), {-5, 0, 5, 10});
  check_near(detail::logarithmic_ticks(0.02, 3, 6), {0.02, 0.05, 0.1, 0.2, 0.5, 1, 2});
  check_near(detail::logarithmic_ticks(0.5e-3, 2, 6), {1e-3, 1e-2, 1e-1, 1});
  check_near(detail::logarithmic_ticks(3.5, 6.5, 6), {4, 5, 6});
  check_near(detail::logarithmic_ticks(0.31, 0.345, 4), {0.31, 0.32, 0.33, 0.34});
  CHECK(detail::logarithmic_ticks(1e-100, 1e100, 6).size() <= 8);
  CHECK(detail::tick_text(0) == "0");
  CHECK(detail::tick_text(0.05) == "0.05");
  CHECK(detail::tick_text(9000) == "9000");
  CHECK(detail::tick_text(-40000) == "-40k");
  CHECK(detail::tick_text(2.5e6) == "2.5M");
  CHECK(detail::tick_text(1e-6) == "1e-06");
}

TEST_CASE("curves: an axis holds what can be shown") {
  auto const axis = detail::fit_axis(Numbers{missing, 2, infinity, 12, -infinity, 2e100}, false, 0.05, 5);
  CHECK(axis.low == doctest::Approx(1.5));
  CHECK(axis.high == doctest::Approx(12.5));
  CHECK(axis.place(7) == doctest::Approx(0.5));
  auto const decades = detail::fit_axis(Numbers{0, -3, 0.1, 1000}, true, 0, 5);
  CHECK(decades.low == doctest::Approx(0.1));
  CHECK(decades.high == doctest::Approx(1000));
  CHECK(decades.place(10) == doctest::Approx(0.5));
  for (Numbers const& values : {Numbers{},
                                {missing},
                                {0},
                                {-5, -5},
                                {1e100, -1e100},
                                {1e100, 1e100},
                                {1e-310},
                                {1, 1 + 1e-15},
                                {5e-324, 1e100}}) {
    for (bool const logarithmic : {false, true}) {
      auto const any = detail::fit_axis(values, logarithmic, 0.05, 5);
      CHECK(std::isfinite(any.place(any.low) + any.place(any.high)));
      CHECK(any.place(any.high) == doctest::Approx(1));
      CHECK(any.ticks.size() >= 2);
      CHECK(any.ticks.size() <= 12);
      CHECK(std::is_sorted(any.ticks.begin(), any.ticks.end()));
      for (double const tick : any.ticks) CHECK(std::abs(any.place(tick) - 0.5) <= 0.5 + 1e-6);
    }
  }
}

TEST_CASE("curves: the trend equals numpy.polyfit over each window") {
  // trend[i] = polyval(polyfit(t, y[t], 1), i) for t = i - 3 ... i + 3, of log10(y) for t = i - 2 ... i + 2.
  Numbers const y{1, 7, 10, 10, 7, 1, 5, 6, 4, 12, 4, 6};
  detail::CurveAxis axis;
  check_near(detail::local_trend(y, axis, 3), {2.5, 5.5, 6, 5.85714285714, 6.57142857143, 6.14285714286, 6.42857142857,
                                               5.57142857143, 5.42857142857, 6.26666666667, 6.4, 6.2});
  axis.logarithmic = true;
  check_near(detail::local_trend(y, axis, 2),
             {1.30326484348, 3.57708625087, 5.47065359676, 5.47065359676, 5.11462278313, 4.61789292742, 3.84464156816,
              4.28225473668, 5.65046900099, 5.86031210317, 5.86031210317, 4.66963029736});
  check_near(detail::local_trend(y, axis, 0), y);

  // A line stays a line, right to its ends, whatever is missing.
  axis.logarithmic = false;
  Numbers line;
  for (int i = 0; i < 50; ++i) line.push_back(3 - 0.5 * i);
  line[10] = missing;
  line[20] = infinity;
  auto const trend = detail::local_trend(line, axis, 7);
  CHECK(std::isnan(trend[10]));
  for (std::size_t i = 0; i < 50; ++i)
    if (i != 10 && i != 20) CHECK(trend[i] == doctest::Approx(3 - 0.5 * static_cast<double>(i)));
}

TEST_CASE("curves: a line covers as much as it is thick, at any angle and place") {
  for (double const angle : {0.0, 0.3, 0.7, 1.2}) {
    for (double const offset : {0.0, 0.3, 0.5}) {
      for (double const thickness : {1.0, 2.5}) {
        Image image{80, 80, std::vector<std::uint8_t>(80 * 80 * 3, 0)};
        detail::LineCoverage coverage(10, 10, 60, 60);
        double const dy = 100 * std::sin(angle), dx = 100 * std::cos(angle);
        coverage.add({40 + offset - dy, 40 - dx}, {40 + offset + dy, 40 + dx}, thickness);
        coverage.paint(image, {255, 0, 100}, 1);
        double ink = 0;
        for (std::size_t y = 10; y < 70; ++y)
          for (std::size_t x = 30; x < 50; ++x) ink += image.row(y)[3 * x];
        // A column cuts the line at a slant.
        CHECK(ink / 255 / 20 == doctest::Approx(thickness / std::cos(angle)).epsilon(0.04));
        for (std::size_t x = 0; x < 80; ++x) CHECK(pixel(image, 9, x) == Color{0, 0, 0});
      }
    }
  }
}

TEST_CASE("curves: lines lie where their numbers say, gaps where there are none") {
  Curve curve{"loss", {}, {}};
  for (int i = 0; i <= 100; ++i) {
    curve.x.push_back(i);
    curve.y.push_back(i < 50 ? 1 : 3);
  }
  auto const image = draw({{"Loss", "step", {curve}}});
  CHECK(image.height == 520);
  CHECK(image.width == 820);
  Color const blue = detail::curve_color(0);
  std::size_t left = image.width, right = 0;
  for (std::size_t x = 0; x < image.width; ++x) {
    if (in_column(image, x, blue) == 0) continue;
    left = std::min(left, x);
    right = std::max(right, x);
  }
  CHECK(right - left > 700);
  auto const row_at = [&](Image const& of, double share) {
    auto const x = left + static_cast<std::size_t>(share * static_cast<double>(right - left));
    std::size_t y = 60;
    while (y < of.height && pixel(of, y, x) != blue) ++y;
    return y;
  };
  // 1 and 3 lie 1/22 and 21/22 up the axis.
  std::size_t const low = row_at(image, 0.2), high = row_at(image, 0.8);
  CHECK(low < image.height);
  CHECK(row_at(image, 0.4) == low);
  CHECK(row_at(image, 0.6) == high);
  CHECK(low - high > 300);
  for (std::size_t i = 15; i < 30; ++i) curve.y[i] = i % 2 == 0 ? missing : infinity;
  curve.x[70] = missing;
  auto const gaps = draw({{"Loss", "step", {curve}}});
  CHECK(row_at(gaps, 0.2) == gaps.height);
  CHECK(row_at(gaps, 0.4) == low);
  CHECK(row_at(gaps, 0.695) == gaps.height);
  CHECK(row_at(gaps, 0.8) == high);
  // On a logarithmic axis zero is a gap too.
  curve.y.assign(101, 0.5);
  curve.y[20] = 0;
  curve.y[21] = -1;
  auto const logarithmic = draw({{"Loss", "step", {curve}, true}});
  CHECK(row_at(logarithmic, 0.205) == logarithmic.height);
  CHECK(row_at(logarithmic, 0.4) < logarithmic.height);
}

TEST_CASE("curves: smoothing draws the recorded values thin and the trend thick") {
  Curve noisy{"loss", {}, {}};
  for (int i = 0; i < 400; ++i) {
    noisy.x.push_back(i);
    noisy.y.push_back(i % 2 == 0 ? 1 : 2);
  }
  Color const blue = detail::curve_color(0);
  auto const raw = draw({{"Loss", "step", {noisy}}});
  auto const smooth = draw({{"Loss", "step", {noisy}, false, true}});
  CHECK(in_column(raw, 400, blue) > 100);
  CHECK(in_column(smooth, 400, blue) >= 1);
  CHECK(in_column(smooth, 400, blue) <= 20);
  // The thin lines are there, in a paler color.
  std::size_t pale = 0;
  for (std::size_t y = 60; y < 480; ++y) pale += pixel(smooth, y, 400)[0] < 220 ? 1 : 0;
  CHECK(pale > 100);
}

TEST_CASE("curves: panels lie beside each other; every curve has its color and its place in the legend") {
  std::vector<Curve> curves;
  for (int i = 0; i < 6; ++i) curves.push_back({"curve " + std::to_string(i), {0, 1}, {i * 1.0, i + 1.0}});
  auto const two = draw({{"A", "x", curves}, {"B", "x", {}}});
  CHECK(two.width == 1640);
  CHECK(two.height == 520);
  CHECK(draw({{"A", "x", {}}, {"B", "x", {}}, {"C", "x", {}}}).height == 1040);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(in_image(two, detail::curve_color(i)) > 200);
    for (std::size_t j = 0; j < i; ++j) CHECK(detail::curve_color(i) != detail::curve_color(j));
  }
  for (std::size_t x = 820; x < 1640; ++x) CHECK(in_column(two, x, detail::curve_color(0)) == 0);
  auto const alone = draw({{"A", "x", curves}});
  bool same = true;
  for (std::size_t y = 0; y < 520; ++y) same = same && std::equal(alone.row(y), alone.row(y) + 3 * 810, two.row(y));
  CHECK(same);
}

TEST_CASE("curves: nothing that is drawn can do harm") {
  Numbers const wild{missing, infinity, -infinity, 1e300, -1e300, 0, -0.0, 5e-324, 1e100, -1e100, 1};
  std::string name = "\xFF\x01\n";  // a sum of strings would set off a false alarm of GCC 12
  name.append(500, 'w').append("é\U0001F600");
  std::vector<Curve> many(200, {name, wild, wild});
  many.push_back({"", {}, {}});
  many.push_back({"nan", {missing, missing}, {missing, 1}});
  for (bool const log_y : {false, true}) {
    for (bool const smooth : {false, true}) {
      for (CurveOptions const& size : {CurveOptions{120, 160}, {333, 1000}}) {
        auto const image = draw({{name, name, many, log_y, smooth}, {"", "", {}, log_y, smooth}}, size);
        CHECK(image.pixels.size() == 2 * size.panel_height * size.panel_width * 3);
      }
    }
  }
  CHECK(draw({}).pixels.size() == 520 * 820 * 3);
  CHECK_THROWS_AS(draw({{"", "", {{"a", {1, 2}, {1}}}}}), ShapeError);
  CHECK_THROWS_AS(draw({}, {0, 800}), ConfigError);
  CHECK_THROWS_AS(draw({}, {400, 100'000}), ConfigError);
}
