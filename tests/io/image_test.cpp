// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kovos/io/image.hpp"
#include "kovos/io/safetensors.hpp"

namespace {

using namespace kovos;

std::filesystem::path data() { return std::filesystem::path(KOVOS_TEST_DATA) / "images"; }

std::filesystem::path fresh_folder() {
  static int number = 0;
  auto const path = std::filesystem::temp_directory_path() /
                    ("kovos_image_" + std::to_string(getpid()) + "_" + std::to_string(number++));
  std::filesystem::create_directories(path);
  return path;
}

/// A PNG whose header claims a size that its data does not have.
std::vector<std::byte> with_size(std::vector<std::byte> png, std::uint32_t width, std::uint32_t height) {
  for (std::size_t i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<std::byte>(width >> (24 - 8 * i) & 0xFF);
    png[20 + i] = static_cast<std::byte>(height >> (24 - 8 * i) & 0xFF);
  }
  auto const sum = crc32(0, reinterpret_cast<Bytef const*>(png.data() + 12), 17);
  for (std::size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<std::byte>(sum >> (24 - 8 * i) & 0xFF);
  return png;
}

}  // namespace

TEST_CASE("pictures of every kind decode as Pillow does") {
  auto const expected = read_safetensors(data() / "expected.safetensors");
  REQUIRE(expected.tensors.size() >= 28);
  for (auto const& [name, tensor] : expected.tensors) {
    CAPTURE(name);
    auto const image = read_image(data() / name);
    REQUIRE(image.height == tensor.shape[0]);
    REQUIRE(image.width == tensor.shape[1]);
    int worst = 0;
    for (std::size_t i = 0; i < image.pixels.size(); ++i)
      worst = std::max(worst, std::abs(int{image.pixels[i]} - std::to_integer<int>(tensor.bytes[i])));
    CHECK(worst == 0);
  }
}

TEST_CASE("a truncated picture is an error at every length, never a partial picture") {
  for (auto const* name : {"rgb.png", "palette.png", "exif6.jpg", "progressive.jpg", "cmyk.jpg"}) {
    CAPTURE(name);
    auto const bytes = read_file(data() / name);
    // The last bytes are the end marker, without which the pixels are complete.
    std::size_t const end = bytes.size() - (std::string_view(name).ends_with("png") ? 12 : 2);
    for (std::size_t length = 0; length < end; ++length) {
      CAPTURE(length);
      CHECK_THROWS_AS((void)decode_image(std::span(bytes).first(length), name), ImageError);
    }
  }
}

TEST_CASE("changed bytes never crash") {
  for (auto const* name : {"rgb16.png", "palette_4bit.png", "exif5.png", "exif7.jpg", "cmyk.jpg"}) {
    auto const bytes = read_file(data() / name);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      for (int const flip : {1, 0x80, 0xFF}) {
        auto changed = bytes;
        changed[i] ^= static_cast<std::byte>(flip);
        try {
          (void)decode_image(changed, name);
        } catch (ImageError const&) {
        }
      }
  }
}

TEST_CASE("sizes are checked before memory is asked for") {
  auto const png = read_file(data() / "rgb.png");
  CHECK_THROWS_WITH_AS((void)decode_image(with_size(png, 100000, 100000), "huge.png"),
                       doctest::Contains("huge.png: 100000 x 100000 pixels are more than"), ImageError);
  CHECK_THROWS_WITH_AS((void)decode_image(with_size(png, 13000, 13000), "lie.png"),
                       doctest::Contains("too short for its size"), ImageError);
  CHECK_THROWS_AS((void)decode_image(with_size(png, 0, 5), "none.png"), ImageError);
}

TEST_CASE("what is no picture is said so") {
  auto const throws = [](std::string const& content, char const* sentence) {
    CHECK_THROWS_WITH_AS((void)decode_image(std::as_bytes(std::span(content)), "x"), doctest::Contains(sentence),
                         ImageError);
  };
  throws("", "the picture is empty");
  throws("GIF89a", "convert it to PNG or JPEG");
  CHECK_THROWS_AS((void)read_image(data() / "missing.png"), FileError);
  CHECK_THROWS_AS((void)read_image(data()), FileError);
}

TEST_CASE("pictures and labels come back as written") {
  auto const folder = fresh_folder();
  for (auto const& [height, width] : {std::pair<std::size_t, std::size_t>{1, 1}, {1, 10000}, {300, 2}}) {
    Image image{height, width, std::vector<std::uint8_t>(height * width * 3)};
    for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 37 % 256);
    write_png(folder / "p.png", image);
    CHECK(read_image(folder / "p.png").pixels == image.pixels);
  }
  LabelMap const labels{1, 4, {0, 254, LabelMap::unknown, 7}};
  write_png_labels(folder / "l.png", labels, 8);
  CHECK(read_png_labels(folder / "l.png").labels == labels.labels);
  LabelMap const many{2, 2, {255, 65534, LabelMap::unknown, 846}};
  write_png_labels(folder / "m.png", many, 16);
  CHECK(read_png_labels(folder / "m.png").labels == many.labels);
  CHECK_THROWS_WITH_AS(write_png_labels(folder / "n.png", many, 8),
                       doctest::Contains("label 255 does not fit into 8 bits"), ImageError);
  CHECK(!std::filesystem::exists(folder / "n.png"));
  CHECK_THROWS_AS(write_png(folder / "missing" / "p.png", Image{1, 1, {1, 2, 3}}), FileError);
  // Indices of a palette are labels as they are.
  CHECK(read_png_labels(data() / "palette.png").labels.size() == 54);
  CHECK(read_png_labels(data() / "palette_4bit.png").labels == read_png_labels(data() / "palette.png").labels);
  CHECK_THROWS_WITH_AS((void)read_png_labels(data() / "rgb.png"), doctest::Contains("this one has 3 channels"),
                       ImageError);
  std::filesystem::remove_all(folder);
}
