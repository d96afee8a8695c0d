// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/tensor_bytes.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
/// The values of a one-dimensional tensor of these bytes. The bytes are shifted to an odd address on purpose.
std::vector<float> values(DType dtype, std::string const& bytes) {
  std::string const shifted = "?" + bytes;
  TensorBytes tensor;
  tensor.dtype = dtype;
  tensor.shape = {bytes.size() / size_of(dtype)};
  tensor.bytes = as_bytes(shifted).subspan(1);
  return to_float(tensor);
}
/// The bytes of 16-bit words.
std::string words(std::initializer_list<std::uint16_t> bits) {
  std::string bytes;
  for (auto word : bits) bytes += raw(word);
  return bytes;
}
using Floats = std::vector<float>;
constexpr float infinity = std::numeric_limits<float>::infinity();
}  // namespace

TEST_CASE("integers and floats become floats") {
  CHECK(values(DType::boolean, std::string("\0\1\2", 3)) == Floats{0, 1, 1});
  CHECK(values(DType::u8, "\xff\x01") == Floats{255, 1});
  CHECK(values(DType::i8, "\xff\x7f") == Floats{-1, 127});
  CHECK(values(DType::u16, raw<std::uint16_t>(65535)) == Floats{65535});
  CHECK(values(DType::i16, raw<std::int16_t>(-32768)) == Floats{-32768});
  CHECK(values(DType::u32, raw(0xffffffffu)) == Floats{4294967296.0f});
  CHECK(values(DType::i32, raw(-7)) == Floats{-7});
  CHECK(values(DType::u64, raw(std::uint64_t{1} << 63)) == Floats{9223372036854775808.0f});
  CHECK(values(DType::i64, raw(std::int64_t{-5})) == Floats{-5});
  CHECK(values(DType::f32, raw(1.5f, -0.25f)) == Floats{1.5f, -0.25f});
  CHECK(values(DType::f64, raw(0.1)) == Floats{0.1f});
}

TEST_CASE("bf16 is the upper half of a float") {
  CHECK(values(DType::bf16, words({0x3f80, 0xc020, 0x0001})) == Floats{1, -2.5f, 0x1p-133f});
  CHECK(std::isnan(values(DType::bf16, words({0x7fc0}))[0]));
}

TEST_CASE("f16: normal, subnormal, infinite and not a number") {
  CHECK(values(DType::f16, words({0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x7c00, 0xfc00})) ==
        Floats{1, -2, 65504, 0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, infinity, -infinity});
  CHECK(std::isnan(values(DType::f16, words({0x7e00}))[0]));
  CHECK(std::signbit(values(DType::f16, words({0x8000}))[0]));
}

TEST_CASE("the two 8-bit floats") {
  CHECK(values(DType::f8_e4m3, "\x01\x08\x38\x7e\xb8") == Floats{0.001953125f, 0.015625f, 1, 448, -1});
  CHECK(std::isnan(values(DType::f8_e4m3, "\x7f")[0]));
  CHECK(std::isnan(values(DType::f8_e4m3, "\xff")[0]));
  CHECK(values(DType::f8_e5m2, "\x01\x3c\x7b\x7c\xfc") == Floats{0x1p-16f, 1, 57344, infinity, -infinity});
  CHECK(std::isnan(values(DType::f8_e5m2, "\x7d")[0]));
}

TEST_CASE("scalars and empty tensors") {
  CHECK(to_float(make_tensor_bytes({}, {3})) == Floats{3});
  CHECK(to_float(make_tensor_bytes({4, 0}, {})).empty());
}

TEST_CASE("bytes must match the shape") {
  auto tensor = make_tensor_bytes({2, 2}, {1, 2, 3, 4});
  tensor.shape = {5};
  CHECK_FAILS(ShapeError, "do not match", to_float(tensor));
  tensor.shape = {std::size_t{1} << 62, 4};
  CHECK_FAILS(ShapeError, "do not match", to_float(tensor));
  CHECK_FAILS(ShapeError, "do not match", make_tensor_bytes({3}, {1, 2}));
}

TEST_CASE("products are checked for overflow") {
  using Shape = std::vector<std::size_t>;
  CHECK(detail::checked_product(Shape{}) == 1u);
  CHECK(detail::checked_product(Shape{3, 4}, 2) == 24u);
  CHECK(detail::checked_product(Shape{std::size_t{1} << 32, 0, std::size_t{1} << 40}) == 0u);
  CHECK_FALSE(detail::checked_product(Shape{std::size_t{1} << 33, std::size_t{1} << 33}));
  CHECK_FALSE(detail::checked_product(Shape{std::size_t{1} << 62}, 4));
}
