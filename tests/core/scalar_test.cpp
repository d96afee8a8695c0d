// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/scalar.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kovos/core/extents.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
bf16 from_bits(unsigned bits) {
  bf16 x;
  x.bits = static_cast<std::uint16_t>(bits);
  return x;
}
float float_of(std::uint32_t word) { return std::bit_cast<float>(word); }
}  // namespace

TEST_CASE("bf16: every one of the 65536 patterns survives the way to float and back") {
  std::size_t different = 0, nans = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    float const value = from_bits(bits);
    if (std::isnan(value)) {
      ++nans;
      if (!std::isnan(static_cast<float>(bf16(value)))) ++different;
      if (bf16(value).bits != (bits | 0x40u)) ++different;  // the payload stays, a signalling NaN becomes a quiet one
    } else if (bf16(value).bits != bits) {
      ++different;
    }
  }
  CHECK(different == 0);
  CHECK(nans == 2 * 127);
}

TEST_CASE("bf16 rounds to the nearest, ties to even") {
  // 1 is 0x3f80 and its neighbours are 2^-7 apart.
  CHECK(bf16(1.0f).bits == 0x3f80);
  CHECK(bf16(float_of(0x3f807fff)).bits == 0x3f80);
  CHECK(bf16(float_of(0x3f808000)).bits == 0x3f80);  // a tie, down to even
  CHECK(bf16(float_of(0x3f808001)).bits == 0x3f81);
  CHECK(bf16(float_of(0x3f817fff)).bits == 0x3f81);
  CHECK(bf16(float_of(0x3f818000)).bits == 0x3f82);  // a tie, up to even
  CHECK(bf16(float_of(0xbf818000)).bits == 0xbf82);
  CHECK(bf16(float_of(0x3fffffff)).bits == 0x4000);  // the carry runs into the exponent
  Random random(1);
  for (int i = 0; i < 100000; ++i) {
    auto const word = static_cast<std::uint32_t>(random.bits() >> 32);
    float const x = float_of(word);
    if (!std::isfinite(x)) continue;
    double const exact = static_cast<double>(x);
    auto const value = [](unsigned bits) { return static_cast<double>(static_cast<float>(from_bits(bits))); };
    unsigned const rounded = bf16(x).bits;
    if (!std::isfinite(value(rounded)) || !std::isfinite(value(rounded + 1)) || (rounded & 0x7fff) == 0) continue;
    double const error = std::fabs(value(rounded) - exact);
    REQUIRE(error <= std::fabs(value(rounded - 1) - exact));
    REQUIRE(error <= std::fabs(value(rounded + 1) - exact));
  }
}

TEST_CASE("bf16: zeros, infinities, overflow, subnormals, NaN") {
  CHECK(bf16(0.0f).bits == 0);
  CHECK(bf16(-0.0f).bits == 0x8000);
  float const infinity = std::numeric_limits<float>::infinity();
  CHECK(bf16(infinity).bits == 0x7f80);
  CHECK(bf16(-infinity).bits == 0xff80);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);  // nearer to 2^128 than to the largest bf16
  CHECK(bf16(float_of(0x7f7f7fff)).bits == 0x7f7f);
  CHECK(bf16(float_of(0x00000001)).bits == 0);       // the smallest float
  CHECK(bf16(float_of(0x00008001)).bits == 0x0001);  // just over half of the smallest bf16
  CHECK(bf16(float_of(0x007fffff)).bits == 0x0080);  // the largest subnormal float becomes normal
  CHECK(static_cast<float>(from_bits(1)) == std::ldexp(1.0f, -133));
  // A NaN whose payload sits in the lower half must not become infinity.
  CHECK(std::isnan(static_cast<float>(bf16(float_of(0x7f800001)))));
  CHECK(std::isnan(static_cast<float>(bf16(float_of(0xff800001)))));
  CHECK(std::isnan(static_cast<float>(bf16(float_of(0x7fffffff)))));
}

TEST_CASE("bf16 in the registers of a device kernel") {
  Kokkos::View<bf16*> const x("kovos::test", 300);
  Kokkos::parallel_for(
      "kovos::test", Kokkos::RangePolicy<Kokkos::DefaultExecutionSpace>(0, 300),
      KOKKOS_LAMBDA(int i) { x(i) = bf16(static_cast<float>(i) * 0.37f); });
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), x);
  for (int i = 0; i < 300; ++i)
    CHECK(host(static_cast<std::size_t>(i)).bits == bf16(static_cast<float>(i) * 0.37f).bits);
}

TEST_CASE("dtype_of and accumulate_t") {
  CHECK(dtype_of<float>() == DType::f32);
  CHECK(dtype_of<bf16>() == DType::bf16);
  CHECK(dtype_of<double>() == DType::f64);
  CHECK(dtype_of<std::uint8_t>() == DType::u8);
  CHECK(dtype_of<std::int32_t>() == DType::i32);
  CHECK(dtype_of<std::int64_t>() == DType::i64);
  static_assert(std::is_same_v<accumulate_t<bf16>, float> && std::is_same_v<accumulate_t<double>, double>);
  static_assert(is_model_scalar<float> && is_model_scalar<bf16> && !is_model_scalar<double>);
}

TEST_CASE("Extents: static and dynamic, size, comparison, text") {
  using Mixed = Extents<2, dynamic_extent, 4>;
  static_assert(Mixed::rank() == 3 && !Mixed::is_static() && Extents<2, 3>::is_static());
  static_assert(Mixed::static_extent(0) == 2 && Mixed::static_extent(1) == dynamic_extent);
  static_assert(std::is_same_v<dynamic_extents<2>, Extents<dynamic_extent, dynamic_extent>>);
  static_assert(std::is_same_v<dynamic_extents<0>, Extents<>>);
  constexpr Mixed e(2, 3, 4);
  static_assert(e.size() == 24 && e[1] == 3);
  CHECK(e.to_string() == "[2, 3, 4]");
  CHECK(Extents<>().to_string() == "[]");
  CHECK(Extents<>().size() == 1);
  CHECK(Mixed().size() == 0);
  CHECK(e == dynamic_extents<3>(2, 3, 4));
  CHECK_FALSE(e == dynamic_extents<3>(2, 4, 3));
  CHECK(message_of<ShapeError>([] { Mixed(2, 3, 5); }) == "[Extents] extent 2 is 5, expected 4");
  CHECK(message_of<ShapeError>([] { Mixed(3, 3, 4); }) == "[Extents] extent 0 is 3, expected 2");
}
