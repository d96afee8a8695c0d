// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kovos/core/dtype.hpp"

namespace kovos {

/// bfloat16 as a 16-bit storage type on every backend: the upper half of an IEEE float.
/// Arithmetic happens in float; storing rounds to nearest even and keeps NaN.
struct bf16 {
  std::uint16_t bits = 0;

  bf16() = default;
  KOKKOS_INLINE_FUNCTION bf16(float value) : bits(round(value)) {}
  KOKKOS_INLINE_FUNCTION operator float() const {
    return Kokkos::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }

  static KOKKOS_INLINE_FUNCTION std::uint16_t round(float value) {
    auto const word = Kokkos::bit_cast<std::uint32_t>(value);
    if ((word & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((word >> 16) | 0x40u);
    return static_cast<std::uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
  }
};
static_assert(sizeof(bf16) == 2);

/// The scalar types tensors of a model may have.
template <class T>
inline constexpr bool is_model_scalar = std::is_same_v<T, float> || std::is_same_v<T, bf16>;

/// The type sums are formed in: float for float and bf16, double for double.
template <class T>
using accumulate_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// DType of a C++ type.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, bf16>) return DType::bf16;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return DType::u8;
  else if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  else {
    static_assert(std::is_same_v<T, std::int64_t>, "kovos::dtype_of: this element type has no DType");
    return DType::i64;
  }
}

}  // namespace kovos
