// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "kovos/io/safetensors.hpp"
#include "kovos/kernels/resize_u8.hpp"

namespace {

using namespace kovos;

Image image_of(TensorBytes const& tensor) {
  Image image{tensor.shape[0], tensor.shape[1], std::vector<std::uint8_t>(tensor.bytes.size())};
  std::transform(tensor.bytes.begin(), tensor.bytes.end(), image.pixels.begin(),
                 [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return image;
}

std::string path_of(char const* name) { return std::string(KOVOS_TEST_DATA) + "/oracle/" + name; }

nlohmann::json const& cases() {
  static auto const json = [] {
    std::ifstream file(path_of("resample.json"));
    return nlohmann::json::parse(file);
  }();
  return json;
}

/// One pass of the definition in double, rounded to 8 bits; along rows, or along columns of the transposed picture.
Image bicubic_rows_in_double(Image const& image, std::size_t width) {
  auto const cubic = [](double t) {
    t = std::abs(t);
    return t < 1 ? 1.5 * t * t * t - 2.5 * t * t + 1 : t < 2 ? -0.5 * t * t * t + 2.5 * t * t - 4 * t + 2 : 0.0;
  };
  Image result{image.height, width, std::vector<std::uint8_t>(image.height * width * 3)};
  double const scale = static_cast<double>(image.width) / static_cast<double>(width), stretch = std::max(scale, 1.0);
  for (std::size_t y = 0; y < image.height; ++y)
    for (std::size_t x = 0; x < width; ++x)
      for (std::size_t c = 0; c < 3; ++c) {
        double const centre = (static_cast<double>(x) + 0.5) * scale;
        double sum = 0, weights = 0;
        for (std::size_t j = 0; j < image.width; ++j) {
          double const w = cubic((static_cast<double>(j) + 0.5 - centre) / stretch);
          sum += w * image.row(y)[3 * j + c];
          weights += w;
        }
        result.row(y)[3 * x + c] = static_cast<std::uint8_t>(std::clamp(std::floor(sum / weights + 0.5), 0.0, 255.0));
      }
  return result;
}

}  // namespace

TEST_CASE("bilinear resizing is Pillow's to the bit") {
  auto const file = read_safetensors(path_of("resample.safetensors"));
  std::size_t compared = 0;
  for (auto const& item : cases().at("pil_cases")) {
    auto const key = item.at("key").get<std::string>();
    CAPTURE(key);
    auto const in = image_of(file.tensors.at("pil." + key + ".in"));
    auto const expected = image_of(file.tensors.at("pil." + key + ".out"));
    auto const [height, width] = shortest_edge_size(in.height, in.width, item.at("short"), item.at("longest"));
    REQUIRE(height == expected.height);
    REQUIRE(width == expected.width);
    CHECK(resize_pillow(in, height, width, ResizeFilter::bilinear).pixels == expected.pixels);
    ++compared;
  }
  CHECK(compared >= 10);
}

TEST_CASE("target sizes are detectron2's") {
  for (auto const& row : cases().at("shapes")) {
    auto const [height, width] = shortest_edge_size(row[0], row[1], row[2], row[3]);
    CAPTURE(row.dump());
    CHECK(height == std::max<std::size_t>(1, row[4].get<std::size_t>()));
    CHECK(width == std::max<std::size_t>(1, row[5].get<std::size_t>()));
  }
  auto const [height, width] = shortest_edge_size(1, 10000, 640, 2560);
  CHECK(height == 1);
  CHECK(width == 2560);
}

TEST_CASE("bicubic resizing follows the definition") {
  Image image{1, 23, std::vector<std::uint8_t>(23 * 3)};
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * i * 7 % 251);
  for (std::size_t const width : {1u, 7u, 22u, 24u, 61u}) {
    auto const expected = bicubic_rows_in_double(image, width);
    auto const actual = resize_pillow(image, 1, width, ResizeFilter::bicubic);
    int worst = 0;
    for (std::size_t i = 0; i < expected.pixels.size(); ++i)
      worst = std::max(worst, std::abs(int{expected.pixels[i]} - int{actual.pixels[i]}));
    CHECK(worst <= 1);  // the reference rounds once, Pillow's weights carry 22 bits
  }
}

TEST_CASE("the form for this machine is the portable one to the bit") {
  std::uint32_t state = 1;
  auto const draw = [&](std::uint32_t n) {
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % n;
  };
  for (int round = 0; round < 600; ++round) {
    Image image{1 + draw(40), 1 + draw(40), {}};
    bool const extremes = round % 3 == 0;  // bicubic sums beyond 0 and 255
    for (std::size_t i = 0; i < image.height * image.width * 3; ++i)
      image.pixels.push_back(static_cast<std::uint8_t>(extremes ? 255 * draw(2) : draw(256)));
    std::size_t const height = 1 + draw(60), width = 1 + draw(60);
    auto const filter = round % 2 == 0 ? ResizeFilter::bilinear : ResizeFilter::bicubic;
    auto const expected = detail::resize<detail::PortableResize>(image, height, width, filter);
    auto const actual = resize_pillow(image, height, width, filter);
    CHECK(actual.height == height);
    CHECK(actual.width == width);
    CHECK(actual.pixels == expected.pixels);
  }
}

TEST_CASE("empty pictures are refused") {
  CHECK_THROWS_WITH_AS((void)resize_pillow(Image{}, 2, 2, ResizeFilter::bilinear),
                       doctest::Contains("cannot resize 0 x 0"), ShapeError);
}
