// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos {

/// A matrix somewhere in memory: element (i, j) is data[i * row_stride + j * column_stride].
template <class T>
struct Matrix {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t row_stride = 0;
  std::size_t column_stride = 1;

  /// The same memory with rows and columns exchanged.
  Matrix transposed() const { return {data, columns, rows, column_stride, row_stride}; }

  /// A matrix of mutable elements is also one of constant elements.
  template <class U>
  requires(!std::is_const_v<T> && std::is_same_v<U, T const>) operator Matrix<U>() const {
    return {data, rows, columns, row_stride, column_stride};
  }
};

/// What happens to a product before it is stored:
/// C = activation(alpha A B + addend[(row / row_divisor) % addend.rows]) + residual.
/// A bias is an addend of one row; the guidance of CAT-Seg's attention is one with a row per pixel or per class.
struct Epilogue {
  Matrix<float const> addend{};  // no data: nothing is added
  std::size_t row_divisor = 1;
  Activation activation = Activation::none;
  Matrix<float const> residual{};  // same extents as C, may be C itself; no data: nothing is added
};

namespace problem {

/// C = activation(alpha A B + addend) + residual. a: [M, K], b: [K, N], c: [M, N]; any strides. Sums are of float, of
/// double where C is.
template <class A, class B, class C>
struct Product {
  Matrix<A const> a;
  Matrix<B const> b;
  Matrix<C> c;
  float alpha;
  Epilogue epilogue;
};

/// g += alpha A B. a: [M, K], b: [K, N], g: [M, N]; any strides.
template <class A, class B>
struct AddProduct {
  Matrix<A const> a;
  Matrix<B const> b;
  Matrix<float> g;
  float alpha;
};

/// Whether neighbouring columns of the result, and of what is added to it, are neighbours in memory.
template <class A, class B, class C>
bool has_unit_columns(Product<A, B, C> const& p) {
  auto const& e = p.epilogue;
  return p.c.column_stride == 1 && (!e.addend.data || e.addend.column_stride == 1) &&
         (!e.residual.data || e.residual.column_stride == 1);
}

}  // namespace problem

}  // namespace kovos
