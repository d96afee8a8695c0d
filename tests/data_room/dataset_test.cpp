// SPDX-License-Identifier: Apache-2.0
#include "kovos/data/dataset.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "data_room/support.hpp"
#include "kovos/io/image.hpp"
#include "kovos/text/benchmark_classes.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using test::TemporaryFolder;
using Names = std::vector<std::string>;
using Labels = std::vector<std::uint16_t>;

namespace {

constexpr std::uint16_t unknown = LabelMap::unknown;

/// A picture of 1 x N pixels of this grey and, under the labels' folder, its label file with these values.
void put(std::filesystem::path const& images, std::filesystem::path const& labels, std::string const& name,
         Labels const& values, std::uint8_t grey = 0) {
  std::filesystem::create_directories(images);
  std::filesystem::create_directories(labels);
  write_png(images / (name + ".png"), Image{1, values.size(), std::vector<std::uint8_t>(values.size() * 3, grey)});
  write_png_labels(labels / (name + ".png"), LabelMap{1, values.size(), values}, 8);
}

Names names(SegmentationFolder const& folder) {
  Names list;
  for (std::size_t i = 0; i < folder.size(); ++i) list.push_back(folder.name(i));
  return list;
}

Names class_names(SegmentationFolder const& folder) {
  Names list;
  for (auto const& entry : folder.class_list()) list.push_back(entry.name);
  return list;
}

std::string refusal(std::filesystem::path const& path, SegmentationFolderOptions const& options = {}) {
  return message_of<DataError>([&] { SegmentationFolder(path, options); });
}

}  // namespace

TEST_CASE("a flat folder with classes.txt") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  put(root / "images", root / "annotations", "b", {0, 2, unknown}, 7);
  put(root / "images", root / "annotations", "a.left", {1});
  put(root / "images", root / "annotations", "a", {2, 2}, 9);
  put(root / "elsewhere", root / "annotations", "label_alone", {0});
  folder.write("images/notes.txt", "not a picture");
  folder.write("images/._a.png", "hidden");
  folder.write("classes.txt", "\xEF\xBB\xBF# pets\r\ncat\r\n\r\n dog = dog, hound\r\nbird");

  for (auto const& where : {root, root / "", root.parent_path() / "." / root.filename()}) {
    SegmentationFolder const data(where);
    CHECK(names(data) == Names{"a", "a.left", "b"});
    CHECK(class_names(data) == Names{"cat", "dog", "bird"});
    CHECK(data.class_list()[1].words == Names{"dog", "hound"});
    REQUIRE(data.left_out().size() == 1);
    CHECK(data.left_out()[0].file.filename() == "label_alone.png");
    CHECK(data.left_out()[0].reason == "without a picture");
    CHECK(data.class_count() == 3);
    CHECK(data.layout() == FolderLayout::plain);
    CHECK(data.benchmark().empty());
    auto const sample = data.load(2);
    CHECK(sample.name == "b");
    CHECK(sample.labels.labels == Labels{0, 2, unknown});
    CHECK(sample.image.pixels == std::vector<std::uint8_t>(9, 7));
  }
  SegmentationFolder const renamed(root, {.class_names = {"x", "y", "z", "w"}});
  CHECK(class_names(renamed) == Names{"x", "y", "z", "w"});
}

TEST_CASE("JPEG pictures, capital extensions, labels of 16 bits") {
  TemporaryFolder const folder;
  std::filesystem::path const pictures = KOVOS_TEST_DATA "/images";
  std::filesystem::create_directories(folder.path() / "images");
  std::filesystem::create_directories(folder.path() / "annotations");
  std::filesystem::copy(pictures / "exif6.jpg", folder.path() / "images" / "x.JPG");
  auto const image = read_image(pictures / "exif6.jpg");
  LabelMap labels{image.height, image.width, Labels(image.height * image.width, 300)};
  labels(1, 2) = 255;
  labels(0, 0) = unknown;
  write_png_labels(folder.path() / "annotations" / "x.png", labels, 16);
  SegmentationFolderOptions options{.layout = FolderLayout::plain, .class_names = Names(301, "thing")};
  auto const sample = SegmentationFolder(folder.path(), options).load(0);
  CHECK(sample.image.pixels == image.pixels);
  CHECK(sample.labels.labels == labels.labels);
}

TEST_CASE("training and validation, below the pictures or above them") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  SUBCASE("below") {
    put(root / "deep" / "set" / "images" / "training", root / "deep" / "set" / "annotations" / "training", "t", {0});
    put(root / "deep" / "set" / "images" / "val", root / "deep" / "set" / "annotations" / "val", "v", {1});
    folder.write("deep/set/classes.txt", "a\nb\n");
  }
  SUBCASE("above") {
    put(root / "train" / "images", root / "train" / "annotations", "t", {0});
    put(root / "validation" / "images", root / "validation" / "annotations", "v", {1});
    folder.write("classes.txt", "a\nb\n");
  }
  CHECK(names(SegmentationFolder(root, {.split = DatasetSplit::training})) == Names{"t"});
  SegmentationFolder const validation(root, {.split = DatasetSplit::validation});
  CHECK(names(validation) == Names{"v"});
  CHECK(validation.load(0).labels.labels == Labels{1});
  auto const both = refusal(root);
  CHECK(contains(both, "has pictures in more than one place"));
  CHECK(contains(both, "choose training or validation"));
}

TEST_CASE("a split that is not there") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  put(root / "images" / "training", root / "annotations" / "training", "t", {0});
  folder.write("classes.txt", "a\n");
  CHECK(names(SegmentationFolder(root)) == Names{"t"});
  CHECK(contains(refusal(root, {.split = DatasetSplit::validation}), "has no validation pictures with labels, only '"));
}

TEST_CASE("ADE20K as published and as prepared") {
  TemporaryFolder const folder;
  auto const ade = folder.path() / "ADEChallengeData2016";
  for (char const* split : {"training", "validation"}) {
    put(ade / "images" / split, ade / "annotations" / split, "p", {0, 1, 150});
    put(ade / "images" / split, ade / "annotations" / split, "q", {2});
  }
  for (auto const& root : {folder.path(), ade}) {
    SegmentationFolder const data(root, {.split = DatasetSplit::validation});
    CHECK(data.layout() == FolderLayout::ade20k);
    CHECK(data.label_encoding() == LabelEncoding::from_one);
    CHECK(data.class_count() == 150);
    CHECK(class_names(data).front() == "wall");
    CHECK(class_names(data).back() == "flag");
    CHECK(data.load(0).labels.labels == Labels{unknown, 0, 149});
    CHECK(find_benchmark(data.benchmark()) != nullptr);
  }
  SegmentationFolderOptions const validation{.split = DatasetSplit::validation};
  // Prepared labels win where they are, for their split alone.
  put(ade / "images" / "validation", ade / "annotations_detectron2" / "validation", "p", {0, 149, unknown});
  put(ade / "images" / "validation", ade / "annotations_detectron2" / "validation", "q", {3});
  CHECK(SegmentationFolder(ade, validation).load(0).labels.labels == Labels{0, 149, unknown});
  CHECK(SegmentationFolder(ade, {.split = DatasetSplit::training}).load(0).labels.labels == Labels{unknown, 0, 149});

  put(ade / "images" / "training", ade / "annotations" / "training", "q", {0, 151});
  auto const beyond =
      message_of<DataError>([&] { SegmentationFolder(ade, {.split = DatasetSplit::training}).load(1); });
  CHECK(contains(beyond, "q.png' has the value 151 at row 0, column 1, expected 0 to 150 or 255 for none"));
  // A list of names does not change what the labels mean, it must fit them.
  folder.write("ADEChallengeData2016/classes.txt", "one\ntwo\n");
  CHECK(contains(refusal(ade, validation), "which has 150 classes, but 2 class names are given"));
}

TEST_CASE("COCO-Stuff as published and as prepared") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  Labels const raw = {0,  10, 11, 12, 24, 25, 26, 27, 28, 29, 30, 43, 44,  45,  64,  65,
                      66, 67, 68, 69, 70, 71, 81, 82, 83, 89, 90, 91, 181, 182, 200, unknown};
  Labels const expected = {0,  10,      unknown, 11, 23,      unknown, 24,      25,      unknown, unknown, 26,
                           39, unknown, 40,      59, unknown, 60,      unknown, unknown, 61,      unknown, 62,
                           72, unknown, 73,      79, unknown, 80,      170,     unknown, unknown, unknown};
  std::string labels = "stuffthingmaps";
  std::string images = "train2017";
  SUBCASE("pictures beside the labels") {}
  SUBCASE("pictures in images") { images = "images/train2017"; }
  SUBCASE("the name of the download") { labels = "stuffthingmaps_trainval2017"; }
  SUBCASE("annotations") {
    labels = "annotations";
    images = "images/train2017";
  }
  put(root / images, root / labels / "train2017", "000000000009", raw);
  SegmentationFolder const data(root);
  CHECK(data.layout() == FolderLayout::coco_stuff);
  CHECK(data.class_count() == 171);
  CHECK(data.benchmark() == "coco171");
  CHECK(data.load(0).labels.labels == expected);
  CHECK(find_benchmark(data.benchmark()) != nullptr);

  put(root / images, root / "stuffthingmaps_detectron2" / "train2017", "000000000009", {170, unknown});
  SegmentationFolder const prepared(root);
  CHECK(prepared.label_encoding() == LabelEncoding::class_index);
  CHECK(prepared.load(0).labels.labels == Labels{170, unknown});
  put(root / images, root / "stuffthingmaps_detectron2" / "train2017", "000000000009", {171});
  CHECK(contains(message_of<DataError>([&] { SegmentationFolder(root).load(0); }),
                 "has the value 171 at row 0, column 0, expected 0 to 170 or 255 for none: the list has 171 classes"));
}

TEST_CASE("all 182 values of COCO-Stuff: 171 classes in increasing order") {
  std::uint16_t next = 0;
  for (std::uint16_t value = 0; value < 182; ++value) {
    auto const label = decode_label(value, LabelEncoding::coco_stuff_raw);
    if (label == unknown) continue;
    CHECK(label == next);
    ++next;
  }
  CHECK(next == 171);
}

TEST_CASE("folders that cannot be used") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  CHECK(contains(refusal(root / "gone"), "gone' is not a folder"));
  CHECK(contains(refusal(root), "has no pictures with labels in the layout automatic: expected folders images"));
  std::filesystem::create_directories(root / "images");
  std::filesystem::create_directories(root / "annotations");
  CHECK(contains(refusal(root),
                 "no classes.txt. If it is ADE20K as published, choose the layout ade20k (--layout ade20k)"));
  CHECK(contains(refusal(root, {.class_names = {"a"}}), "has images and annotations but no classes.txt"));
  CHECK(contains(refusal(root, {.layout = FolderLayout::plain}), "or give the class names"));
  folder.write("classes.txt", "# nothing\n");
  auto const bad_list = [&] { return message_of<TextError>([&] { SegmentationFolder data(root); }); };
  CHECK(contains(bad_list(), "classes.txt' names no class"));
  folder.write("classes.txt", "caf\xE9\n");
  CHECK(contains(bad_list(), "classes.txt' line 1: not UTF-8 at byte 3"));
  folder.write("classes.txt", "a\nb\n");
  CHECK(contains(refusal(root), "images' has no picture: expected files that end in"));

  put(root / "images", root / "annotations", "a", {0});
  for (char const* name : {"b.png", "c.jpg", "d.png"}) folder.write("images/" + std::string(name), "");
  auto const lonely = refusal(root);
  CHECK(contains(lonely, "b.png' has no label, nor have 2 other pictures: expected '"));
  CHECK(contains(lonely, "annotations/b.png'"));
  CHECK(lonely == refusal(root, {.unreadable_files = UnreadableFiles::skip}));
  for (char const* name : {"c.jpg", "d.png"}) std::filesystem::remove(root / "images" / name);
  CHECK(contains(refusal(root), "b.png' has no label: expected '"));
  folder.write("images/a.jpg", "");
  CHECK(contains(refusal(root), "would have the same label"));
}

TEST_CASE("samples that do not fit together are never skipped") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  folder.write("classes.txt", "a\nb\n");
  put(root / "images", root / "annotations", "large", {0, 0, 2});
  put(root / "images", root / "annotations", "wide", {0, 1});
  write_png(root / "images" / "wide.png", Image{2, 1, std::vector<std::uint8_t>(6)});
  SegmentationFolder data(root, {.unreadable_files = UnreadableFiles::skip});
  CHECK(contains(message_of<DataError>([&] { data.try_load(0); }),
                 "large.png' has the value 2 at row 0, column 2, expected 0 to 1 or 255 for none"));
  auto const sizes = message_of<DataError>([&] { data.try_load(1); });
  CHECK(contains(sizes, "images/wide.png' is 2 x 1 and its label '"));
  CHECK(contains(sizes, "annotations/wide.png' is 1 x 2 (height x width)"));
}

TEST_CASE("16-bit labels: 255 is none where it can be no class") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  put(root / "images", root / "annotations", "a", {0, 0, 0});
  write_png_labels(root / "annotations" / "a.png", LabelMap{1, 3, {254, 255, unknown}}, 16);
  auto const labels = [&](std::size_t classes, FolderLayout layout) {
    SegmentationFolderOptions const options{.layout = layout, .class_names = Names(classes, "thing")};
    return SegmentationFolder(root, options).load(0).labels.labels;
  };
  CHECK(labels(255, FolderLayout::plain) == Labels{254, unknown, unknown});
  CHECK(labels(256, FolderLayout::plain) == Labels{254, 255, unknown});
  CHECK(labels(254, FolderLayout::from_one) == Labels{253, unknown, unknown});
  CHECK(labels(255, FolderLayout::from_one) == Labels{253, 254, unknown});
}

TEST_CASE("files that are not used are named") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  folder.write("classes.txt", "a\n");
  put(root / "images", root / "annotations", "m", {0});
  put(root / "images", root / "annotations", "t", {0});
  std::filesystem::rename(root / "annotations" / "t.png", root / "annotations" / "t.tif");  // told by content
  put(root / "elsewhere", root / "annotations", "z", {0});
  put(root / "elsewhere", root / "annotations", "b", {0});
  for (char const* name : {"x.BMP", "y.webp", "list.csv"}) folder.write("images/" + std::string(name), "");
  SegmentationFolder const data(root);
  CHECK(names(data) == Names{"m", "t"});
  CHECK(data.label_path(1).filename() == "t.tif");
  CHECK(data.load(1).labels.labels == Labels{0});
  Names left_out;
  for (auto const& [file, reason] : data.left_out())
    left_out.push_back(file.filename().string() + ' ' + std::string(reason));
  CHECK(left_out == Names{"x.BMP not of the formats that are read there",
                          "y.webp not of the formats that are read there", "b.png without a picture",
                          "z.png without a picture"});
  put(root / "elsewhere", root / "annotations", "t", {0});
  CHECK(contains(refusal(root), "would be labels of the same picture"));
}

TEST_CASE("ADE20K as published in a folder of another name") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  put(root / "images" / "validation", root / "annotations" / "validation", "p", {0, 1, 150});
  CHECK(contains(refusal(root), "(--layout ade20k)"));
  SegmentationFolder const data(root, {.layout = FolderLayout::ade20k});
  CHECK(data.load(0).labels.labels == Labels{unknown, 0, 149});
  CHECK(data.class_count() == 150);
  // Advice that was followed by the letter: labels are read as they stand.
  std::string list;
  for (auto const& entry : data.class_list()) list += entry.name + "\n";
  folder.write("classes.txt", list);
  SegmentationFolder const shifted(root);
  auto const beyond = message_of<DataError>([&] { shifted.load(0); });
  CHECK(contains(beyond, "has the value 150 at row 0, column 2, expected 0 to 149"));
  CHECK(contains(beyond, "if 0 is none and the classes count from 1, choose the layout ade20k (--layout ade20k)"));
  CHECK(contains(shifted.layout_warning().value_or(""), "p.png' has the value 150, which is the number of classes"));
  put(root / "images" / "validation", root / "annotations" / "validation", "p", {0, 1, 149});
  auto const silent = shifted.layout_warning().value_or("");
  CHECK(contains(silent, "the classes are those of ADE20K"));
  CHECK(contains(silent, "(--layout ade20k)"));
  put(root / "images" / "validation", root / "annotations" / "validation", "p", {0, 1, unknown});
  CHECK_FALSE(shifted.layout_warning());
  // The other way round: class indices read as published.
  CHECK(contains(data.layout_warning().value_or(""), "1 of 1 labels have the value 255"));
}

TEST_CASE("labels with 0 as a frame") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  auto const put_square = [&](std::uint16_t frame, std::uint16_t inside) {
    std::filesystem::create_directories(root / "images");
    std::filesystem::create_directories(root / "annotations");
    write_png(root / "images" / "a.png", Image{9, 9, std::vector<std::uint8_t>(243)});
    LabelMap map{9, 9, Labels(81, inside)};
    for (std::size_t k = 0; k < 9; ++k) map(0, k) = map(8, k) = map(k, 0) = map(k, 8) = frame;
    write_png_labels(root / "annotations" / "a.png", map, 8);
  };
  auto const warning = [&] { return SegmentationFolder(root).layout_warning().value_or("none"); };
  folder.write("classes.txt", "cat\ndog\nbird\n");
  put_square(0, 2);
  CHECK(contains(warning(),
                 "in 1 of 1 labels looked at 0 is the frame, and none has 255. If so, choose the layout from_one"));
  CHECK(SegmentationFolder(root, {.layout = FolderLayout::from_one}).load(0).labels(4, 4) == 1);
  CHECK_FALSE(SegmentationFolder(root, {.layout = FolderLayout::from_one}).layout_warning());
  for (auto const& [frame, inside] : {std::pair{0, 0}, {1, 2}, {2, 0}, {255, 2}}) {
    put_square(static_cast<std::uint16_t>(frame == 255 ? unknown : frame), static_cast<std::uint16_t>(inside));
    CHECK_MESSAGE(warning() == "none", frame, " ", inside);
  }
  // A background may well be the frame.
  folder.write("classes.txt", "background\ndog\nbird\n");
  put_square(0, 2);
  CHECK(warning() == "none");
}

TEST_CASE("layouts by name") {
  for (auto const layout : folder_layouts) CHECK(find_layout(name_of(layout)) == layout);
  CHECK_FALSE(find_layout("ade"));
}

TEST_CASE("unreadable files stop, or are skipped and noted") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  folder.write("classes.txt", "a\n");
  for (char const* name : {"a", "b", "c", "d"}) put(root / "images", root / "annotations", name, {0});
  folder.write("images/b.png", "not a picture");
  SegmentationFolder strict(root);
  folder.write("annotations/c.png", "");
  std::filesystem::remove(root / "annotations" / "d.png");

  CHECK(strict.try_load(0).has_value());
  CHECK(contains(message_of<ImageError>([&] { strict.try_load(1); }), "b.png: not a picture this library reads"));
  CHECK(contains(message_of<ImageError>([&] { strict.verify(); }), "b.png"));
  CHECK(contains(message_of<FileError>([&] { strict.load(3); }), "d.png' does not exist"));
  CHECK(strict.skipped().empty());

  write_png_labels(root / "annotations" / "d.png", LabelMap{1, 1, {0}}, 8);
  SegmentationFolder lenient(root, {.unreadable_files = UnreadableFiles::skip});
  std::filesystem::remove(root / "annotations" / "d.png");
  CHECK_FALSE(lenient.try_load(2).has_value());
  CHECK_FALSE(lenient.try_load(2).has_value());
  REQUIRE(lenient.skipped().size() == 1);
  CHECK(lenient.skipped()[0].name == "c");
  CHECK(lenient.size() == 4);
  CHECK(contains(message_of<ImageError>([&] { lenient.load(2); }), "c.png"));
  lenient.verify();
  CHECK(names(lenient) == Names{"a"});
  REQUIRE(lenient.skipped().size() == 3);
  CHECK(contains(lenient.skipped()[1].reason, "b.png: not a picture this library reads"));
  CHECK(contains(lenient.skipped()[2].reason, "d.png' does not exist"));

  folder.write("images/a.png", "");
  CHECK(contains(message_of<DataError>([&] { lenient.verify(); }), "none of the 1 pictures in '"));
}

TEST_CASE("labels that may not fit their picture are doubtful, not refused") {
  TemporaryFolder const folder;
  auto const root = folder.path();
  std::filesystem::path const files = std::filesystem::path(KOVOS_TEST_DATA) / "images";
  folder.write("classes.txt", "cat\ndog");
  for (auto const* name : {"images", "annotations"}) std::filesystem::create_directories(root / name);
  for (auto const* name : {"exif1.jpg", "exif3.jpg", "exif6.jpg"})
    std::filesystem::copy_file(files / name, root / "images" / name);
  auto const stored = read_image(files / "exif1.jpg");
  for (auto const* name : {"exif1.png", "exif3.png", "exif6.png"}) {
    bool const swapped = std::string(name) == "exif6.png";
    auto const height = swapped ? stored.width : stored.height, width = swapped ? stored.height : stored.width;
    write_png_labels(root / "annotations" / name, {height, width, Labels(height * width, 1)}, 8);
  }
  // A picture of the size of palette_of_greys.png, whose indices are in the list or are not: it is named either way.
  auto const greys = read_label_file(files / "labels" / "palette_of_greys.png");
  std::filesystem::copy_file(files / "labels" / "palette_of_greys.png", root / "annotations" / "greys.png");
  write_png(root / "images" / "greys.png",
            Image{greys.height, greys.width, std::vector<std::uint8_t>(greys.values.size() * 3)});
  std::string list;
  for (int i = 0; i < 255; ++i) list += "thing " + std::to_string(i) + '\n';
  folder.write("classes.txt", list);

  SegmentationFolder data(root);
  REQUIRE(names(data) == Names{"exif1", "exif3", "exif6", "greys"});
  CHECK(data.load(0).doubt.empty());
  CHECK(
      contains(data.load(1).doubt, "exif3.jpg' is turned or mirrored as its orientation 3 says, and its label is not"));
  CHECK(contains(data.load(2).doubt, "orientation 6 says"));
  CHECK(contains(data.load(3).doubt, "greys.png' has a palette of greys that are not their own indices"));
  CHECK(data.doubtful().empty());
  data.verify();
  REQUIRE(data.doubtful().size() == 3);
  CHECK(data.doubtful()[2].name == "greys");

  std::filesystem::remove(root / "images" / "exif6.jpg");  // turned back it would have another size than its label
  SegmentationFolder const as_stored(root, {.image = {.apply_orientation = false}});
  CHECK(as_stored.load(1).doubt.empty());
  CHECK_FALSE(as_stored.load(2).doubt.empty());
}
