// SPDX-License-Identifier: Apache-2.0
#include "kovos/interop/eigen.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/kernels/gemm.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

TEST_CASE("as_eigen shares the memory of matrices and vectors") {
  auto const x = random_tensor<float>(1, 1, 3, 4);
  auto m = as_eigen(x);
  CHECK(m.data() == x.data());
  CHECK(m.rows() == 3);
  CHECK(m.cols() == 4);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) CHECK(m(i, j) == x(i, j));
  m(1, 2) = 42;
  CHECK(x(1, 2) == 42.0f);

  auto const v = random_tensor<double>(2, 1, 5);
  auto const e = as_eigen(v);
  CHECK(e.data() == v.data());
  CHECK(e.size() == 5);
  CHECK(e.cols() == 1);
  CHECK(e(4) == v(4));
  CHECK(as_eigen(random_tensor<float>(1, 1, 0, 4)).size() == 0);
}

TEST_CASE("as_eigen keeps what is known at compile time, and const") {
  Tensor<float, Extents<2, 3>> const x(Extents<2, 3>(2, 3));
  for (std::size_t i = 0; i < 6; ++i) x.data()[i] = static_cast<float>(i);
  auto const m = as_eigen(x);
  static_assert(decltype(m)::RowsAtCompileTime == 2 && decltype(m)::ColsAtCompileTime == 3);
  CHECK(m(1, 0) == 3.0f);
  CHECK(m(0, 2) == 2.0f);
  Tensor<float const, Extents<dynamic_extent, 3>> const constant(x.data(), Extents<dynamic_extent, 3>(2, 3), nullptr);
  auto const c = as_eigen(constant);
  static_assert(std::is_same_v<decltype(c.data()), float const*>);
  static_assert(decltype(c)::RowsAtCompileTime == Eigen::Dynamic && decltype(c)::ColsAtCompileTime == 3);
  CHECK(c.data() == x.data());
  // One column and one row, which Eigen stores in only one order.
  CHECK(as_eigen(TensorView<float, Extents<6, 1>>(x.data(), {6, 1}))(5, 0) == 5.0f);
  CHECK(as_eigen(TensorView<float, Extents<1, 6>>(x.data(), {1, 6}))(0, 5) == 5.0f);
  CHECK(as_eigen(TensorView<float, Extents<1, 1>>(x.data(), {1, 1}))(0, 0) == 0.0f);
}

TEST_CASE("from_eigen shares an lvalue and takes over an rvalue") {
  RowMajor m(3, 2);
  m << 1, 2, 3, 4, 5, 6;
  auto const x = from_eigen(m);
  static_assert(std::is_same_v<std::remove_const_t<decltype(x)>, DynamicTensor<float, 2>>);
  CHECK(x.data() == m.data());
  CHECK(shape(x) == std::vector<std::size_t>{3, 2});
  CHECK(x(2, 0) == 5.0f);
  x(0, 1) = -2;
  CHECK(m(0, 1) == -2.0f);
  CHECK(x.owner() == nullptr);

  RowMajor const& constant = m;
  auto const c = from_eigen(constant);
  static_assert(std::is_same_v<decltype(c.data()), float const*>);
  CHECK(c.data() == m.data());

  float const* const memory = m.data();
  auto const owned = from_eigen(std::move(m));
  CHECK(owned.data() == memory);
  CHECK(owned.owner() != nullptr);
  CHECK(owned(1, 1) == 4.0f);

  Eigen::Matrix<double, 2, 3, Eigen::RowMajor> fixed = Eigen::Matrix<double, 2, 3, Eigen::RowMajor>::Ones();
  auto const f = from_eigen(fixed);
  static_assert(std::is_same_v<std::remove_const_t<decltype(f)>, Tensor<double, Extents<2, 3>>>);
  CHECK(f.data() == fixed.data());
  Eigen::VectorXf v = Eigen::VectorXf::LinSpaced(4, 0, 3);
  auto const w = from_eigen(v);
  static_assert(std::is_same_v<std::remove_const_t<decltype(w)>, DynamicTensor<float, 1>>);
  CHECK(w.data() == v.data());
  CHECK(w(3) == 3.0f);
}

TEST_CASE("from_eigen of parts: whole rows share, others are refused") {
  RowMajor m = RowMajor::Random(6, 5);
  auto rows = m.middleRows(2, 3);
  auto const x = from_eigen(rows);
  CHECK(x.data() == m.data() + 10);
  CHECK(shape(x) == std::vector<std::size_t>{3, 5});
  auto columns = m.middleCols(1, 2);
  CHECK(message_of<ShapeError>([&] { from_eigen(columns); }) ==
        "[from_eigen] the elements of a 6 x 2 part of another matrix are not contiguous; copy it to a matrix first");
  auto column = m.col(2);
  CHECK(message_of<ShapeError>([&] { from_eigen(column); }).starts_with("[from_eigen] the elements of a 6 x 1 part"));
  Eigen::Map<RowMajor> map(m.data(), 5, 6);
  CHECK(from_eigen(map).data() == m.data());
  Eigen::MatrixXf by_columns = Eigen::MatrixXf::Random(2, 3);
  auto turned = by_columns.transpose();
  auto const t = from_eigen(turned);
  CHECK(t.data() == by_columns.data());
  CHECK(t(2, 1) == by_columns(1, 2));
}

TEST_CASE("a product of shared matrices is Eigen's own") {
  RowMajor a = RowMajor::Random(7, 9), b = RowMajor::Random(9, 5), c = RowMajor::Zero(7, 5);
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  gemm(context, as_matrix(from_eigen(a)), as_matrix(from_eigen(b)), as_matrix(from_eigen(c)));
  context.fence();
  CHECK((c - a * b).cwiseAbs().maxCoeff() < 1e-5f);
  CHECK(c.cwiseAbs().maxCoeff() > 0.1f);
}
