// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/named_tensors.hpp"

namespace kovos {

static_assert(std::endian::native == std::endian::little, "Kovos reads little-endian files in place");

namespace detail {

/// The product of all extents and a factor, or nothing if it does not fit 64 bits.
inline std::optional<std::size_t> checked_product(std::span<std::size_t const> shape, std::size_t factor = 1) {
  std::size_t product = 1;
  auto const multiply = [&](std::size_t by) {
    if (by != 0 && product > std::numeric_limits<std::size_t>::max() / by) return false;
    product *= by;
    return true;
  };
  for (auto extent : shape)
    if (!multiply(extent)) return std::nullopt;
  if (!multiply(factor)) return std::nullopt;
  return product;
}

/// Value of a small float with the given exponent and mantissa widths. `has_infinity` selects the IEEE-like rule (all
/// exponent bits set: infinity or NaN); otherwise only the all-ones pattern is NaN.
inline float decode_small_float(unsigned bits, int exponent_bits, int mantissa_bits, bool has_infinity) {
  int const bias = (1 << (exponent_bits - 1)) - 1;
  unsigned const mantissa_mask = (1u << mantissa_bits) - 1;
  unsigned const exponent_mask = (1u << exponent_bits) - 1;
  unsigned const mantissa = bits & mantissa_mask;
  unsigned const exponent = (bits >> mantissa_bits) & exponent_mask;
  bool const negative = ((bits >> (mantissa_bits + exponent_bits)) & 1u) != 0;
  float magnitude = 0;
  if (exponent == exponent_mask && has_infinity) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == exponent_mask && mantissa == mantissa_mask) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  } else {
    auto const significand = static_cast<float>(mantissa + mantissa_mask + 1);
    magnitude = std::ldexp(significand, static_cast<int>(exponent) - bias - mantissa_bits);
  }
  return negative ? -magnitude : magnitude;
}

/// All values of f16, so that large tensors convert by look-up.
inline std::vector<float> const& f16_values() {
  static std::vector<float> const values = [] {
    std::vector<float> table(std::size_t{1} << 16);
    for (unsigned bits = 0; bits < table.size(); ++bits) table[bits] = decode_small_float(bits, 5, 10, true);
    return table;
  }();
  return values;
}

template <class T>
T load_element(std::byte const* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

}  // namespace detail

/// Every element as a float, in row-major order; integers and doubles are rounded, booleans become 0 or 1.
/// Throws ShapeError if the bytes do not match the shape.
inline std::vector<float> to_float(TensorBytes const& tensor) {
  auto const count = detail::checked_product(tensor.shape);
  require<ShapeError>(count && detail::checked_product(tensor.shape, size_of(tensor.dtype)) == tensor.bytes.size(),
                      "[to_float] a tensor has ", tensor.bytes.size(), " bytes, which do not match its shape");
  std::vector<float> values(*count);
  std::byte const* const bytes = tensor.bytes.data();
  auto const convert = [&](std::size_t width, auto&& element) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(element(bytes + i * width));
  };
  using detail::load_element;
  switch (tensor.dtype) {
    case DType::boolean:
      convert(1, [](auto* p) { return *p != std::byte{0} ? 1 : 0; });
      break;
    case DType::u8:
      convert(1, load_element<std::uint8_t>);
      break;
    case DType::i8:
      convert(1, load_element<std::int8_t>);
      break;
    case DType::u16:
      convert(2, load_element<std::uint16_t>);
      break;
    case DType::i16:
      convert(2, load_element<std::int16_t>);
      break;
    case DType::u32:
      convert(4, load_element<std::uint32_t>);
      break;
    case DType::i32:
      convert(4, load_element<std::int32_t>);
      break;
    case DType::u64:
      convert(8, load_element<std::uint64_t>);
      break;
    case DType::i64:
      convert(8, load_element<std::int64_t>);
      break;
    case DType::f64:
      convert(8, load_element<double>);
      break;
    case DType::f32:
      if (!values.empty()) std::memcpy(values.data(), bytes, tensor.bytes.size());
      break;
    case DType::bf16:
      convert(2, [](auto* p) { return std::bit_cast<float>(std::uint32_t{load_element<std::uint16_t>(p)} << 16); });
      break;
    case DType::f16:
      convert(2, [&table = detail::f16_values()](auto* p) { return table[load_element<std::uint16_t>(p)]; });
      break;
    case DType::f8_e4m3:
      convert(1, [](auto* p) { return detail::decode_small_float(load_element<std::uint8_t>(p), 4, 3, false); });
      break;
    case DType::f8_e5m2:
      convert(1, [](auto* p) { return detail::decode_small_float(load_element<std::uint8_t>(p), 5, 2, true); });
      break;
  }
  return values;
}

/// A float tensor that owns its values. Throws ShapeError unless there are product(shape) of them.
inline TensorBytes make_tensor_bytes(std::vector<std::size_t> shape, std::vector<float> values) {
  require<ShapeError>(detail::checked_product(shape) == values.size(), "[make_tensor_bytes] ", values.size(),
                      " values do not match the shape");
  auto owner = std::make_shared<std::vector<float> const>(std::move(values));
  auto const bytes = std::as_bytes(std::span<float const>(*owner));
  return {DType::f32, std::move(shape), bytes, std::move(owner)};
}

}  // namespace kovos
