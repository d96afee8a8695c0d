// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#ifdef KOVOS_ENABLE_TIFF

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kovos/core/label_map.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/label_file.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tiff.hpp"

namespace {

using namespace kovos;

std::filesystem::path data() { return std::filesystem::path(KOVOS_TEST_DATA) / "tiff"; }

std::filesystem::path fresh_folder() {
  static int number = 0;
  auto const path = std::filesystem::temp_directory_path() /
                    ("kovos_tiff_" + std::to_string(getpid()) + "_" + std::to_string(number++));
  std::filesystem::create_directories(path);
  return path;
}

/// A recorded array as the reader's own kind of window, to be compared value by value.
TiffWindow recorded(TensorBytes const& tensor) {
  TiffWindow window;
  window.bits = static_cast<int>(8 * tensor.bytes.size() / tensor.size());
  bool const floating = tensor.dtype == DType::f32 || tensor.dtype == DType::f64;
  bool const with_sign = tensor.dtype == DType::i8 || tensor.dtype == DType::i16 || tensor.dtype == DType::i32;
  window.sample = floating    ? TiffSample::floating
                  : with_sign ? TiffSample::signed_integer
                              : TiffSample::unsigned_integer;
  window.samples.assign(tensor.bytes.begin(), tensor.bytes.end());
  return window;
}

std::vector<std::byte> file(char const* name) { return read_file(data() / name); }

/// Changes the value of a SHORT or LONG tag of a little-endian classic TIFF.
std::vector<std::byte> with_tag(std::vector<std::byte> bytes, unsigned tag, std::uint32_t value) {
  auto const u16 = [&](std::size_t i) {
    return std::to_integer<unsigned>(bytes[i]) | std::to_integer<unsigned>(bytes[i + 1]) << 8;
  };
  std::size_t const directory = u16(4) | std::size_t{u16(6)} << 16;
  for (std::size_t n = 0; n < u16(directory); ++n) {
    std::size_t const entry = directory + 2 + 12 * n;
    if (u16(entry) != tag) continue;
    std::size_t const size = u16(entry + 2) == 3 ? 2 : 4;
    for (std::size_t i = 0; i < size; ++i) bytes[entry + 8 + i] = static_cast<std::byte>(value >> 8 * i & 0xFF);
    return bytes;
  }
  FAIL("the file has no tag ", tag);
  return bytes;
}

/// Whether `f` throws an ImageError with all of these words.
template <class F>
void refuses(F const& f, std::initializer_list<char const*> words) {
  std::string what = "nothing was thrown";
  try {
    f();
  } catch (ImageError const& error) {
    what = error.what();
  }
  for (auto const* word : words) {
    CAPTURE(what);
    CAPTURE(std::string(word));
    CHECK(what.find(word) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("TIFFs of every kind hold the samples that were written, and become Pillow's pictures") {
  auto const expected = read_safetensors(data() / "expected.safetensors");
  std::size_t samples = 0, pictures = 0;
  for (auto const& [key, tensor] : expected.tensors) {
    CAPTURE(key);
    std::string const name = key.substr(key.find('/') + 1);
    if (name == "rgb_zstd.tif" && !TIFFIsCODECConfigured(COMPRESSION_ZSTD)) continue;
    if (key.starts_with("samples/")) {
      ++samples;
      TiffReader reader(data() / name);
      auto const& layout = reader.layout();
      REQUIRE(layout.height == tensor.shape[0]);
      REQUIRE(layout.width == tensor.shape[1]);
      REQUIRE(layout.bands == tensor.shape[2]);
      auto const values = recorded(tensor);
      auto const window = reader.read(0, 0, layout.height, layout.width);
      REQUIRE(window.samples.size() == values.samples.size());
      CHECK(std::equal(window.samples.begin(), window.samples.end(), values.samples.begin()));
    }
    if (key.starts_with("rgb/")) {
      ++pictures;
      auto const bytes = read_file(data() / name);
      auto const image = detail::decode_tiff(bytes, name);
      REQUIRE(image.height == tensor.shape[0]);
      REQUIRE(image.width == tensor.shape[1]);
      int worst = 0;
      for (std::size_t i = 0; i < image.pixels.size(); ++i)
        worst = std::max(worst, std::abs(int{image.pixels[i]} - std::to_integer<int>(tensor.bytes[i])));
      CHECK(worst == 0);
    }
  }
  CHECK(samples >= 41);
  CHECK(pictures >= 40);
}

TEST_CASE("label TIFFs have Pillow's values") {
  auto const expected = read_safetensors(data() / "expected.safetensors");
  std::size_t count = 0;
  for (auto const& [key, tensor] : expected.tensors) {
    if (!key.starts_with("labels/")) continue;
    CAPTURE(key);
    ++count;
    auto const values = recorded(tensor);
    auto const labels = detail::decode_tiff_labels(data() / key.substr(7));
    REQUIRE(labels.height == tensor.shape[0]);
    REQUIRE(labels.width == tensor.shape[1]);
    CHECK(labels.bits == (key.find("16") != std::string::npos || key.find("32") != std::string::npos ||
                                  key.find("float") != std::string::npos
                              ? 16
                              : 8));
    bool same = true;
    for (std::size_t i = 0; i < labels.values.size(); ++i) same = same && labels.values[i] == values.number(i);
    CHECK(same);
  }
  CHECK(count >= 18);
  auto const one = detail::decode_tiff_labels(data() / "grey.tif");
  CHECK(detail::decode_tiff_labels(data() / "three_equal.tif").values == one.values);
  CHECK(one.values[3 * 37 + 5] == 255);
}

TEST_CASE(
    "the orientation is applied unless the options say otherwise; to labels too, as Pillow 13.0 does for TIFF alone") {
  auto const turned = detail::decode_tiff(file("orientation6.tif"), "x");
  auto const as_stored = detail::decode_tiff(file("orientation6.tif"), "x", {BitDepth::saturate, false});
  CHECK(turned.height == as_stored.width);
  CHECK(as_stored.pixels == detail::decode_tiff(file("rgb.tif"), "x").pixels);
  auto const upright = read_label_file(data() / "grey.tif"),
             on_its_side = read_label_file(data() / "grey_orientation6.tif");
  REQUIRE(on_its_side.height == upright.width);
  CHECK(on_its_side.values[0] == upright.values[20 * 37]);
  CHECK(read_image(data() / "orientation6.tif").pixels == turned.pixels);
}

TEST_CASE("any window in any bands is that part of the whole") {
  for (auto const* name :
       {"rgb_planar_tiled.tif", "five_bands_16.tif", "five_bands_16_planar_tiled.tif", "rgb16_big_endian.tif",
        "rgb_bigtiff.tif", "grey_4bit.tif", "grey_1bit.tif", "rgb_jpeg.tif"}) {
    CAPTURE(name);
    TiffReader reader(data() / name);
    auto const& layout = reader.layout();
    auto const whole = reader.read(0, 0, layout.height, layout.width);
    auto const size = static_cast<std::size_t>(whole.bits / 8);
    for (auto const& [top, left, height, width] :
         {std::array<std::size_t, 4>{0, 0, 1, 1}, {20, 36, 1, 1}, {3, 7, 15, 22}, {15, 15, 2, 2}, {0, 31, 21, 6}}) {
      std::vector<std::size_t> bands{layout.bands - 1, 0, layout.bands / 2};
      auto const window = reader.read(top, left, height, width, bands);
      bool same = window.bands == 3 && window.samples.size() == height * width * 3 * size;
      for (std::size_t i = 0; same && i < height * width * 3; ++i) {
        std::size_t const from =
            ((top + i / 3 / width) * layout.width + left + i / 3 % width) * layout.bands + bands[i % 3];
        same = std::memcmp(window.samples.data() + i * size, whole.samples.data() + from * size, size) == 0;
      }
      CHECK(same);
    }
  }
  TiffReader reader(data() / "rgb.tif");
  refuses([&] { (void)reader.read(0, 0, 22, 1); }, {"rgb.tif", "are not inside the picture of 37 x 21"});
  refuses([&] { (void)reader.read(0, 37, 1, 1); }, {"column 37"});
  refuses([&] { (void)reader.read(0, 0, 0, 1); }, {"not inside"});
  std::size_t const fourth[] = {3};
  refuses([&] { (void)reader.read(0, 0, 1, 1, fourth); }, {"no band 4", "3 bands"});
}

TEST_CASE("what a TIFF is, and where on earth") {
  TiffReader const big(data() / "rgb_bigtiff.tif"), motorola(data() / "rgb_planar.tif"),
      other(data() / "five_bands_16_planar_tiled.tif"), earth(data() / "georeferenced.tif");
  CHECK(big.layout().big);
  CHECK(big.layout().tiled);
  CHECK(!big.layout().big_endian);
  CHECK(motorola.layout().planar);
  CHECK(!motorola.layout().big);
  CHECK(other.layout().big_endian);
  CHECK(other.layout().planar);
  CHECK(other.layout().bits == 16);
  CHECK(earth.georeference().pixel_scale == std::vector<double>{10, 10, 0});
  CHECK(earth.georeference().tiepoints == std::vector<double>{0, 0, 0, 399960, 5900040, 0});
  CHECK(earth.georeference().keys.size() == 16);
  CHECK(earth.georeference().keys.back() == 32632);
  CHECK(earth.no_data() == 0.0);
  CHECK(big.georeference().empty());
  CHECK(!big.no_data());
}

TEST_CASE("16 bits by the whole range, by a range of values, and of five bands the first three") {
  TiffReader reader(data() / "five_bands_16.tif");
  auto const window = reader.read(0, 0, 21, 37);
  auto const high = as_rgb(reader, window);
  auto const scaled = as_rgb(reader, window, {BitDepth::scale});
  auto const ranged = as_rgb(reader, window, {}, ValueRange{1000, 3000});
  bool same = true;
  for (std::size_t i = 0; i < 21 * 37 * 3; ++i) {
    double const value = window.number(i / 3 * 5 + i % 3);
    same = same && high.pixels[i] == static_cast<int>(value) >> 8;
    same = same && scaled.pixels[i] == std::floor(value * 255 / 65535 + 0.5);
    double const inside = std::min(std::max(value, 1000.0), 3000.0);
    same = same && ranged.pixels[i] == std::floor((inside - 1000) / 2000 * 255 + 0.5);
  }
  CHECK(same);
  CHECK(detail::decode_tiff(file("five_bands_16.tif"), "x").pixels == high.pixels);
  auto const grey = file("grey16.tif");
  CHECK(detail::decode_tiff(grey, "x", {BitDepth::scale}).pixels[0] == 2);  // 473 of 65535
  refuses([&] { (void)detail::decode_tiff(file("grey_float.tif"), "x", {BitDepth::scale}); },
          {"not unsigned integers of 16 bits"});
}

TEST_CASE("what cannot be labels is refused by pixel or by kind") {
  auto const labels = [](std::vector<std::byte> const& bytes) {
    TiffReader reader(bytes, "l.tif");
    (void)detail::decode_tiff_labels(reader);
  };
  refuses([&] { labels(file("grey_1bit.tif")); }, {"l.tif", "1 bit", "Pillow"});
  refuses([&] { labels(file("rgb.tif")); }, {"row 0, column 0", "three equal channels"});
  refuses([&] { labels(file("five_bands_16.tif")); }, {"one band", "has 5"});
  refuses([&] { labels(file("rgb16.tif")); }, {"three bands have 8 bits"});
  auto const strip = [](std::vector<std::byte> const& bytes) {  // where the samples of one uncompressed strip begin
    return bytes.size() - 21 * 37 * 4;
  };
  auto negative = file("grey_s32.tif");
  for (std::size_t i = 0; i < 4; ++i) negative[strip(negative) + 4 * (2 * 37 + 8) + i] = std::byte{0xFF};
  refuses([&] { labels(negative); }, {"row 2, column 8", "value -1", "0 to 65535"});
  auto large = file("grey_u32.tif");
  large[strip(large) + 4 * 38 + 2] = std::byte{1};
  refuses([&] { labels(large); }, {"row 1, column 1", "expected a whole number from 0 to 65535"});
  auto fraction = file("grey_float.tif");
  float const half = 3.5f;
  std::memcpy(fraction.data() + strip(fraction) + 4 * 5, &half, 4);
  refuses([&] { labels(fraction); }, {"row 0, column 5", "3.5"});
}

TEST_CASE("TIFFs that cannot be read are a sentence each") {
  auto const decode = [](std::vector<std::byte> const& bytes) { (void)detail::decode_tiff(bytes, "t.tif"); };
  auto const rgb = file("rgb.tif");
  refuses([&] { decode(with_tag(rgb, 259, 34712)); }, {"t.tif", "JPEG 2000", "libtiff cannot read", "Deflate"});
  refuses([&] { decode(with_tag(rgb, 259, 54321)); }, {"number 54321"});
  refuses([&] { decode(with_tag(rgb, 259, 6)); }, {"JPEG"});
  refuses([&] { decode(with_tag(rgb, 262, 5)); }, {"inks (CMYK)", "convert it to RGB"});
  refuses([&] { decode(with_tag(rgb, 262, 8)); }, {"L*a*b*"});
  refuses([&] { decode(with_tag(file("grey.tif"), 258, 12)); }, {"12 bits"});
  refuses([&] { decode(with_tag(rgb, 256, 0)); }, {"t.tif"});
  refuses([&] { decode(with_tag(with_tag(rgb, 256, 13000), 257, 13000)); }, {"t.tif"});
  refuses([&] { decode(with_tag(with_tag(rgb, 256, 100000), 257, 100000)); }, {"100000 x 100000 pixels are more than"});
  refuses([&] { decode({}); }, {"damaged TIFF"});
  CHECK_THROWS_AS((TiffReader{data() / "missing.tif"}), FileError);
  CHECK_THROWS_AS((TiffReader{data()}), FileError);
}

TEST_CASE("a truncated TIFF is an error, never a partial picture; changed bytes never crash") {
  for (auto const* name : {"rgb_deflate_tiled.tif", "rgb_lzw_predictor.tif", "rgb_packbits.tif", "rgb_jpeg.tif",
                           "rgb_planar_tiled.tif", "grey16_big_endian_tiled.tif", "grey_float_predictor.tif"}) {
    CAPTURE(name);
    auto const bytes = file(name);
    auto const whole = detail::decode_tiff(bytes, name);
    for (std::size_t length = 0; length < bytes.size(); length += 1 + length / 40) {
      CAPTURE(length);
      bool whole_anyway = true, same = true;  // what is cut off may be padding
      try {
        same = detail::decode_tiff(std::span(bytes).first(length), name).pixels == whole.pixels;
      } catch (ImageError const&) {
        whole_anyway = false;
      }
      CHECK(same);
      CHECK((!whole_anyway || length + 8 >= bytes.size()));
    }
    for (std::size_t i = 0; i < bytes.size(); i += i < 600 ? 1 : 41)
      for (int const flip : {1, 0x80}) {
        auto changed = bytes;
        changed[i] ^= static_cast<std::byte>(flip);
        try {
          (void)detail::decode_tiff(changed, name);
        } catch (ImageError const&) {
        }
      }
  }
}

TEST_CASE("label TIFFs come back as written, tile by tile in any order, with their place on earth") {
  auto const folder = fresh_folder();
  TiffReader const earth(data() / "georeferenced.tif");
  for (int const bits : {8, 16}) {
    CAPTURE(bits);
    LabelMap labels{700, 1100, std::vector<std::uint16_t>(700 * 1100)};
    for (std::size_t i = 0; i < labels.labels.size(); ++i)
      labels.labels[i] = static_cast<std::uint16_t>(i * 31 % (bits == 8 ? 250 : 60000));
    labels(699, 1099) = LabelMap::unknown;
    auto const part = [&](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
      LabelMap result{height, width, std::vector<std::uint16_t>(height * width)};
      for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x) result(y, x) = labels(top + y, left + x);
      return result;
    };
    TiffLabelFormat const format{
        700, 1100, bits, earth.georeference(),
        bits == 8 ? std::vector<std::uint8_t>{1, 2, 3, 250, 251, 252} : std::vector<std::uint8_t>{}};
    auto const path = folder / "labels.tif";
    write_tiff_labels(path, format, [&](TiffLabelTiles& tiles) {
      tiles.write(512, 1024, part(512, 1024, 188, 76));
      tiles.write(0, 0, part(0, 0, 512, 1100));
      tiles.write(512, 0, part(512, 0, 188, 1024));
    });
    TiffReader reader(path);
    CHECK(reader.layout().tiled);
    CHECK(reader.layout().bits == bits);
    CHECK(!reader.layout().big);
    CHECK(reader.no_data() == (bits == 8 ? 255.0 : 65535.0));
    CHECK(reader.georeference().pixel_scale == earth.georeference().pixel_scale);
    CHECK(reader.georeference().tiepoints == earth.georeference().tiepoints);
    CHECK(reader.georeference().keys == earth.georeference().keys);
    if (bits == 8)
      CHECK(std::vector<std::uint8_t>(reader.palette().begin(), reader.palette().begin() + 9) ==
            std::vector<std::uint8_t>{1, 2, 3, 250, 251, 252, 0, 0, 0});
    auto read = detail::decode_tiff_labels(path);
    for (auto& value : read.values)
      if (value == (bits == 8 ? 255 : 65535)) value = LabelMap::unknown;
    CHECK(read.values == labels.labels);
  }
  // What goes wrong leaves nothing behind.
  auto const bad = folder / "bad.tif";
  LabelMap const one{1, 1, {255}};
  refuses(
      [&] {
        write_tiff_labels(bad, {1, 1, 8}, [&](TiffLabelTiles& tiles) { tiles.write(0, 0, one); });
      },
      {"label 255", "16 bits"});
  refuses([&] { write_tiff_labels(bad, {1, 1, 8}, [](TiffLabelTiles&) {}); }, {"not all labels"});
  refuses(
      [&] {
        write_tiff_labels(bad, {600, 600, 16}, [&](TiffLabelTiles& tiles) { tiles.write(0, 0, one); });
      },
      {"do not lie on tiles"});
  refuses([&] { write_tiff_labels(bad, {1, 1, 4}, [](TiffLabelTiles&) {}); }, {"8 or 16 bits, not 4"});
  std::set<std::string> left;
  for (auto const& entry : std::filesystem::directory_iterator(folder)) left.insert(entry.path().filename().string());
  CHECK(left == std::set<std::string>{"labels.tif"});
  std::filesystem::remove_all(folder);
}

#endif
