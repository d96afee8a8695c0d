// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
  REQUIRE(expected.tensors.size() == 67);
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

TEST_CASE("JPEGs of which libjpeg warns, but whose picture data is all there, give their pixels") {
  // Pillow's pixels are checked above; that it is the same picture in spite of the edit, here.
  auto const plain = read_image(data() / "odd_after_end.jpg");
  for (auto const* name : {"odd_between_segments.jpg", "odd_between_segments_long.jpg", "odd_before_scan.jpg",
                           "odd_before_end.jpg", "odd_no_end.jpg", "odd_scan_parameters.jpg", "odd_scan_bits.jpg",
                           "odd_jfif_version.jpg", "odd_adobe_transform.jpg", "odd_fill_bytes.jpg"}) {
    CAPTURE(name);
    CHECK(read_image(data() / name).pixels == plain.pixels);
  }
  CHECK(read_image(data() / "odd_before_restart.jpg").pixels == read_image(data() / "restarts.jpg").pixels);
}

TEST_CASE("JPEGs whose picture data is incomplete stay errors") {
  auto const bytes = read_file(data() / "restarts.jpg");
  auto const at = [](std::vector<std::byte> const& in, int marker, std::size_t from = 0) {
    for (std::size_t i = from; i + 1 < in.size(); ++i)
      if (in[i] == std::byte{0xFF} && in[i + 1] == static_cast<std::byte>(marker)) return i;
    FAIL("no such marker");
    return in.size();
  };
  auto const without = [](std::vector<std::byte> in, std::size_t first, std::size_t last) {
    in.erase(in.begin() + static_cast<std::ptrdiff_t>(first), in.begin() + static_cast<std::ptrdiff_t>(last));
    return in;
  };
  auto const throws = [](std::vector<std::byte> const& content, char const* warning) {
    CHECK_THROWS_WITH_AS((void)decode_image(content, "x.jpg"), doctest::Contains(warning), ImageError);
  };
  std::size_t const first = at(bytes, 0xD0), second = at(bytes, 0xD1);
  throws(without(bytes, first + 2, second), "x.jpg: damaged JPEG (Corrupt JPEG data: premature end of data segment)");
  throws(without(bytes, second - 4, bytes.size() - 2), "premature end of data segment");
  throws(without(bytes, first, second), "found marker 0xd1 instead of RST0");
  // Of a progressive picture, a scan that others build on.
  auto const progressive = read_file(data() / "progressive.jpg");
  bool refused = false;
  for (std::size_t scan = at(progressive, 0xDA); scan < progressive.size();) {
    std::size_t next = scan + 2;
    while (next + 1 < progressive.size() &&
           !(progressive[next] == std::byte{0xFF} && progressive[next + 1] != std::byte{}))
      ++next;
    try {
      (void)decode_image(without(progressive, scan, next), "x.jpg");
    } catch (ImageError const& error) {
      refused = refused || std::string(error.what()).find("Inconsistent progression") != std::string::npos;
    }
    scan = next;
    while (scan + 1 < progressive.size() &&
           !(progressive[scan] == std::byte{0xFF} && progressive[scan + 1] == std::byte{0xDA}))
      ++scan;
    if (scan + 1 >= progressive.size()) break;
  }
  CHECK(refused);
}

TEST_CASE("JPEGs that libjpeg cannot read are named, not called damaged") {
  auto const throws = [](std::vector<std::byte> const& content, char const* sentence) {
    try {
      (void)decode_image(content, "x.jpg");
      FAIL_CHECK("decoded, expected: " << sentence);
    } catch (ImageError const& error) {
      std::string const text = error.what();
      CHECK_MESSAGE(text.find(sentence) != std::string::npos, text);
      CHECK_MESSAGE(text.find("damaged") == std::string::npos, text);
      CHECK_MESSAGE(text.find("convert it to PNG") != std::string::npos, text);
    }
  };
  throws(read_file(data() / "foreign" / "twelve_bits.jpg"), "x.jpg: a JPEG of 12 bits per sample, which the libjpeg");
  throws(read_file(data() / "foreign" / "lossless16.jpg"), "x.jpg: a lossless JPEG (SOF3, 16 bits)");
  throws(read_file(data() / "foreign" / "jpeg_ls.jpg"), "x.jpg: a JPEG-LS picture (8 bits)");
#if LIBJPEG_TURBO_VERSION_NUMBER < 3000000
  throws(read_file(data() / "foreign" / "lossless8.jpg"), "x.jpg: a lossless JPEG (SOF3, 8 bits)");
#endif
  auto const plain = read_file(data() / "odd_after_end.jpg");
  std::size_t frame = 2;
  while (plain[frame] != std::byte{0xFF} || plain[frame + 1] != std::byte{0xC0}) ++frame;
  auto const changed = [&](std::size_t at, int value) {
    auto content = plain;
    content[frame + at] = static_cast<std::byte>(value);
    return content;
  };
  throws(changed(1, 0xC5), "a hierarchical JPEG (SOF5)");
  throws(changed(1, 0xCB), "a lossless JPEG with arithmetic coding (SOF11)");
  auto fraction = changed(11, 0x32);  // brightness three times, colour twice in a row
  fraction[frame + 14] = fraction[frame + 17] = std::byte{0x21};
  throws(fraction, "a JPEG whose colour is sampled in a fraction of its brightness");
  auto two = plain;
  std::size_t scan = frame;
  while (two[scan] != std::byte{0xFF} || two[scan + 1] != std::byte{0xDA}) ++scan;
  auto const drop = [&](std::size_t at, std::size_t count) {
    two.erase(two.begin() + static_cast<std::ptrdiff_t>(at), two.begin() + static_cast<std::ptrdiff_t>(at + count));
  };
  two[scan + 3] = std::byte{10};
  two[scan + 4] = std::byte{2};
  drop(scan + 9, 2);
  two[frame + 3] = std::byte{14};
  two[frame + 9] = std::byte{2};
  drop(frame + 16, 3);
  throws(two, "a JPEG of 2 components");
  CHECK_THROWS_WITH_AS((void)decode_image(changed(4, 103), "x.jpg"), doctest::Contains("x.jpg: damaged JPEG"),
                       ImageError);
  throws(changed(4, 12), "a JPEG of 12 bits per sample");
  auto no_height = changed(5, 0);
  no_height[frame + 6] = std::byte{0};
  throws(no_height, "states its height after the picture data (DNL)");
}

TEST_CASE("JPEGs with arithmetic coding give the same pixels as with Huffman coding, or are named") {
  std::vector<Image> images;
  for (bool const arithmetic : {false, true}) {
    jpeg_compress_struct info{};
    jpeg_error_mgr errors{};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* bytes = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &bytes, &size);
    info.image_width = 40;
    info.image_height = 24;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    info.arith_code = arithmetic ? TRUE : FALSE;
    jpeg_start_compress(&info, TRUE);
    std::vector<std::uint8_t> row(120);
    for (int y = 0; y < 24; ++y) {
      for (int x = 0; x < 120; ++x) row[static_cast<std::size_t>(x)] = static_cast<std::uint8_t>(x * 2 + y * 5);
      std::uint8_t* line = row.data();
      jpeg_write_scanlines(&info, &line, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    std::vector<std::byte> const content(reinterpret_cast<std::byte*>(bytes),
                                         reinterpret_cast<std::byte*>(bytes) + size);
    std::free(bytes);
    try {
      images.push_back(decode_image(content, "x.jpg"));
    } catch (ImageError const& error) {
      CHECK(arithmetic);
      CHECK(std::string(error.what()).find("a JPEG with arithmetic coding (SOF9)") != std::string::npos);
    }
  }
  REQUIRE(!images.empty());
  CHECK(images.front().pixels == images.back().pixels);
}

TEST_CASE("orientation can be asked for, and left out") {
  auto const stored = read_image(data() / "exif1.png");
  for (int orientation = 1; orientation <= 8; ++orientation)
    for (auto const* ending : {".png", ".jpg"}) {
      auto const name = "exif" + std::to_string(orientation) + ending;
      CAPTURE(name);
      CHECK(image_orientation(read_file(data() / name)) == orientation);
      auto const ignored = read_image(data() / name, {.apply_orientation = false});
      CHECK(ignored.pixels == read_image(data() / (std::string("exif1") + ending)).pixels);
      CHECK(ignored.height == stored.height);
    }
  for (auto const& [name, orientation] : {std::pair{"exif_long.jpg", 8},
                                          {"exif_byte.jpg", 1},
                                          {"exif_twice.jpg", 6},
                                          {"exif_none_xmp.jpg", 1},
                                          {"xmp.jpg", 6},
                                          {"exif_before_xmp.jpg", 3},
                                          {"exif_marked.png", 6},
                                          {"exif_after.png", 6},
                                          {"raw_profile.png", 6},
                                          {"raw_profile_text.png", 6},
                                          {"xmp.png", 5},
                                          {"xmp_deflated.png", 7},
                                          {"xmp_element.png", 3},
                                          {"rgb.ppm", 1}}) {
    CAPTURE(name);
    CHECK(image_orientation(read_file(data() / name)) == orientation);
  }
  // Of a file that is cut anywhere there is no more to tell, and no less than a number.
  for (auto const* name : {"xmp_deflated.png", "raw_profile.png", "exif_before_xmp.jpg", "exif7.jpg"}) {
    auto const bytes = read_file(data() / name);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      int const orientation = image_orientation(std::span(bytes).first(length));
      CHECK(orientation >= 1);
      CHECK(orientation <= 8);
    }
  }
}

TEST_CASE("16 bits are scaled where the options say so") {
  auto const value = [](std::size_t high, std::size_t low) {
    return static_cast<int>(std::lround(static_cast<double>(high << 8 | low) * 255 / 65535));
  };
  for (auto const& [name, channels] : {std::pair{"grey16.png", 1}, {"grey_alpha16.png", 2}, {"rgb16.png", 3}}) {
    CAPTURE(name);
    auto const bytes = read_file(data() / name);
    auto const raw = detail::read_png_data(bytes, true, name);
    REQUIRE(raw.channels == static_cast<std::size_t>(channels));
    auto const image = read_image(data() / name, {.bit_depth = BitDepth::scale});
    bool differs = false;
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
      std::size_t const at = 2 * (i / 3 * raw.channels + (channels == 3 ? i % 3 : 0));
      REQUIRE(int{image.pixels[i]} == value(raw.rows[at], raw.rows[at + 1]));
      differs = differs || image.pixels[i] != read_image(data() / name).pixels[i];
    }
    CHECK(differs);
    // 8 bits are what they are.
    CHECK(read_image(data() / "rgb.png", {.bit_depth = BitDepth::scale}).pixels ==
          read_image(data() / "rgb.png").pixels);
  }
  std::string const pgm("P5 4 1 65535\n\x00\x80\x00\x81\x7F\xFF\xFF\xFF", 21);
  auto const grey = decode_image(std::as_bytes(std::span(pgm)), "x", {.bit_depth = BitDepth::scale});
  CHECK(grey.pixels == std::vector<std::uint8_t>{0, 0, 0, 1, 1, 1, 127, 127, 127, 255, 255, 255});
}

TEST_CASE("files of other formats are named") {
  for (auto const& [name, word] : {std::pair{"picture.gif", "but GIF; convert it to PNG or JPEG"},
                                   {"picture.bmp", "but BMP"},
                                   {"picture.webp", "but WebP"},
                                   {"picture.avif", "but AVIF"},
                                   {"picture.jp2", "but JPEG 2000"},
                                   {"picture.jxl", "but JPEG XL"},
                                   {"picture_box.jxl", "but JPEG XL"},
                                   {"picture.ico", "but ICO"},
                                   {"picture.pdf", "but PDF; save its pages as PNG or JPEG"}}) {
    CHECK_THROWS_WITH_AS((void)read_image(data() / "foreign" / name), doctest::Contains(word), ImageError);
    CHECK_THROWS_WITH_AS((void)read_label_file(data() / "foreign" / name), doctest::Contains("not a label file"),
                         ImageError);
    CHECK(!is_picture_name(name));
  }
#ifndef KOVOS_ENABLE_TIFF
  CHECK_THROWS_WITH_AS((void)read_image(data() / "foreign" / "picture.tif"),
                       doctest::Contains("is a TIFF; this build has no TIFF component"), ImageError);
  CHECK_THROWS_WITH_AS((void)read_label_file(data() / "foreign" / "picture.tif"),
                       doctest::Contains("is a TIFF; this build has no TIFF component"), ImageError);
#endif
  auto const throws = [](std::string const& content, char const* sentence) {
    CHECK_THROWS_WITH_AS((void)decode_image(std::as_bytes(std::span(content)), "x"), doctest::Contains(sentence),
                         ImageError);
  };
  throws(std::string("\0\0\0\x18"
                     "ftypheic\0\0\0\0",
                     16),
         "but HEIC");
  throws(std::string("\0\0\0\x18"
                     "ftypmif1\0\0\0\0",
                     16),
         "but HEIF");
  throws(std::string("\0\0\0\x18"
                     "ftypisom\0\0\0\0",
                     16),
         "but a video");
  throws("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "fetch the picture with git lfs pull");
  throws("<!DOCTYPE html><html>", "but a web page; download the picture again");
  throws("BM, as text begins", "not a picture this library reads; convert");
  auto apple = read_file(data() / "rgb.png");
  for (std::size_t i = 0; i < 4; ++i) apple[12 + i] = static_cast<std::byte>("CgBI"[i]);
  CHECK_THROWS_WITH_AS((void)decode_image(apple, "x"), doctest::Contains("Apple's form for iPhones (CgBI)"),
                       ImageError);
}

TEST_CASE("a name that is listed as a picture belongs to a decoder") {
  for (auto const extension : picture_extensions()) {
    CAPTURE(extension);
    REQUIRE(!extension.empty());
    CHECK(is_picture_name("folder.d/a" + std::string(extension)));
    std::string upper(extension);
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    CHECK(is_picture_name("A" + upper));
  }
  for (auto const* name : {"a.gif", "a", ".png", "a.png.txt", "png", "a.jp2"}) CHECK(!is_picture_name(name));
  CHECK(picture_extensions_text().starts_with(".jpg, .jpeg, "));
  CHECK(picture_extensions_text().find(" or .") != std::string::npos);
  // Every kind of file that is recorded as decoded.
  for (auto const& [name, tensor] : read_safetensors(data() / "expected.safetensors").tensors)
    CHECK(is_picture_name(name));
}

TEST_CASE("damaged PPM and PGM files are errors") {
  auto const throws = [](std::string const& content, char const* sentence) {
    CHECK_THROWS_WITH_AS((void)decode_image(std::as_bytes(std::span(content)), "x"), doctest::Contains(sentence),
                         ImageError);
  };
  for (auto const* name : {"rgb.ppm", "grey1023.pgm", "bits.pbm", "plain.ppm", "plain.pgm"}) {
    CAPTURE(name);
    auto const bytes = read_file(data() / name);
    // A plain picture may end after a digit of its last number.
    std::size_t const end = bytes.size() - (std::string_view(name).starts_with("plain") ? 7 : 0);
    for (std::size_t length = 0; length < end; ++length)
      CHECK_THROWS_AS((void)decode_image(std::span(bytes).first(length), name), ImageError);
  }
  throws("P6 2 2 255\n123", "truncated: 2 x 2 pixels need at least 12 bytes after the header, got 3");
  throws("P5 100000 100000 255\n", "are more than");
  throws("P5 0 7 255\n", "which is empty");
  throws("P5 2 1 65536\n0000", "states a maximum of 65536, expected 1 to 65535");
  throws("P5 2 1 0\n00", "states a maximum of 0");
  throws("P5 2x 1 255\n00", "no number at byte 3");
  throws("P2 2 1 9\n3 10 ", "row 0 has the value 10, more than the stated maximum 9");
  throws("P5 99999999999 1 255\n", "no number at byte 3");
}

TEST_CASE("label files give the values that Pillow gives") {
  auto const expected = read_safetensors(data() / "labels" / "expected.safetensors");
  REQUIRE(expected.tensors.size() == 19);
  for (auto const& [name, tensor] : expected.tensors) {
    CAPTURE(name);
    auto const file = read_label_file(data() / "labels" / name);
    REQUIRE(file.height == tensor.shape[0]);
    REQUIRE(file.width == tensor.shape[1]);
    CHECK(file.bits == (name.find("16") == name.npos ? 8 : 16));
    std::vector<std::uint16_t> values(file.values.size());
    REQUIRE(tensor.bytes.size() == 2 * values.size());
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    CHECK(file.values == values);
    CHECK(file.grey_palette == (name == "palette_of_greys.png"));
  }
  auto const throws = [](char const* name, char const* sentence) {
    CHECK_THROWS_WITH_AS((void)read_label_file(data() / name), doctest::Contains(sentence), ImageError);
  };
  throws("labels/refused_grey1.png",
         "a grey PNG of 1 bit has no agreed label values (Pillow reads its white as 1, "
         "OpenCV as 255); save it with 8 bits or with a palette");
  throws("labels/refused_colours.png", "row 2, column 5 has the colour (");
  throws("labels/refused_clear.png", "row 1, column 4 has the alpha value 0, expected 255");
  throws("labels/refused_rgb16.png", "labels in a PNG of 16 bits must be plain grey");
  throws("labels/refused_grey_alpha16.png", "labels in a PNG of 16 bits must be plain grey");
  throws("grey.jpg", "is a JPEG, which changes values: expected labels as PNG or TIFF");
  throws("grey.pgm", "not a label file this library reads");
  CHECK_THROWS_AS((void)read_label_file(data() / "labels" / "missing.png"), FileError);
}

TEST_CASE("255 means none in 8 bits, and in 16 bits where the list is too short for a class 255") {
  auto const folder = data() / "labels";
  LabelFile const narrow{1, 3, 8, {254, 255, 0}}, wide{1, 4, 16, {254, 255, 256, 65535}};
  using Labels = std::vector<std::uint16_t>;
  CHECK(as_class_indices(narrow).labels == Labels{254, 65535, 0});
  CHECK(as_class_indices(wide).labels == Labels{254, 255, 256, 65535});
  CHECK(as_class_indices(wide, 256).labels == Labels{254, 255, 256, 65535});
  CHECK(as_class_indices(wide, 255).labels == Labels{254, 65535, 256, 65535});
  auto const few = read_png_labels(folder / "grey16_with_255.png", 150);
  CHECK(few(0, 1) == LabelMap::unknown);
  CHECK(read_png_labels(folder / "grey16_with_255.png")(0, 1) == 255);
  CHECK(read_png_labels(folder / "palette_beyond.png")(0, 1) == LabelMap::unknown);
}

TEST_CASE("a PNG that is damaged behind its pixels gives them, as with Pillow") {
  for (auto const* name : {"rgb.png", "palette.png", "grey16.png"}) {
    CAPTURE(name);
    auto const bytes = read_file(data() / name);
    auto const pixels = decode_image(bytes, name).pixels;
    for (std::size_t missing = 0; missing <= 12; ++missing)
      CHECK(decode_image(std::span(bytes).first(bytes.size() - missing), name).pixels == pixels);
    auto zeros = bytes;
    std::fill(zeros.end() - 12, zeros.end(), std::byte{});
    CHECK(decode_image(zeros, name).pixels == pixels);
    // The checksum of the pixels themselves is the last thing before.
    auto wrong = bytes;
    wrong[bytes.size() - 13] ^= std::byte{1};
    CHECK_THROWS_WITH_AS((void)decode_image(wrong, name), doctest::Contains("IDAT: CRC error"), ImageError);
  }
}

TEST_CASE("changed bytes never crash") {
  for (auto const* name : {"rgb16.png", "palette_4bit.png", "exif5.png", "exif7.jpg", "cmyk.jpg", "raw_profile.png",
                           "xmp_deflated.png", "plain.ppm", "grey1023.pgm"}) {
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
  throws("hello, world", "x: not a picture this library reads; convert it to PNG or JPEG");
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
  std::filesystem::remove_all(folder);
}
