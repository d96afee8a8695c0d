// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/npy.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
using Shape = std::vector<std::size_t>;
using Floats = std::vector<float>;

std::string npy(std::string const& header, std::string const& data, char major = 1) {
  std::string text = "\x93NUMPY";
  text += major;
  text += '\0';
  auto const size = static_cast<std::uint32_t>(header.size());
  text += major == 1 ? raw(static_cast<std::uint16_t>(size)) : raw(size);
  return text + header + data;
}
std::string header(std::string const& descr, std::string const& shape, std::string const& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}
TensorBytes parse(std::string const& text) {
  auto const owner = std::make_shared<std::string const>(text);
  return parse_npy(as_bytes(*owner), "test.npy", owner);
}
}  // namespace

TEST_CASE("npy: what is written is laid out as NumPy does and read back") {
  TemporaryFolder const folder;
  auto const tensor = make_tensor_bytes({2, 3}, {1, 2, 3, 4, 5, 6});
  write_npy(folder / "a.npy", tensor.dtype, tensor.shape, tensor.bytes);
  auto const text = load(folder / "a.npy");
  CHECK(text.size() == 152);
  CHECK(text.substr(0, 10) == std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  CHECK(contains(text, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   "));
  CHECK(text[127] == '\n');
  auto const back = read_npy(folder / "a.npy");
  CHECK(back.shape == Shape{2, 3});
  CHECK(to_float(back) == Floats{1, 2, 3, 4, 5, 6});
}

TEST_CASE("npy: every type and shape makes the round trip") {
  TemporaryFolder const folder;
  using enum DType;
  std::string const bytes(8 * 6, '\x01');
  for (auto dtype : {boolean, u8, i8, u16, i16, f16, u32, i32, f32, u64, i64, f64}) {
    for (Shape const& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0}, Shape{1, 2, 3}}) {
      auto const size = *detail::checked_product(shape, size_of(dtype));
      write_npy(folder / "a.npy", dtype, shape, as_bytes(bytes).first(size));
      auto const back = read_npy(folder / "a.npy");
      CHECK(back.dtype == dtype);
      CHECK(back.shape == shape);
      CHECK(as_text(back.bytes) == bytes.substr(0, size));
      CHECK(std::filesystem::file_size(folder / "a.npy") % 64 == size % 64);
    }
  }
  CHECK_FAILS(ConfigError, "NumPy has no type for BF16", write_npy(folder / "b", bf16, Shape{1}, as_bytes("ab")));
  CHECK_FAILS(ShapeError, "do not match", write_npy(folder / "b", f32, Shape{1}, as_bytes("ab")));
}

TEST_CASE("npy: other byte order, column-major order, versions 2 and 3") {
  auto const big = parse(npy(header("'>i2'", "(2,)"), std::string("\x01\x02\xff\xfe", 4)));
  CHECK(to_float(big) == Floats{258, -2});
  auto const columns = parse(npy(header("'<f4'", "(2, 3)", "True"), raw(1.f, 4.f, 2.f, 5.f, 3.f, 6.f)));
  CHECK(to_float(columns) == Floats{1, 2, 3, 4, 5, 6});
  auto const cube = parse(npy(header("'|u1'", "(2, 2, 3)", "True"), "aedhbfzicgyj"));
  CHECK(as_text(cube.bytes) == "abcdzyefghij");
  for (char const major : {'\2', '\3'})
    CHECK(to_float(parse(npy(header("'<f4'", "()"), raw(7.f), major))) == Floats{7});
  CHECK(parse(npy("{\"shape\":(2L,),\"descr\":\"=u1\",\"fortran_order\":False}", "ab")).shape == Shape{2});
}

TEST_CASE("npy: data of a little-endian array is not copied") {
  auto const text = npy(header("'<f4'", "(2,)"), raw(1.f, 2.f));
  auto const tensor = parse_npy(as_bytes(text), "x", nullptr);
  CHECK(tensor.bytes.data() == as_bytes(text).data() + text.size() - 8);
}

TEST_CASE("npy: what is refused") {
  std::string const data(64, 'x');
  CHECK_FAILS(FileError, "does not begin with NumPy's mark", parse("PK"));
  CHECK_FAILS(FileError, "test.npy", parse("PK"));
  CHECK_FAILS(FileError, "version 4", parse(npy(header("'<f4'", "()"), data, 4)));
  CHECK_FAILS(FileError, "announces a header of 500 bytes", parse(std::string("\x93NUMPY\x01\x00\xf4\x01xx", 12)));
  CHECK_FAILS(FileError, "announces a header of 4294967295",
              parse(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + data));
  CHECK_FAILS(FileError, "ends inside its header", parse(std::string("\x93NUMPY\x02\x00\xff\xff\xff", 11)));
  CHECK_FAILS(FileError, "8 bytes of data, expected 12", parse(npy(header("'<f4'", "(3,)"), raw(1.f, 2.f))));
  CHECK_FAILS(FileError, "Python objects", parse(npy(header("'|O'", "(3,)"), data)));
  CHECK_FAILS(FileError, "structured", parse(npy(header("[('a', '<f4')]", "(3,)"), data)));
  for (auto type : {"<U4", "|S3", "<c8", "<f16", "<M8[s]", "|f4", "f4", "<", "", "<b1x"})
    CHECK_FAILS(FileError, "element type", parse(npy(header("'" + std::string(type) + "'", "(1,)"), data)));
  CHECK_FAILS(FileError, "too large", parse(npy(header("'<f4'", "(4611686018427387904, 4)"), data)));
  CHECK_FAILS(FileError, "beyond 64 bits", parse(npy(header("'<f4'", "(18446744073709551616,)"), data)));
  CHECK_FAILS(FileError, "not a tuple", parse(npy(header("'<f4'", "(3)"), data)));
  CHECK_FAILS(FileError, "not a tuple", parse(npy(header("'<f4'", "(-3,)"), data)));
  CHECK_FAILS(FileError, "neither True nor False", parse(npy(header("'<f4'", "(3,)", "1"), data)));
  CHECK_FAILS(FileError, "unknown entry 'more'", parse(npy("{'more': 1}", data)));
  CHECK_FAILS(FileError, "twice", parse(npy("{'descr': '<f4', 'descr': '<f4'}", data)));
  CHECK_FAILS(FileError, "lacks descr", parse(npy("{'descr': '<f4'}", data)));
  CHECK_FAILS(FileError, "goes on", parse(npy("{'descr': '<f4'}}", data)));
  CHECK_FAILS(FileError, "without an end", parse(npy("{'descr", data)));
  CHECK_FAILS(FileError, "lacks", parse(npy("", data)));
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "1,";
  CHECK_FAILS(FileError, "more than 64 extents", parse(npy(header("'<f4'", many + ")"), data)));
}
