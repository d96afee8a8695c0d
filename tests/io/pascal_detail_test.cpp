// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/pascal_detail.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kovos/io/coco_rle.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Runs = std::vector<std::uint32_t>;

std::string refusal(std::string const& text, std::string_view phase = "val") {
  return message_of<FileError>([&] { (void)parse_pascal_detail(as_bytes(text), phase, "detail.json"); });
}

std::string file(std::string const& images, std::string const& segments) {
  return R"({"images": [)" + images + R"(], "annos_segmentation": [)" + segments + "]}";
}

std::string const picture = R"({"file_name": "a.jpg", "phase": "val", "height": 2, "width": 3, "image_id": "a"})";

}  // namespace

TEST_CASE("COCO run lengths: texts of pycocotools, and back") {
  auto const expected = read_safetensors(test_data("published/expected.safetensors"));
  auto const numbers = to_float(expected.tensors.at("rle.runs"));
  Runs const runs(numbers.begin(), numbers.end());
  auto const text = as_text(expected.tensors.at("rle.text").bytes);
  CHECK(parse_coco_rle(text, "here") == runs);
  CHECK(coco_rle_text(runs) == text);
  CHECK(parse_coco_rle("", "here").empty());
  for (Runs const& some : {Runs{0}, Runs{4294967295u}, Runs{0, 4294967295u, 0, 0, 4294967295u, 1}}) {
    CHECK(parse_coco_rle(coco_rle_text(some), "here") == some);
  }
}

TEST_CASE("COCO run lengths: texts that are none are refused") {
  auto const message = [](std::string_view text) {
    return message_of<FileError>([&] { (void)parse_coco_rle(text, "segment 7"); });
  };
  CHECK(contains(message("0 1"), "segment 7 has a mask whose counts are no run lengths of COCO, at letter 1 of '0 1'"));
  CHECK(contains(message("0P"), "at letter 2"));          // goes on
  CHECK(contains(message("0oooooooooo"), "at letter "));  // has no end within 64 bits
  CHECK(contains(message("O"), "a run of -1 pixels"));
}

TEST_CASE("Detail API: pictures of one phase with their segments, whatever comes first") {
  auto const first = read_pascal_detail(test_data("published/detail.json"), "val");
  REQUIRE(first.size() == 3);
  CHECK(first[0].file_name == "2008_000000.jpg");
  CHECK(first[1].file_name == "2008_000002.jpg");
  CHECK(first[1].height == 13);
  CHECK(first[1].width == 13);
  CHECK(first[0].segments.size() == 6);
  CHECK(first[2].segments.empty());
  for (std::string const other : {"detail_segments_first", "detail_numbers"}) {
    CAPTURE(other);
    auto const again = read_pascal_detail(test_data("published/" + other + ".json"), "val");
    REQUIRE(again.size() == first.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(again[i].file_name == first[i].file_name);
      REQUIRE(again[i].segments.size() == first[i].segments.size());
      for (std::size_t k = 0; k < first[i].segments.size(); ++k) {
        CHECK(again[i].segments[k].category == first[i].segments[k].category);
        CHECK(again[i].segments[k].height == first[i].segments[k].height);
        CHECK(again[i].segments[k].width == first[i].segments[k].width);
        CHECK(again[i].segments[k].counts == first[i].segments[k].counts);
      }
    }
  }
  CHECK(read_pascal_detail(test_data("published/detail.json"), "train").size() == 1);
}

TEST_CASE("Detail API: what is missing or damaged is named") {
  CHECK(contains(refusal("{}"), "no lists 'images' and 'annos_segmentation'"));
  CHECK(contains(refusal("[1, 2]"), "no lists"));
  CHECK(contains(refusal(file(picture, "").substr(0, 40)), "detail.json is damaged JSON at byte 4"));
  CHECK(contains(refusal(file(picture, ""), "test"), "no picture of the phase 'test'"));
  CHECK(contains(refusal(file(picture + "," + picture, "")), "two pictures of the image_id 'a'"));
  CHECK(contains(refusal(file(R"({"file_name": "b.jpg", "phase": "val"})", "")), "picture 'b.jpg' without"));
  auto const segment = [](std::string const& rest) { return file(picture, R"({"image_id": "a", )" + rest + "}"); };
  CHECK(contains(refusal(segment(R"("category_id": 2)")), "without the size or the counts"));
  CHECK(contains(refusal(segment(R"("segmentation": {"size": [2, 3], "counts": "6"})")), "without category_id"));
  CHECK(contains(refusal(segment(R"("category_id": -2)")), "the negative 'category_id' -2"));
  CHECK(contains(refusal(segment(R"("category_id": 2.5)")), "'category_id' 2.5, expected an integer"));
  CHECK(contains(refusal(segment(R"("segmentation": [[1, 2, 3]])")), "a segment of polygons"));
  CHECK(contains(refusal(segment(R"("segmentation": {"size": [2, 3, 4]})")), "more than two extents"));
  CHECK(contains(refusal(segment(R"("segmentation": {"counts": [5000000000]})")), "'counts' 5000000000"));
  // Segments of other pictures do not count.
  auto const strange = file(picture, R"({"image_id": "z"})");
  CHECK(parse_pascal_detail(as_bytes(strange), "val", "x").front().segments.empty());
  // Nesting does not overflow the stack.
  CHECK(contains(refusal(std::string(1000000, '[')), "damaged JSON"));
}
