// SPDX-License-Identifier: Apache-2.0
#include "kovos/data/prepared_benchmark.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "data_room/support.hpp"
#include "kovos/io/image.hpp"
#include "kovos/text/benchmark_classes.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using test::TemporaryFolder;
using Labels = std::vector<std::uint16_t>;
namespace fs = std::filesystem;

namespace {

constexpr std::uint16_t unknown = LabelMap::unknown;

/// A picture whose content is a PNG whatever its name says.
void put_picture(fs::path const& path, std::size_t width) {
  fs::create_directories(path.parent_path());
  write_png(path.string() + ".png", Image{1, width, std::vector<std::uint8_t>(width * 3, 9)});
  fs::rename(path.string() + ".png", path);
}

void put_labels(fs::path const& path, Labels const& values, int bits = 8) {
  fs::create_directories(path.parent_path());
  write_png_labels(path.string() + ".png", LabelMap{1, values.size(), values}, bits);
  fs::rename(path.string() + ".png", path);
}

void put_text(fs::path const& path, std::string const& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::string refusal(std::string_view name, fs::path const& root) {
  return message_of<DataError>([&] {
    auto const data = PreparedBenchmark::find(name, root);
    if (data) (void)data->load(0);
  });
}

}  // namespace

TEST_CASE("prepared labels of PASCAL Context and ADE20K: those with a label are the pictures") {
  TemporaryFolder const folder;
  auto const root = folder.path() / "VOCdevkit/VOC2010";
  for (auto const* name : {"a", "b.c", "not_scored"})
    put_picture(root / "JPEGImages" / (std::string(name) + ".jpg"), 4);
  put_labels(root / "annotations_detectron2/pc59_val/b.c.png", {0, 58, unknown, 3});
  put_labels(root / "annotations_detectron2/pc59_val/a.png", {1, 1, 1, 1});
  // The content tells that these are PNG, so that they can be made here.
  put_labels(root / "annotations_detectron2/pc459_val/a.tif", {0, 458, 459, unknown}, 16);
  for (auto const& where : {root, root.parent_path(), folder.path()}) {
    auto const data = PreparedBenchmark::find("pc59", where);
    REQUIRE(data);
    REQUIRE(data->size() == 2);
    CHECK(data->name(1) == "b.c");
    CHECK(data->load(1).labels.labels == Labels{0, 58, unknown, 3});
    auto const many = PreparedBenchmark::find("pc459", where);
    REQUIRE(many);
    CHECK(many->load(0).labels.labels == Labels{0, 458, unknown, unknown});
    CHECK(!PreparedBenchmark::find("ade847", where));
    CHECK(!PreparedBenchmark::find("voc20", where));
  }
  auto const ade = folder.path() / "ADE20K_2021_17_01";
  put_picture(ade / "images_detectron2/validation/ADE_val_00000001.jpg", 3);
  put_labels(ade / "annotations_detectron2/validation/ADE_val_00000001.tif", {0, 846, unknown}, 16);
  CHECK(PreparedBenchmark::find("ade847", folder.path())->load(0).labels.labels == Labels{0, 846, unknown});
}

TEST_CASE("values without a meaning are refused with file and pixel") {
  TemporaryFolder const folder;
  auto const labels = folder.path() / "annotations_detectron2";
  put_picture(folder.path() / "JPEGImages/a.jpg", 2);
  put_picture(folder.path() / "images_detectron2/validation/a.jpg", 2);
  put_labels(labels / "pc59_val/a.png", {0, 59});
  CHECK(
      contains(refusal("pc59", folder.path()), "a.png' has the value 59 at row 0, column 1, which means nothing in "));
  put_labels(labels / "pc459_val/a.tif", {0, 460}, 16);
  CHECK(contains(refusal("pc459", folder.path()), "has the value 460"));
  // detectron2's evaluator drops 847 without a word.
  put_labels(labels / "validation/a.tif", {0, 847}, 16);
  CHECK(contains(refusal("ade847", folder.path()), "has the value 847"));
  put_labels(labels / "val/a.png", {0, 20});
  CHECK(contains(refusal("voc20", folder.path()), "has the value 20"));
  put_labels(labels / "val/a.png", {0, 20, 1});
  CHECK(contains(refusal("voc20", folder.path()), "a.jpg' is 1 x 2 and its label "));
}

TEST_CASE("PASCAL VOC, prepared and as published") {
  TemporaryFolder const folder;
  auto const root = folder.path() / "VOC2012";
  for (auto const* name : {"a", "b", "other"}) put_picture(root / "JPEGImages" / (std::string(name) + ".jpg"), 4);
  CHECK(!PreparedBenchmark::find("voc20", folder.path()));
  put_labels(root / "SegmentationClass/b.png", {0, 7, 7, 7});
  put_labels(root / "SegmentationClass/a.png", {5, 5, 5, 5});
  CHECK(contains(refusal("voc20", folder.path()), "val.txt' is missing: it names the pictures"));
  put_text(root / "ImageSets/Segmentation/val.txt", "");
  CHECK(contains(refusal("voc20", folder.path()), "val.txt' names no picture"));
  put_text(root / "ImageSets/Segmentation/val.txt", "b\na\n");
  CHECK(PreparedBenchmark::find("voc20", folder.path())->load(1).labels.labels == Labels{unknown, 6, 6, 6});

  put_labels(root / "SegmentationClassAug/b.png", {0, 1, 20, unknown});
  CHECK(contains(refusal("voc20", folder.path()), "a.png' of the 2 pictures in "));
  put_labels(root / "SegmentationClassAug/a.png", {0, 0, 0, 21});
  CHECK(PreparedBenchmark::find("voc20", folder.path())->load(1).labels.labels == Labels{unknown, 0, 19, unknown});
  CHECK(PreparedBenchmark::find("voc20b", folder.path())->load(1).labels.labels == Labels{20, 0, 19, unknown});
  CHECK(contains(refusal("voc20b", folder.path()), "a.png' has the value 21 at row 0, column 3"));

  put_labels(root / "annotations_detectron2/val/a.png", {0, 19, 2, unknown});
  put_labels(root / "annotations_detectron2_bg/val/a.png", {20, 19, 2, unknown});
  CHECK(PreparedBenchmark::find("voc20", folder.path())->size() == 1);
  CHECK(PreparedBenchmark::find("voc20", folder.path())->load(0).labels.labels == Labels{0, 19, 2, unknown});
  CHECK(PreparedBenchmark::find("voc20b", folder.path())->load(0).labels.labels == Labels{20, 19, 2, unknown});
}

TEST_CASE("Cityscapes, in the folders of its cities; Mapillary Vistas with its value for none") {
  TemporaryFolder const folder;
  auto const root = folder.path() / "cityscapes";
  fs::create_directories(root / "gtFine/val/ulm");
  CHECK(
      contains(refusal("cityscapes", folder.path()), "val' names no picture: expected files that end in _gtFine_lab"));
  put_picture(root / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", 4);
  put_labels(root / "gtFine/val/ulm/ulm_1_gtFine_labelIds.png", {7, 33, 0, 9});
  put_labels(root / "gtFine/val/ulm/ulm_1_gtFine_instanceIds.png", {7, 33, 0, 9});
  for (auto const& where : {folder.path(), root}) {
    auto const data = PreparedBenchmark::find("cityscapes", where);
    REQUIRE(data);
    REQUIRE(data->size() == 1);
    CHECK(data->name(0) == "ulm_1");
    CHECK(data->load(0).labels.labels == Labels{0, 18, unknown, unknown});
  }
  put_labels(root / "gtFine/val/ulm/ulm_1_gtFine_labelTrainIds.png", {1, 18, unknown, 2});
  CHECK(PreparedBenchmark::find("cityscapes", root)->load(0).labels.labels == Labels{1, 18, unknown, 2});
  put_labels(root / "gtFine/val/ulm/ulm_1_gtFine_labelTrainIds.png", {1, 19, 0, 2});
  CHECK(contains(refusal("cityscapes", root), "has the value 19 at row 0, column 1"));
  put_labels(root / "gtFine/val/ulm/ulm_2_gtFine_labelTrainIds.png", {1});
  CHECK(contains(refusal("cityscapes", root), "ulm_2_leftImg8bit.png' of the 2 pictures in "));

  put_picture(folder.path() / "validation/images/x.jpg", 3);
  put_labels(folder.path() / "validation/v1.2/labels/x.png", {0, 64, 65});
  CHECK(PreparedBenchmark::find("mapillary", folder.path())->load(0).labels.labels == Labels{0, 64, unknown});
  put_labels(folder.path() / "validation/v1.2/labels/x.png", {0, 64, 66});
  CHECK(contains(refusal("mapillary", folder.path()), "has the value 66"));
}

TEST_CASE("MESS: every set has a place and as many names as classes") {
  std::size_t sets = 0;
  for (auto const& form : detail::prepared_forms) {
    if (!form.benchmark.starts_with("mess_")) continue;
    CAPTURE(form.benchmark);
    ++sets;
    auto const* const benchmark = find_benchmark(form.benchmark);
    REQUIRE(benchmark != nullptr);
    auto const bars = std::count(benchmark->classes.begin(), benchmark->classes.end(), '|');
    CHECK(static_cast<std::size_t>(bars) + 1 == form.classes);

    TemporaryFolder const folder;
    auto const last = static_cast<std::uint16_t>(form.classes - 1);
    put_picture(folder.path() / form.folder / form.images / ("x" + std::string(form.image_ending)), 3);
    put_labels(folder.path() / form.folder / form.labels / ("x" + std::string(form.label_ending)), {0, last, unknown});
    auto const data = PreparedBenchmark::find(form.benchmark, folder.path());
    REQUIRE(data);
    CHECK(data->name(0) == "x");
    CHECK(data->load(0).labels.labels == Labels{0, last, unknown});
  }
  CHECK(sets == 25);  // 22, of which one is scored as four
}

TEST_CASE("ADE20K and COCO-Stuff beside the other data sets") {
  TemporaryFolder const folder;
  auto const ade = folder.path() / "ADEChallengeData2016", coco = folder.path() / "coco-stuff";
  put_picture(ade / "images/validation/a.jpg", 4);
  put_labels(ade / "annotations/validation/a.png", {0, 1, 150, unknown});
  put_picture(coco / "images/val2017/1.jpg", 4);
  put_labels(coco / "annotations/val2017/1.png", {0, 11, 181, unknown});
  for (auto const& where : {folder.path(), ade})
    CHECK(PreparedBenchmark::find("ade150", where)->load(0).labels.labels == Labels{unknown, 0, 149, unknown});
  CHECK(PreparedBenchmark::find("coco171", folder.path())->load(0).labels.labels == Labels{0, unknown, 170, unknown});
  put_labels(ade / "annotations_detectron2/validation/a.png", {0, 149, 3, unknown});
  put_labels(coco / "annotations_detectron2/val2017/1.png", {0, 11, 170, unknown});
  CHECK(PreparedBenchmark::find("ade150", folder.path())->load(0).labels.labels == Labels{0, 149, 3, unknown});
  CHECK(PreparedBenchmark::find("coco171", coco)->load(0).labels.labels == Labels{0, 11, 170, unknown});
  // The other tree of COCO-Stuff.
  auto const other = folder.path() / "fc_clip/coco";
  put_picture(other / "val2017/1.jpg", 2);
  put_labels(other / "stuffthingmaps/val2017/1.png", {91, 90});
  CHECK(PreparedBenchmark::find("coco171", other.parent_path())->load(0).labels.labels == Labels{80, unknown});
}

TEST_CASE("the trees of FC-CLIP") {
  TemporaryFolder const folder;
  auto const context = folder.path() / "pascal_ctx_d2", voc = folder.path() / "pascal_voc_d2";
  put_picture(context / "images/validation/a.jpg", 3);
  put_labels(context / "annotations_ctx59/validation/a.png", {0, 58, unknown});
  put_labels(context / "annotations_ctx459/validation/a.tif", {255, 458, unknown}, 16);
  put_picture(voc / "images/validation/v.jpg", 3);
  put_labels(voc / "annotations_pascal20/validation/v.png", {0, 19, unknown});
  put_labels(voc / "annotations_pascal21/validation/v.png", {0, 20, unknown});
  auto const labels = [&](char const* name) {
    return PreparedBenchmark::find(name, folder.path())->load(0).labels.labels;
  };
  CHECK(labels("pc59") == Labels{0, 58, unknown});
  CHECK(labels("pc459") == Labels{255, 458, unknown});
  CHECK(labels("voc20") == Labels{0, 19, unknown});
  CHECK(labels("voc21") == Labels{0, 20, unknown});
  put_labels(context / "annotations_ctx459/validation/a.tif", {0, 459, 1}, 16);
  CHECK(contains(refusal("pc459", folder.path()), "a.tif' has the value 459 at row 0, column 1"));
  // As published, with the background as a class.
  auto const devkit = folder.path() / "alone/VOCdevkit/VOC2012";
  put_picture(devkit / "JPEGImages/b.jpg", 3);
  put_text(devkit / "ImageSets/Segmentation/val.txt", "b\n");
  put_labels(devkit / "SegmentationClass/b.png", {0, 20, unknown});
  CHECK(PreparedBenchmark::find("voc21", folder.path() / "alone")->load(0).labels.labels == Labels{0, 20, unknown});
}

TEST_CASE("what is missing of a benchmark that is half there") {
  TemporaryFolder const folder;
  fs::create_directories(folder.path() / "cityscapes/leftImg8bit/val");
  auto const text = missing_parts("cityscapes", folder.path());
  CHECK(contains(text, "has no labels of the benchmark cityscapes: expected '"));
  CHECK(contains(text, "cityscapes/leftImg8bit/val' (there) and '"));
  CHECK(contains(text, "cityscapes/gtFine/val' with *_gtFine_labelTrainIds.png (missing); or '"));
  CHECK(contains(missing_parts("mapillary", folder.path()), "mapillary_vistas/validation/images' (missing) and '"));
  CHECK(missing_parts("none", folder.path()).empty());
}

TEST_CASE("every form is of a benchmark that has a list of as many classes") {
  for (auto const& form : detail::prepared_forms) {
    auto const* const benchmark = find_benchmark(form.benchmark);
    REQUIRE_MESSAGE(benchmark != nullptr, form.benchmark);
    auto const listed =
        static_cast<std::size_t>(std::count(benchmark->classes.begin(), benchmark->classes.end(), '|')) + 1;
    CHECK_MESSAGE(form.classes == (benchmark->background_from ? *benchmark->background_from + 1 : listed),
                  form.benchmark);
    for (std::size_t const c : benchmark->of_interest) CHECK_MESSAGE(c < listed, form.benchmark);
  }
  auto const interest = [](char const* name) {
    auto const list = find_benchmark(name)->of_interest;
    return std::vector<std::size_t>(list.begin(), list.end());
  };
  CHECK(interest("mess_floodnet") == std::vector<std::size_t>{1, 3});
  CHECK(interest("mess_worldfloods") == std::vector<std::size_t>{1});
  CHECK(interest("mess_isprs_potsdam") == std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK(interest("mess_zerowaste") == std::vector<std::size_t>{1, 2, 3, 4});
  CHECK(interest("mess_cub_200").back() == 200);
  CHECK(interest("mess_bdd100k").empty());
}
