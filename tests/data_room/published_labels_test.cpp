// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data_room/support.hpp"
#include "kovos/data/ade20k_full.hpp"
#include "kovos/data/opencv_resize.hpp"
#include "kovos/data/pascal_context.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using Size = std::pair<std::size_t, std::size_t>;

namespace {

constexpr std::uint16_t unknown = LabelMap::unknown;

std::filesystem::path published() { return std::filesystem::path(KOVOS_TEST_DATA) / "published"; }

struct Expected {
  NamedTensors file = read_safetensors(published() / "expected.safetensors");
  std::vector<float> operator[](std::string const& name) const { return to_float(file.tensors.at(name)); }
  LabelMap labels(std::string const& name) const {
    auto const& tensor = file.tensors.at(name);
    auto const values = to_float(tensor);
    LabelMap labels{tensor.shape[0], tensor.shape[1], {}};
    for (float const value : values) labels.labels.push_back(static_cast<std::uint16_t>(value));
    return labels;
  }
  Image picture(std::string const& name) const {
    auto const& tensor = file.tensors.at(name);
    Image image{tensor.shape[0], tensor.shape[1], {}};
    for (float const value : to_float(tensor)) image.pixels.push_back(static_cast<std::uint8_t>(value));
    return image;
  }
};

DetailPicture picture_with(std::string counts, std::size_t height = 2, std::size_t width = 3) {
  return {"a.jpg", 2, 3, {{2, height, width, std::move(counts)}}};
}

}  // namespace

TEST_CASE("PASCAL Context 459: LabelMap less 1") {
  Expected const expected;
  for (std::string const name : {"plain", "big_endian_compressed", "narrow", "double"}) {
    CAPTURE(name);
    auto const labels = pascal_context_459_labels(read_mat(published() / (name + ".mat"), "LabelMap"), name);
    auto const truth = expected.labels("mat." + name);
    CHECK(labels.height == truth.height);
    CHECK(labels.labels == truth.labels);
  }
  CHECK(pascal_context_459_labels({1, 3, {0, 1, 459}}, "a").labels == std::vector<std::uint16_t>{unknown, 0, 458});
  for (double const wrong : {460.0, -1.0, 1.5}) {
    auto const message = message_of<DataError>([&] {
      (void)pascal_context_459_labels({2, 2, {1, 1, 1, wrong}}, "'a.mat'");
    });
    CHECK(contains(message, "'a.mat' has the value "));
    CHECK(contains(message, " at row 1, column 1, expected 1 to 459"));
  }
}

TEST_CASE("PASCAL Context 59: segments are painted in order, as the authors' script paints them") {
  Expected const expected;
  for (std::string const name : {"detail.json", "detail_numbers.json", "detail_segments_first.json"}) {
    for (auto const& picture : read_pascal_detail(published() / name, "val")) {
      CAPTURE(picture.file_name);
      auto const labels = pascal_context_59_labels(picture);
      auto truth = expected.labels("detail." + std::filesystem::path(picture.file_name).stem().string());
      for (auto& label : truth.labels)
        if (label == 255) label = unknown;
      CHECK(labels.height == truth.height);
      CHECK(labels.labels == truth.labels);
    }
  }
  CHECK(pascal_context_59_class(0) == unknown);
  CHECK(pascal_context_59_class(2) == 0);
  CHECK(pascal_context_59_class(458) == 58);
  CHECK(pascal_context_59_class(3) == unknown);
  CHECK(pascal_context_59_class(1000000) == unknown);
}

TEST_CASE("PASCAL Context 59: masks of another size are refused") {
  auto const refusal = [](DetailPicture const& picture) {
    return message_of<DataError>([&] { (void)pascal_context_59_labels(picture); });
  };
  CHECK(pascal_context_59_labels(picture_with("11110")).labels ==
        std::vector<std::uint16_t>{unknown, unknown, 0, 0, 0, unknown});  // 1, 1, 1, 1 + 1, 0 + 1, column by column
  CHECK(pascal_context_59_labels(picture_with("123")).labels ==
        std::vector<std::uint16_t>{unknown, 0, unknown, 0, unknown, unknown});
  CHECK(contains(refusal(picture_with("6", 3, 2)), "a segment of 'a.jpg' has a mask of 3 x 2"));
  CHECK(contains(refusal(picture_with("7")), "goes beyond its 2 x 3 pixels"));
  CHECK(contains(refusal(picture_with("5")), "a mask of 5 pixels, expected 6"));
}

TEST_CASE("ADE20K, full: the class is in red and green") {
  Expected const expected;
  auto const objects = read_image(published() / "objects.png");
  auto const labels = ade20k_full_labels(objects);
  auto const numbers = expected["objects.numbers"];
  REQUIRE(labels.labels.size() == numbers.size());
  std::size_t known = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    std::uint16_t truth = unknown;
    for (std::size_t k = 0; k < 847; ++k) {
      if (detail::ade20k_full_ids[k] == static_cast<std::uint16_t>(numbers[i])) truth = static_cast<std::uint16_t>(k);
    }
    CHECK(labels.labels[i] == truth);
    known += truth != unknown;
  }
  CHECK(known >= 6);
  auto const row = std::vector<std::uint16_t>(labels.labels.begin() + 9, labels.labels.begin() + 16);
  CHECK(row == std::vector<std::uint16_t>{0, 1, 846, 263, row[4], 167, unknown});
  CHECK(ade20k_full_class(0, 0) == unknown);
  CHECK(ade20k_full_class(255, 255) == unknown);
}

TEST_CASE("resizing as OpenCV does") {
  Expected const expected;
  for (int i = 0; i < 5; ++i) {
    CAPTURE(i);
    std::string const name = "resize." + std::to_string(i) + ".";
    auto const linear = expected.picture(name + "linear");
    auto const nearest = expected.labels(name + "nearest");
    auto const result = resize_linear_as_opencv(expected.picture(name + "picture"), linear.height, linear.width);
    // Made smaller it is the same to the bit; made larger, OpenCV rounds a few pixels in another way.
    int worst = 0;
    for (std::size_t k = 0; k < linear.pixels.size(); ++k)
      worst = std::max(worst, std::abs(int{result.pixels[k]} - int{linear.pixels[k]}));
    CHECK(worst <= (i == 4 ? 1 : 0));
    CHECK(resize_nearest_as_opencv(expected.labels(name + "labels"), nearest.height, nearest.width).labels ==
          nearest.labels);
  }
  CHECK_THROWS_AS((void)resize_linear_as_opencv(Image{}, 1, 1), ShapeError);
  CHECK_THROWS_AS((void)resize_nearest_as_opencv(LabelMap{1, 1, {0}}, 0, 1), ShapeError);
}

TEST_CASE("ADE20K, full: pictures are shrunk as the authors' script shrinks them") {
  CHECK(ade20k_full_size(512, 900) == Size{512, 900});
  CHECK(ade20k_full_size(513, 900) == Size{512, 898});
  CHECK(ade20k_full_size(900, 513) == Size{898, 512});
  CHECK(ade20k_full_size(513, 513) == Size{512, 512});
  CHECK(ade20k_full_size(400, 3000) == Size{400, 3000});
  CHECK(ade20k_full_size(3000, 400) == Size{3000, 400});
  CHECK(ade20k_full_size(683, 1024) == Size{512, 768});
  CHECK(ade20k_full_size(1024, 1537) == Size{512, 768});  // 768.5 goes to the even neighbour
  CHECK(ade20k_full_size(1025, 2051) == Size{512, 1024});

  struct Case {
    std::size_t height, width, new_height, new_width;
    std::uint32_t crc;  // of OpenCV's pixels
  };
  for (Case const& c : {Case{520, 701, 512, 690, 0x94b0af98}, Case{641, 513, 640, 512, 0xaff783bb}}) {
    CAPTURE(c.height);
    Image picture{c.height, c.width, std::vector<std::uint8_t>(c.height * c.width * 3)};
    auto state = static_cast<std::uint32_t>(c.height);
    for (auto& value : picture.pixels) {
      state = state * 1664525 + 1013904223;
      value = static_cast<std::uint8_t>(state >> 24);
    }
    LabelMap labels{c.height, c.width, std::vector<std::uint16_t>(c.height * c.width, 3)};
    shrink_to_ade20k_full(picture, labels);
    CHECK(picture.height == c.new_height);
    CHECK(picture.width == c.new_width);
    CHECK(labels.labels.size() == c.new_height * c.new_width);
    CHECK(::crc32(0, picture.pixels.data(), static_cast<uInt>(picture.pixels.size())) == c.crc);
  }
}
