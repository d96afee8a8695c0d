// SPDX-License-Identifier: Apache-2.0
#pragma once

// xtensor moved its headers into subfolders at 0.26.
#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include <array>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/tensor.hpp"

namespace kovos {

namespace detail {
/// The number of axes of an xtensor container, or 0 where only its objects know it.
template <class Shape>
inline constexpr std::size_t xtensor_rank = 0;
template <class I, std::size_t N>
inline constexpr std::size_t xtensor_rank<std::array<I, N>> = N;
template <std::size_t... N>
inline constexpr std::size_t xtensor_rank<xt::fixed_shape<N...>> = sizeof...(N);
}  // namespace detail

/// The tensor's memory as a row-major xtensor adaptor, without a copy. The adaptor does not keep the memory alive.
/// Host tensors of arithmetic elements only (bf16: make a float copy with copy_of first).
template <class T, class Shape, class Memory>
auto as_xtensor(TensorView<T, Shape, Memory> const& tensor) {
  static_assert(Shape::rank() > 0, "kovos::as_xtensor: a tensor of rank 0 has no axes");
  static_assert(bool(Kokkos::SpaceAccessibility<Kokkos::HostSpace, Memory>::accessible),
                "kovos::as_xtensor: xtensor reads host memory; call to_host first");
  static_assert(std::is_arithmetic_v<std::remove_const_t<T>>,
                "kovos::as_xtensor: the elements must be numbers of C++; copy bf16 to float");
  std::array<std::size_t, Shape::rank()> extents{};
  for (std::size_t i = 0; i < extents.size(); ++i) extents[i] = tensor.extent(i);
  return xt::adapt<xt::layout_type::row_major>(tensor.data(), tensor.size(), xt::no_ownership(), extents);
}

/// The memory of an xtensor container or adaptor as a host tensor with run-time extents, without a copy. One passed as
/// an rvalue is moved into the tensor, which then owns it; any other must be kept alive by the caller. For an
/// xt::xarray give the number of axes: from_xtensor<3>(array). Throws ShapeError if the object is not row-major or has
/// another number of axes.
template <std::size_t Rank = 0, class X>
auto from_xtensor(X&& array) {
  using Plain = std::remove_cvref_t<X>;
  constexpr std::size_t known = detail::xtensor_rank<typename Plain::shape_type>;
  constexpr std::size_t rank = Rank > 0 ? Rank : known;
  static_assert(rank > 0,
                "kovos::from_xtensor: an xt::xarray does not know its number of axes at compile time; "
                "write from_xtensor<Rank>(array)");
  static_assert(Rank == 0 || known == 0 || Rank == known, "kovos::from_xtensor: the array has another number of axes");
  static_assert(rank == 1 || Plain::static_layout != xt::layout_type::column_major,
                "kovos::from_xtensor: a column-major array cannot share memory with a row-major tensor");
  require<ShapeError>(array.dimension() == rank, "[from_xtensor] the array has ", array.dimension(), " axes, expected ",
                      rank);
  dynamic_extents<rank> const extents = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return dynamic_extents<rank>(array.shape()[I]...);
  }
  (std::make_index_sequence<rank>{});
  std::size_t stride = 1;
  for (std::size_t i = rank; i-- > 0; stride *= extents[i])
    require<ShapeError>(
        extents[i] <= 1 || extents.size() == 0 || array.strides()[i] == static_cast<std::ptrdiff_t>(stride),
        "[from_xtensor] axis ", i, " has stride ", array.strides()[i], ", expected ", stride,
        "; evaluate the view into a row-major array first");
  using T = std::remove_pointer_t<decltype(array.data())>;
  using Result = Tensor<T, dynamic_extents<rank>>;
  if constexpr (!std::is_reference_v<X> && !std::is_const_v<X>) {
    auto owner = std::make_shared<Plain>(std::forward<X>(array));
    T* const data = owner->data();
    return Result(data + owner->data_offset(), extents, std::move(owner));
  } else {
    return Result(array.data() + array.data_offset(), extents, nullptr);
  }
}

}  // namespace kovos
