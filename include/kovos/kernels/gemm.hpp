// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace kovos {

/// All leading axes of a tensor as rows, its last axis as columns: [..., C] -> [prod(...), C].
template <tensor_like X>
Matrix<std::remove_pointer_t<decltype(std::declval<X const&>().data())>> as_matrix(X const& x) {
  static_assert(X::rank() >= 1, "kovos::as_matrix: a scalar has no rows");
  std::size_t const columns = x.extent(X::rank() - 1);
  return {x.data(), columns == 0 ? 0 : x.size() / columns, columns, columns, 1};
}

/// C = activation(alpha A B + addend) + residual.
/// a: [M, K], b: [K, N] (pass weights [N, K] as `weight.transposed()`), c: [M, N]; any strides. Elements may be float,
/// bf16 or double (double: portable engine only); sums are formed in float (double for double).
/// beta C of the BLAS is a residual that is C itself. Asynchronous on the context's instance.
/// Throws ShapeError if the extents do not fit together.
template <class Exec, class A, class B, class C>
void gemm(Context<Exec> const& context, Matrix<A> const& a, Matrix<B> const& b, Matrix<C> const& c,
          Epilogue const& epilogue = {}, float alpha = 1) {
  using TA = std::remove_const_t<A>;
  using TB = std::remove_const_t<B>;
  static_assert(!std::is_const_v<C>, "kovos::gemm: the result matrix must be writable");
  require_extent("gemm", "b.rows", b.rows, a.columns);
  require_extent("gemm", "c.rows", c.rows, a.rows);
  require_extent("gemm", "c.columns", c.columns, b.columns);
  if (epilogue.addend.data) {
    require_extent("gemm", "addend.columns", epilogue.addend.columns, c.columns);
    require<ShapeError>(epilogue.addend.rows > 0 && epilogue.row_divisor > 0,
                        "[gemm] addend.rows and row_divisor must be positive");
  }
  if (epilogue.residual.data) {
    require_extent("gemm", "residual.rows", epilogue.residual.rows, c.rows);
    require_extent("gemm", "residual.columns", epilogue.residual.columns, c.columns);
  }
  if (c.rows == 0 || c.columns == 0) return;

  detail::require_engine_for_products(context);
  detail::solve(context, problem::Product<TA, TB, C>{{a.data, a.rows, a.columns, a.row_stride, a.column_stride},
                                                     {b.data, b.rows, b.columns, b.row_stride, b.column_stride},
                                                     c,
                                                     alpha,
                                                     epilogue});
}

/// y = activation(x weight^T + bias) + residual over the last axis.
/// x: [..., In], weight: [Out, In], bias: [Out] or empty, residual: [..., Out] or empty -> [..., Out].
/// Throws ShapeError if the extents do not fit together.
template <execution_context C, class T, class Shape, class W, class B>
DynamicTensor<float, Shape::rank(), typename C::memory_space> linear(
    C const& context, Tensor<T, Shape, typename C::memory_space> const& x, W const& weight, B const& bias,
    Activation activation = Activation::none, Matrix<float const> residual = {}) {
  static_assert(W::rank() == 2, "kovos::linear: weight must be a matrix [Out, In]");
  static_assert(B::rank() == 1, "kovos::linear: bias must be a vector [Out]");
  constexpr std::size_t rank = Shape::rank();
  require_extent("linear", "the last extent of x", x.extent(rank - 1), weight.extent(1));
  auto y = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return context.template tensor<float>(x.extent(I)..., weight.extent(0));
  }
  (std::make_index_sequence<rank - 1>{});
  Epilogue epilogue;
  epilogue.activation = activation;
  epilogue.residual = residual;
  DynamicTensor<float, 1, typename C::memory_space> wide;
  if (bias.data() != nullptr) {
    require_extent("linear", "bias", bias.extent(0), weight.extent(0));
    if constexpr (std::is_same_v<typename B::value_type, float>) {
      epilogue.addend = {bias.data(), 1, bias.extent(0), bias.extent(0), 1};
    } else {
      wide = copy_of(context, bias);
      epilogue.addend = {wide.data(), 1, bias.extent(0), bias.extent(0), 1};
    }
  }
  gemm(context, as_matrix(x), as_matrix(weight).transposed(), as_matrix(y), epilogue);
  return y;
}

}  // namespace kovos
