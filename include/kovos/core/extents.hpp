// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <string>

#include "kovos/core/error.hpp"

namespace kovos {

/// Marks an extent that is only known at run time.
inline constexpr std::size_t dynamic_extent = static_cast<std::size_t>(-1);

namespace detail {
/// "[2, 3]".
KOVOS_COLD inline std::string extents_text(std::size_t const* sizes, std::size_t rank) {
  std::string text = "[";
  for (std::size_t i = 0; i != rank; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + "]";
}
}  // namespace detail

/// The shape of a tensor: each extent is a compile-time number or dynamic_extent.
template <std::size_t... E>
class Extents {
 public:
  static constexpr std::size_t rank() { return sizeof...(E); }
  static constexpr bool is_static() { return ((E != dynamic_extent) && ...); }

  /// The compile-time extent i, or dynamic_extent.
  static constexpr std::size_t static_extent(std::size_t i) {
    std::size_t const all[sizeof...(E) + 1] = {E..., 0};
    return all[i];
  }

  constexpr Extents() : sizes_{(E == dynamic_extent ? 0 : E)..., 0} {}

  /// All extents, in order. Throws ShapeError if one contradicts a compile-time extent.
  template <class... I>
  requires(sizeof...(I) == sizeof...(E) && sizeof...(I) > 0) constexpr explicit(false) Extents(I... sizes)
      : sizes_{static_cast<std::size_t>(sizes)..., 0} {
    for (std::size_t i = 0; i < rank(); ++i)
      if (static_extent(i) != dynamic_extent && sizes_[i] != static_extent(i))
        fail<ShapeError>("[Extents] extent ", i, " is ", sizes_[i], ", expected ", static_extent(i));
  }

  KOKKOS_FUNCTION constexpr std::size_t operator[](std::size_t i) const { return sizes_[i]; }

  // Loops end at `!=`: compilers find `<` pointless where the rank is 0.
  KOKKOS_FUNCTION constexpr std::size_t size() const {
    std::size_t count = 1;
    for (std::size_t i = 0; i != sizeof...(E); ++i) count *= sizes_[i];
    return count;
  }

  template <std::size_t... F>
  requires(sizeof...(F) == sizeof...(E)) constexpr bool operator==(Extents<F...> const& other) const {
    for (std::size_t i = 0; i != rank(); ++i)
      if (sizes_[i] != other[i]) return false;
    return true;
  }

  /// "[2, 3, 4]" for messages.
  std::string to_string() const { return detail::extents_text(sizes_, rank()); }

 private:
  std::size_t sizes_[sizeof...(E) + 1];
};

namespace detail {
template <std::size_t Rank, std::size_t... E>
struct DynamicExtents : DynamicExtents<Rank - 1, dynamic_extent, E...> {};
template <std::size_t... E>
struct DynamicExtents<0, E...> {
  using type = Extents<E...>;
};
}  // namespace detail

/// Extents of the given rank, all known at run time only.
template <std::size_t Rank>
using dynamic_extents = typename detail::DynamicExtents<Rank>::type;

}  // namespace kovos
