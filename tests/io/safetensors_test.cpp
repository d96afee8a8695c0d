// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/safetensors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <vector>

#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
using Shape = std::vector<std::size_t>;

std::string file(std::string const& header, std::string const& data = "") {
  return raw(std::uint64_t{header.size()}) + header + data;
}
NamedTensors parse(std::string const& text) {
  auto const owner = std::make_shared<std::string const>(text);
  return parse_safetensors(as_bytes(*owner), "test.safetensors", owner);
}
/// A header of one tensor 't'.
std::string one(std::string const& dtype, std::string const& shape, std::string const& offsets) {
  return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}
}  // namespace

TEST_CASE("safetensors: the smallest example, in place") {
  std::string const text =
      file(R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}})", std::string(16, '\0'));
  REQUIRE(text.size() == 84);
  auto const read = parse_safetensors(as_bytes(text), "x", nullptr);
  auto const& tensor = read.tensors.at("test");
  CHECK(tensor.dtype == DType::i32);
  CHECK(tensor.shape == Shape{2, 2});
  CHECK(tensor.bytes.data() == as_bytes(text).data() + 68);
  CHECK(read.container == "safetensors");
  CHECK(read.source == "x");
}

TEST_CASE("safetensors: tensors keep the mapping alive") {
  TemporaryFolder const folder;
  TensorBytes tensor;
  {
    store(folder / "a", file(one("F32", "[1]", "[0,4]"), raw(2.5f)));
    tensor = read_safetensors(folder / "a").tensors.at("t");
  }
  CHECK(to_float(tensor) == std::vector<float>{2.5f});
}

TEST_CASE("safetensors: what is legal although odd") {
  CHECK(parse(file("{}")).tensors.empty());
  CHECK(parse(file(R"({"__metadata__":null})")).metadata.empty());
  CHECK(parse(file("{}      ")).tensors.empty());
  CHECK(parse(file(one("F32", "[]", "[0,4]"), raw(1.f))).tensors.at("t").shape.empty());
  CHECK(parse(file(one("F32", "[3,0]", "[0,0]"))).tensors.at("t").bytes.empty());
  CHECK(std::isnan(to_float(
      parse(file(one("F32", "[1]", "[0,4]"), raw(std::numeric_limits<float>::quiet_NaN()))).tensors.at("t"))[0]));
  auto const extra =
      parse(file(R"({"__metadata__":{"format":"pt"},"t":{"new":[{"a":[1.5,null,-1,true,"x"]}],"dtype":"U8",)"
                 R"("shape":[1],"data_offsets":[0,1]}})",
                 "x"));
  CHECK(extra.metadata.at("format") == "pt");
  CHECK(as_text(extra.tensors.at("t").bytes) == "x");
  // Unpadded header: the data is not aligned.
  CHECK(to_float(parse(file(one("F64", "[1]", "[0,8]") + " ", raw(0.5))).tensors.at("t"))[0] == 0.5f);
  // Order in the header does not matter, nor do empty tensors between others.
  auto const mixed = parse(file(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                                R"("e":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},)"
                                R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                                "xyz"));
  CHECK(as_text(mixed.tensors.at("b").bytes) == "yz");
}

TEST_CASE("safetensors: lengths that do not fit") {
  CHECK_FAILS(CheckpointError, "too short", parse(""));
  CHECK_FAILS(CheckpointError, "'test.safetensors' is 7 bytes long", parse("1234567"));
  CHECK_FAILS(CheckpointError, "18446744073709551615 bytes, expected at most 100000000",
              parse(raw(~std::uint64_t{0}) + "{}"));
  CHECK_FAILS(CheckpointError, "at most 100000000", parse(raw(std::uint64_t{100'000'001}) + "{}"));
  CHECK_FAILS(CheckpointError, "announces a header of 100000000 bytes but only 2 follow",
              parse(raw(std::uint64_t{100'000'000}) + "{}"));
  CHECK_FAILS(CheckpointError, "header of 3 bytes but only 2", parse(raw(std::uint64_t{3}) + "{}"));
  auto const whole = file(one("F32", "[4]", "[0,16]"), std::string(16, 'x'));
  CHECK(parse(whole).tensors.size() == 1);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_THROWS_AS(parse(whole.substr(0, size)), CheckpointError);
  CHECK_FAILS(CheckpointError, "the data, which has 15 bytes", parse(whole.substr(0, whole.size() - 1)));
}

TEST_CASE("safetensors: headers that are not the expected JSON") {
  CHECK_FAILS(CheckpointError, "does not begin with '{'", parse(file("")));
  CHECK_FAILS(CheckpointError, "does not begin with '{'", parse(file(" {}")));
  CHECK_FAILS(CheckpointError, "does not begin with '{'", parse(file("[]")));
  CHECK_FAILS(CheckpointError, "not valid JSON near byte", parse(file("{}{}")));
  CHECK_FAILS(CheckpointError, "not valid JSON", parse(file("{\"t\":")));
  CHECK_FAILS(CheckpointError, "not valid JSON", parse(file("{\"\xff\":{}}")));
  CHECK_FAILS(CheckpointError, "not valid JSON", parse(file("{/**/}")));
  CHECK_FAILS(CheckpointError, "zero byte", parse(file(std::string("{}\0x", 4))));
  CHECK_FAILS(CheckpointError, "damaged", parse(file("{\"t\":1}")));
  CHECK_FAILS(CheckpointError, "has an array in the description of 't'", parse(file("{\"t\":[]}")));
  CHECK_FAILS(CheckpointError, "has null", parse(file("{\"t\":null}")));
  CHECK_FAILS(CheckpointError, "has a text", parse(file("{\"t\":\"x\"}")));
  CHECK_FAILS(CheckpointError, "lacks its dtype", parse(file("{\"t\":{}}")));
  CHECK_FAILS(CheckpointError, "lacks its shape", parse(file(R"({"t":{"dtype":"F32"}})")));
  CHECK_FAILS(CheckpointError, "lacks its data_offsets", parse(file(R"({"t":{"dtype":"F32","shape":[]}})")));
  CHECK_FAILS(CheckpointError, "has a number", parse(file(R"({"t":{"dtype":1}})")));
  CHECK_FAILS(CheckpointError, "has an array", parse(file(R"({"t":{"dtype":["F32"]}})")));
  CHECK_FAILS(CheckpointError, "has a number", parse(file(R"({"t":{"shape":1}})")));
  CHECK_FAILS(CheckpointError, "has a negative number", parse(file(one("F32", "[-1]", "[0,0]"))));
  CHECK_FAILS(CheckpointError, "has a number with a fraction", parse(file(one("F32", "[1.0]", "[0,4]"))));
  CHECK_FAILS(CheckpointError, "has a number with a fraction",
              parse(file(one("F32", "[18446744073709551616]", "[0,4]"))));
  CHECK_FAILS(CheckpointError, "has a text", parse(file(one("F32", "[\"1\"]", "[0,4]"))));
  CHECK_FAILS(CheckpointError, "has an array", parse(file(one("F32", "[[1]]", "[0,4]"))));
  CHECK_FAILS(CheckpointError, "has an object", parse(file(one("F32", "{\"a\":1}", "[0,4]"))));
  CHECK_FAILS(CheckpointError, "expected begin and end", parse(file(one("F32", "[1]", "[0]"), raw(1.f))));
  CHECK_FAILS(CheckpointError, "has 3 data_offsets", parse(file(one("F32", "[1]", "[0,4,8]"), raw(1.f))));
}

TEST_CASE("safetensors: repeated keys and metadata") {
  std::string const t = R"("t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  CHECK_FAILS(CheckpointError, "names 't' twice", parse(file("{" + t + "," + t + "}", "x")));
  CHECK_FAILS(CheckpointError, "the field 'dtype' of 't' twice",
              parse(file(R"({"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")));
  CHECK_FAILS(CheckpointError, "the field 'shape' of 't' twice",
              parse(file(R"({"t":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", "x")));
  CHECK_FAILS(CheckpointError, "'__metadata__' twice", parse(file(R"({"__metadata__":{},"__metadata__":{}})")));
  CHECK_FAILS(CheckpointError, "metadata entry 'a' twice", parse(file(R"({"__metadata__":{"a":"1","a":"2"}})")));
  for (auto value : {"1", "null", "true", "[]", "{}", "1.5", "-1"}) {
    CHECK_FAILS(CheckpointError, "in __metadata__ at 'a'",
                parse(file(R"({"__metadata__":{"a":)" + std::string(value) + "}}")));
    if (std::string(value) != "{}" && std::string(value) != "null")
      CHECK_FAILS(CheckpointError, "in __metadata__", parse(file(R"({"__metadata__":)" + std::string(value) + "}")));
  }
}

TEST_CASE("safetensors: deep nesting is refused, not followed") {
  CHECK_FAILS(CheckpointError, "nests deeper than 64",
              parse(file("{\"t\":{\"x\":" + std::string(100'000, '[') + "}}")));
  CHECK_FAILS(CheckpointError, "nests deeper",
              parse(file("{\"t\":{\"x\":" + std::string(62, '[') + "[" + std::string(63, ']') + "}}")));
  CHECK_FAILS(CheckpointError, "lacks its dtype",
              parse(file("{\"t\":{\"x\":" + std::string(62, '[') + std::string(62, ']') + "}}")));
}

TEST_CASE("safetensors: places and sizes") {
  auto const two = [](std::string const& a, std::string const& b, std::size_t data) {
    return file(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
                    R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                std::string(data, 'x'));
  };
  CHECK(parse(two("[0,2]", "[2,4]", 4)).tensors.size() == 2);
  CHECK_FAILS(CheckpointError, "'b' begins at byte 1 of the data, expected 2: tensors overlap",
              parse(two("[0,2]", "[1,3]", 3)));
  CHECK_FAILS(CheckpointError, "tensors overlap", parse(two("[0,2]", "[0,2]", 2)));
  CHECK_FAILS(CheckpointError, "begins at byte 3 of the data, expected 2: tensors leave a hole",
              parse(two("[0,2]", "[3,5]", 5)));
  CHECK_FAILS(CheckpointError, "leave a hole", parse(two("[1,3]", "[3,5]", 5)));
  CHECK_FAILS(CheckpointError, "5 bytes of data, but its tensors end at byte 4", parse(two("[0,2]", "[2,4]", 5)));
  CHECK_FAILS(CheckpointError, "1 bytes of data, but its tensors end at byte 0", parse(file("{}", "x")));
  CHECK_FAILS(CheckpointError, "lies at bytes 2 to 4 of the data, which has 3 bytes", parse(two("[0,2]", "[2,4]", 3)));
  CHECK_FAILS(CheckpointError, "lies at bytes 4 to 2", parse(two("[0,2]", "[4,2]", 4)));
  CHECK_FAILS(CheckpointError, "lies at bytes 18446744073709551615",
              parse(two("[0,2]", "[18446744073709551615,18446744073709551615]", 4)));
  CHECK_FAILS(CheckpointError, "'t' has 4 bytes, expected 8", parse(file(one("F32", "[2]", "[0,4]"), raw(1.f))));
  CHECK_FAILS(CheckpointError, "too large for 64 bits",
              parse(file(one("F32", "[8589934592,8589934592]", "[0,4]"), raw(1.f))));
  CHECK_FAILS(CheckpointError, "too large for 64 bits",
              parse(file(one("F32", "[9223372036854775807]", "[0,4]"), raw(1.f))));
}

TEST_CASE("safetensors: types") {
  using enum DType;
  for (auto dtype : {boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64, f8_e4m3, f8_e5m2}) {
    auto const size = size_of(dtype);
    auto const text =
        file(one(std::string(name_of(dtype)), "[1]", "[0," + std::to_string(size) + "]"), std::string(size, 'x'));
    CHECK(parse(text).tensors.at("t").dtype == dtype);
  }
  CHECK_FAILS(CheckpointError, "'t' has the unknown dtype 'FLOAT'",
              parse(file(one("FLOAT", "[1]", "[0,4]"), raw(1.f))));
  CHECK_FAILS(CheckpointError, "unknown dtype 'f32'", parse(file(one("f32", "[1]", "[0,4]"), raw(1.f))));
  // Types that the format knows and Kovos does not are checked and named.
  for (auto const& [dtype, shape, bytes] : {std::tuple{"C64", "[1]", 8},
                                            {"F4", "[2]", 1},
                                            {"F6_E2M3", "[4]", 3},
                                            {"F6_E3M2", "[8]", 6},
                                            {"F8_E8M0", "[2]", 2},
                                            {"F8_E4M3FNUZ", "[2]", 2},
                                            {"F8_E5M2FNUZ", "[]", 1}}) {
    auto const place = "[0," + std::to_string(bytes) + "]";
    auto const data = std::string(static_cast<std::size_t>(bytes), 'x');
    auto const read = parse(file(one(dtype, shape, place), data));
    CHECK(read.tensors.empty());
    REQUIRE(read.left_out.size() == 1);
    CHECK(contains(read.left_out.begin()->second, "has the dtype " + std::string(dtype) + ", which is not supported"));
    CHECK_FAILS(CheckpointError, "expected", parse(file(one(dtype, "[16]", place), data)));
  }
  CHECK_FAILS(CheckpointError, "has 12 bits, expected whole bytes", parse(file(one("F4", "[3]", "[0,2]"), "xy")));
}

TEST_CASE("safetensors: writing and reading again") {
  TemporaryFolder const folder;
  NamedTensors written;
  std::string const bytes("\x01\x02\x03\x04\x05\x06\x07\x08", 8);
  written.tensors["z.bytes"] = {DType::u8, {3}, as_bytes(bytes).first(3), nullptr};
  written.tensors["a.double"] = {DType::f64, {1}, as_bytes(bytes), nullptr};
  written.tensors["m \"quoted\" \xc3\xbc"] = {DType::bf16, {2, 1}, as_bytes(bytes).first(4), nullptr};
  written.tensors["b.float"] = make_tensor_bytes({2}, {1, -1});
  written.tensors["a.float"] = make_tensor_bytes({}, {std::numeric_limits<float>::quiet_NaN()});
  written.tensors["empty"] = make_tensor_bytes({2, 0}, {});
  written.metadata = {{"format", "pt"}, {"by", "kovos"}};
  write_safetensors(folder / "a", written);

  auto const back = read_safetensors(folder / "a");
  CHECK(difference(written, back) == "");
  CHECK(back.metadata == written.metadata);
  auto const text = load(folder / "a");
  std::uint64_t header = 0;
  std::memcpy(&header, text.data(), 8);
  CHECK(header % 8 == 0);
  // Larger alignment first, then by name; data in the same order without gaps.
  CHECK(text.find("__metadata__") < text.find("a.double"));
  CHECK(text.find("a.double") < text.find("a.float"));
  CHECK(text.find("a.float") < text.find("b.float"));
  CHECK(text.find("b.float") < text.find("quoted"));
  CHECK(text.find("quoted") < text.find("z.bytes"));
  for (auto const& [name, tensor] : back.tensors) {
    CHECK((tensor.bytes.empty() || reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % size_of(tensor.dtype) == 0));
  }
  CHECK(folder.files() == 1);

  write_safetensors(folder / "b", back);
  CHECK(load(folder / "b") == text);

  write_safetensors(folder / "b", back, {.alignment = 64, .durable = true});
  auto const aligned = load(folder / "b");
  std::memcpy(&header, aligned.data(), 8);
  CHECK((8 + header) % 64 == 0);
  CHECK(difference(written, read_safetensors(folder / "b")) == "");
  CHECK(folder.files() == 2);
  write_safetensors(folder / "none", NamedTensors{});
  CHECK(load(folder / "none") == file("{}      "));
}

TEST_CASE("safetensors: what cannot be written leaves no file") {
  TemporaryFolder const folder;
  using Tensors = std::map<std::string, TensorBytes>;
  auto const tensor = make_tensor_bytes({2}, {1, 2});
  auto wrong = tensor;
  wrong.shape = {3};
  CHECK_FAILS(CheckpointError, "'t': its 8 bytes do not match", write_safetensors(folder / "a", Tensors{{"t", wrong}}));
  CHECK_FAILS(CheckpointError, "not UTF-8", write_safetensors(folder / "a", Tensors{{"\xff", tensor}}));
  CHECK_FAILS(CheckpointError, "__metadata__", write_safetensors(folder / "a", Tensors{{"__metadata__", tensor}}));
  CHECK_FAILS(FileError, "cannot write", write_safetensors(folder / "no" / "a", Tensors{{"t", tensor}}));
  CHECK(folder.files() == 0);
}

TEST_CASE("safetensors: a checkpoint in several files") {
  TemporaryFolder const folder;
  using Tensors = std::map<std::string, TensorBytes>;
  auto const a = make_tensor_bytes({2}, {1, 2}), b = make_tensor_bytes({1}, {3}), c = make_tensor_bytes({}, {4});
  write_safetensors(folder / "model-1.safetensors", Tensors{{"a", a}, {"b", b}, {"unlisted", c}}, {{"format", "pt"}});
  write_safetensors(folder / "model-2.safetensors", Tensors{{"c", c}});
  auto const read = [&](std::string const& text) {
    store(folder / "model.safetensors.index.json", text);
    return read_sharded_safetensors(folder / "model.safetensors.index.json");
  };
  auto const map = [&](std::string const& entries) { return read(R"({"weight_map":{)" + entries + "}}"); };
  auto const whole = read(R"({"metadata":{"total_size":16,"x":[1,{"weight_map":2}]},"weight_map":{
    "a":"model-1.safetensors","b":"model-1.safetensors","c":"model-2.safetensors"}})");
  NamedTensors expected;
  expected.tensors = {{"a", a}, {"b", b}, {"c", c}};
  CHECK(difference(expected, whole) == "");
  CHECK(whole.container == "safetensors");
  CHECK(whole.metadata.at("format") == "pt");

  CHECK_FAILS(CheckpointError, "model-2.safetensors' lacks 'a'", map(R"("a":"model-2.safetensors")"));
  CHECK_FAILS(CheckpointError, "model-3.safetensors' is missing", map(R"("a":"model-3.safetensors")"));
  for (auto path : {"../model-1.safetensors", "/model-1.safetensors", "x/model-1.safetensors", "..", ".", "",
                    "x\\\\model-1.safetensors", "a\\u0000b"}) {
    CHECK_FAILS(CheckpointError, "expected a plain file name in the same folder",
                map(R"("a":")" + std::string(path) + "\""));
  }
  CHECK_FAILS(CheckpointError, "names 'a' twice", map(R"("a":"model-1.safetensors","a":"model-2.safetensors")"));
  CHECK_FAILS(CheckpointError, "names no tensors", map(""));
  CHECK_FAILS(CheckpointError, "names no tensors", read("{}"));
  CHECK_FAILS(CheckpointError, "two entries 'weight_map'", read(R"({"weight_map":{},"weight_map":{}})"));
  CHECK_FAILS(CheckpointError, "not an object of tensor name", read(R"({"weight_map":["a"]})"));
  CHECK_FAILS(CheckpointError, "not an object of tensor name", map(R"("a":1)"));
  CHECK_FAILS(CheckpointError, "not an object of tensor name", map(R"("a":["model-1.safetensors"])"));
  CHECK_FAILS(CheckpointError, "nests deeper", read("{\"x\":" + std::string(100, '[')));
  CHECK_FAILS(FileError, "does not exist", read_sharded_safetensors(folder / "none"));
}
