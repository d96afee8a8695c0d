// SPDX-License-Identifier: Apache-2.0
#include "kovos/data/published_benchmark.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data_room/support.hpp"
#include "kovos/io/image.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using test::TemporaryFolder;
using Labels = std::vector<std::uint16_t>;
namespace fs = std::filesystem;

namespace {

constexpr std::uint16_t unknown = LabelMap::unknown;

fs::path published() { return fs::path(KOVOS_TEST_DATA) / "published"; }

/// A picture of one grey. Where the benchmark says .jpg it is a PNG all the same, which is told from its bytes.
void put(fs::path const& path, std::size_t height, std::size_t width, std::uint8_t grey = 9) {
  fs::create_directories(path.parent_path());
  write_png(path.string() + ".png", Image{height, width, std::vector<std::uint8_t>(height * width * 3, grey)});
  fs::rename(path.string() + ".png", path);
}

void put_text(fs::path const& path, std::string const& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::string refusal(std::string_view name, fs::path const& root) {
  return message_of<DataError>([&] { (void)PublishedBenchmark::find(name, root); });
}

}  // namespace

TEST_CASE("nothing is found where nothing is, nor for other benchmarks") {
  TemporaryFolder const folder;
  for (auto const* name : {"pc59", "pc459", "ade847", "voc20"}) CHECK(!PublishedBenchmark::find(name, folder.path()));
}

TEST_CASE("PASCAL Context 459 as published") {
  TemporaryFolder const folder;
  auto const root = folder.path() / "VOCdevkit/VOC2010";
  fs::create_directories(root / "trainval");
  CHECK(contains(refusal("pc459", root), "pascalcontext_val.txt' is missing: it names the pictures"));
  put_text(root / "pascalcontext_val.txt", "");
  CHECK(contains(refusal("pc459", root), "pascalcontext_val.txt' names no picture"));
  put_text(root / "pascalcontext_val.txt", "2008_2\r\n\n 2008_1 \n");
  CHECK(contains(refusal("pc459", root), "2008_2.jpg' and 3 other files of the 2 pictures in "));
  put(root / "JPEGImages/2008_2.jpg", 13, 17);
  put(root / "JPEGImages/2008_1.jpg", 1, 4);
  put(root / "JPEGImages/2008_3.jpg", 1, 4);
  fs::copy_file(published() / "compressed.mat", root / "trainval/2008_2.mat");
  CHECK(contains(refusal("pc459", root), "2008_1.mat' of the 2 pictures in "));
  fs::copy_file(published() / "tiny.mat", root / "trainval/2008_1.mat");

  for (auto const& where : {root, root.parent_path(), folder.path()}) {
    auto const data = PublishedBenchmark::find("pc459", where);
    REQUIRE(data);
    REQUIRE(data->size() == 2);
    CHECK(data->name(0) == "2008_2");
    auto const sample = data->load(0);
    CHECK(sample.labels(0, 0) == 0);
    CHECK(sample.labels(12, 16) == 458);
    CHECK(sample.name == "2008_2");
    auto const message = message_of<DataError>([&] { (void)data->load(1); });
    CHECK(contains(message, "2008_1.jpg' is 1 x 4 and its labels in "));
    CHECK(contains(message, "2008_1.mat' are 1 x 3 (height x width)"));
  }
}

TEST_CASE("PASCAL Context 59 as published") {
  TemporaryFolder const folder;
  auto const root = folder.path() / "VOC2010";
  fs::create_directories(root);
  fs::copy_file(published() / "detail.json", root / "trainval_merged.json");
  CHECK(contains(refusal("pc59", root), "2008_000000.jpg' and 2 other files of the 3 pictures in "));
  for (auto const& picture : read_pascal_detail(published() / "detail.json", "val"))
    put(root / "JPEGImages" / picture.file_name, picture.height, picture.width);
  auto const data = PublishedBenchmark::find("pc59", folder.path());
  REQUIRE(data);
  REQUIRE(data->size() == 3);
  auto const pictures = read_pascal_detail(published() / "detail.json", "val");
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(data->load(i).labels.labels == pascal_context_59_labels(pictures[i]).labels);
  CHECK(data->load(2).labels.labels == Labels(14 * 10, unknown));
}

TEST_CASE("the full ADE20K as published") {
  TemporaryFolder const folder;
  auto const root = folder.path() / "ADE20K_2021_17_01";
  auto const streets = root / "images/ADE/validation/urban/street";
  fs::create_directories(streets);
  CHECK(contains(refusal("ade847", root), "validation' names no picture: expected files ADE_val_*.jpg"));
  put(streets / "ADE_val_00000002.jpg", 6, 9);
  CHECK(contains(refusal("ade847", root), "ADE_val_00000002_seg.png' of the 1 pictures in "));
  fs::copy_file(published() / "objects.png", streets / "ADE_val_00000002_seg.png");
  put(streets / "ADE_val_00000002/instance_000_ADE_val_00000002.png", 6, 9);
  put_text(streets / "ADE_val_00000002.json", "{}");
  put(root / "images/ADE/validation/cultural/attic/ADE_val_00000001.jpg", 1026, 600, 40);
  put(root / "images/ADE/validation/cultural/attic/ADE_val_00000001_seg.png", 1026, 600, 124);  // 12 * 256 + 124
  auto const data = PublishedBenchmark::find("ade847", folder.path());
  REQUIRE(data);
  REQUIRE(data->size() == 2);
  CHECK(data->name(0) == "ADE_val_00000001");
  auto const small = data->load(0);
  CHECK(small.image.height == 876);  // 875.52
  CHECK(small.image.width == 512);
  CHECK(small.image.pixels == std::vector<std::uint8_t>(876 * 512 * 3, 40));
  CHECK(small.labels.height == 876);
  auto const sample = data->load(1);
  CHECK(sample.labels.labels == ade20k_full_labels(read_image(published() / "objects.png")).labels);
}
