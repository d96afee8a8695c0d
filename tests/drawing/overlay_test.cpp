// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "kovos/drawing/overlay.hpp"

namespace {

using namespace kovos;

Image grey(std::size_t height, std::size_t width) {
  return {height, width, std::vector<std::uint8_t>(height * width * 3, 100)};
}

std::array<std::uint8_t, 3> pixel(Image const& image, std::size_t y, std::size_t x) {
  auto const* const p = image.row(y) + 3 * x;
  return {p[0], p[1], p[2]};
}

}  // namespace

TEST_CASE("colours of classes differ and never change") {
  std::set<std::array<std::uint8_t, 3>> colors;
  for (std::size_t i = 0; i < 200; ++i) colors.insert(class_color(i));
  CHECK(colors.size() >= 195);
  CHECK(class_color(7) == class_color(7));
}

TEST_CASE("labels tint the picture, borders are darker, the legend lies below") {
  LabelMap labels{40, 60, std::vector<std::uint16_t>(40 * 60, 0)};
  for (std::size_t y = 0; y < 40; ++y)
    for (std::size_t x = 30; x < 60; ++x) labels(y, x) = 1;
  auto const picture = grey(40, 60);
  auto const drawn = render_overlay(picture, labels, {"sky", "grass"}, {.opacity = 0.5, .legend = false});
  CHECK(drawn.height == 40);
  for (std::size_t c = 0; c < 3; ++c) {
    CHECK(pixel(drawn, 5, 5)[c] == doctest::Approx((100 + class_color(0)[c]) / 2.0).epsilon(0.02));
    CHECK(pixel(drawn, 5, 50)[c] == doctest::Approx((100 + class_color(1)[c]) / 2.0).epsilon(0.02));
    CHECK(pixel(drawn, 5, 29)[c] < pixel(drawn, 5, 5)[c]);
  }
  auto const with_legend = render_overlay(picture, labels, {"sky", "grass"});
  CHECK(with_legend.height > 40);
  CHECK(with_legend.width == 60);
  // A swatch of each class that has pixels, and none of one that has not.
  auto const shows = [&](std::size_t index) {
    for (std::size_t y = 40; y < with_legend.height; ++y)
      for (std::size_t x = 0; x < 60; ++x)
        if (pixel(with_legend, y, x) == class_color(index)) return true;
    return false;
  };
  CHECK(shows(0));
  CHECK(shows(1));
  CHECK(!shows(2));
}

TEST_CASE("odd sizes, many classes, unknown pixels and foreign letters are drawn") {
  std::vector<std::string> names;
  for (int i = 0; i < 400; ++i) names.push_back("caf\u00e9 \u732b " + std::to_string(i));
  for (auto const& [height, width] :
       std::vector<std::pair<std::size_t, std::size_t>>{{1, 1}, {1, 10000}, {600, 2}, {90, 200}}) {
    LabelMap labels{height, width, std::vector<std::uint16_t>(height * width)};
    for (std::size_t i = 0; i < labels.labels.size(); ++i)
      labels.labels[i] = i % 5 == 0 ? LabelMap::unknown : static_cast<std::uint16_t>(i % 400);
    auto const drawn = render_overlay(grey(height, width), labels, names);
    CHECK(drawn.pixels.size() == drawn.height * drawn.width * 3);
    CHECK(drawn.width == width);
  }
  CHECK(detail::printable("caf\u00e9 \u732b") == "cafe ?");
  CHECK(detail::printable("a\xff") == "a?");
}

TEST_CASE("a label map of another size is refused") {
  CHECK_THROWS_WITH_AS((void)render_overlay(grey(2, 2), LabelMap{2, 3, std::vector<std::uint16_t>(6)}, {"a"}),
                       doctest::Contains("the picture is 2 x 2, the label map 2 x 3"), ShapeError);
}
