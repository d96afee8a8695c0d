// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/tensor.hpp"

namespace kovos {

namespace detail {

constexpr int eigen_extent(std::size_t extent) {
  return extent == dynamic_extent ? Eigen::Dynamic : static_cast<int>(extent);
}
constexpr std::size_t kovos_extent(int extent) {
  return extent == Eigen::Dynamic ? dynamic_extent : static_cast<std::size_t>(extent);
}

/// The Eigen type with the same elements in the same order. Eigen calls a static column column-major.
template <class T, class Shape>
struct EigenType {
  static constexpr int rows = eigen_extent(Shape::static_extent(0));
  static constexpr int columns = Shape::rank() == 1 ? 1 : eigen_extent(Shape::static_extent(1));
  static constexpr int order = columns == 1 && rows != 1 ? Eigen::ColMajor : Eigen::RowMajor;
  using type = Eigen::Matrix<T, rows, columns, order>;
};

}  // namespace detail

/// The tensor's memory as an Eigen::Map, without a copy: rank 1 as a column vector, rank 2 as a row-major matrix, with
/// compile-time sizes where the extents are. The map does not keep the memory alive. Host tensors of arithmetic
/// elements only (bf16: make a float copy with copy_of first).
template <class T, class Shape, class Memory>
auto as_eigen(TensorView<T, Shape, Memory> const& tensor) {
  static_assert(Shape::rank() == 1 || Shape::rank() == 2,
                "kovos::as_eigen: only tensors of rank 1 or 2 are vectors or matrices; reshape first");
  static_assert(bool(Kokkos::SpaceAccessibility<Kokkos::HostSpace, Memory>::accessible),
                "kovos::as_eigen: Eigen reads host memory; call to_host first");
  using Element = std::remove_const_t<T>;
  static_assert(std::is_arithmetic_v<Element>,
                "kovos::as_eigen: the elements must be numbers of C++; copy bf16 to float");
  using Plain = typename detail::EigenType<Element, Shape>::type;
  using Map = Eigen::Map<std::conditional_t<std::is_const_v<T>, Plain const, Plain>>;
  auto const extent = [&](std::size_t i) { return static_cast<Eigen::Index>(tensor.extent(i)); };
  if constexpr (Shape::rank() == 1) return Map(tensor.data(), extent(0), 1);
  else return Map(tensor.data(), extent(0), extent(1));
}

/// The memory of an Eigen matrix or vector as a host tensor, without a copy; sizes known at compile time stay known.
/// A matrix passed as an rvalue is moved into the tensor, which then owns it; any other (a map, a block, an lvalue)
/// must be kept alive by the caller. Matrices must be row-major and, if parts of others, whole rows; otherwise
/// ShapeError.
template <class M>
auto from_eigen(M&& matrix) {
  using Plain = std::remove_cvref_t<M>;
  static_assert(bool(Plain::Flags & Eigen::DirectAccessBit),
                "kovos::from_eigen: an expression has no memory to share; evaluate it into a matrix first");
  static_assert(Plain::IsVectorAtCompileTime || Plain::IsRowMajor,
                "kovos::from_eigen: a column-major matrix cannot share memory with a row-major tensor; "
                "declare it with Eigen::RowMajor or pass its transpose");
  constexpr bool is_vector = Plain::IsVectorAtCompileTime;
  using T = std::remove_pointer_t<decltype(matrix.data())>;
  require<ShapeError>((matrix.innerStride() == 1 || matrix.size() <= 1) &&
                          (is_vector || matrix.rows() <= 1 || matrix.outerStride() == matrix.cols()),
                      "[from_eigen] the elements of a ", matrix.rows(), " x ", matrix.cols(),
                      " part of another matrix are not contiguous; copy it to a matrix first");
  auto const share = [&]<class Shape>(Shape extents) {
    constexpr bool takes_over =
        !std::is_reference_v<M> && !std::is_const_v<M> && std::is_base_of_v<Eigen::PlainObjectBase<Plain>, Plain>;
    if constexpr (takes_over) {
      auto owner = std::make_shared<Plain>(std::move(matrix));
      T* const data = owner->data();
      return Tensor<T, Shape>(data, extents, std::move(owner));
    } else {
      return Tensor<T, Shape>(matrix.data(), extents, nullptr);
    }
  };
  if constexpr (is_vector) return share(Extents<detail::kovos_extent(Plain::SizeAtCompileTime)>(matrix.size()));
  else
    return share(
        Extents<detail::kovos_extent(Plain::RowsAtCompileTime), detail::kovos_extent(Plain::ColsAtCompileTime)>(
            matrix.rows(), matrix.cols()));
}

}  // namespace kovos
