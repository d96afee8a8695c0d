// SPDX-License-Identifier: Apache-2.0
#include "kovos/interop/xtensor.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xview.hpp>
#endif

#include "kovos/kernels/softmax.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("as_xtensor shares the memory") {
  auto const x = random_tensor<float>(1, 1, 2, 3, 4);
  auto a = as_xtensor(x);
  CHECK(a.data() == x.data());
  CHECK(a.dimension() == 3);
  CHECK(std::vector<std::size_t>(a.shape().begin(), a.shape().end()) == std::vector<std::size_t>{2, 3, 4});
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t k = 0; k < 4; ++k) CHECK(a(i, j, k) == x(i, j, k));
  a(1, 2, 3) = 42;
  CHECK(x(1, 2, 3) == 42.0f);

  Tensor<double const, Extents<2, 2>> const constant(random_tensor<double>(2, 1, 2, 2).reshape(Extents<2, 2>(2, 2)));
  auto const c = as_xtensor(constant);
  static_assert(std::is_same_v<decltype(c.data()), double const*>);
  CHECK(c.data() == constant.data());
  CHECK(c(1, 0) == constant(1, 0));
}

TEST_CASE("from_xtensor shares an lvalue and takes over an rvalue") {
  xt::xtensor<float, 2> a{{1, 2, 3}, {4, 5, 6}};
  auto const x = from_xtensor(a);
  static_assert(std::is_same_v<std::remove_const_t<decltype(x)>, DynamicTensor<float, 2>>);
  CHECK(x.data() == a.data());
  CHECK(shape(x) == std::vector<std::size_t>{2, 3});
  CHECK(x(1, 0) == 4.0f);
  x(0, 1) = -2;
  CHECK(a(0, 1) == -2.0f);

  xt::xtensor<float, 2> const& constant = a;
  static_assert(std::is_same_v<decltype(from_xtensor(constant).data()), float const*>);
  CHECK(from_xtensor(constant).data() == a.data());

  float const* const memory = a.data();
  auto const owned = from_xtensor(std::move(a));
  CHECK(owned.data() == memory);
  CHECK(owned.owner() != nullptr);
  CHECK(owned(1, 2) == 6.0f);

  xt::xarray<double> dynamic = xt::ones<double>({2, 1, 3});
  CHECK(from_xtensor<3>(dynamic).data() == dynamic.data());
  CHECK(message_of<ShapeError>([&] { from_xtensor<2>(dynamic); }) == "[from_xtensor] the array has 3 axes, expected 2");
  xt::xtensor_fixed<int, xt::xshape<2, 2>> fixed{{1, 2}, {3, 4}};
  CHECK(from_xtensor(fixed).data() == fixed.data());
  CHECK(from_xtensor(fixed)(1, 0) == 3);
  // An adaptor of ours comes back as the memory it adapts.
  auto const y = random_tensor<float>(1, 1, 4, 5);
  auto adaptor = as_xtensor(y);
  CHECK(from_xtensor(adaptor).data() == y.data());
}

TEST_CASE("from_xtensor of views: contiguous ones share, others are refused") {
  xt::xtensor<float, 2> a = xt::ones<float>({4, 6});
  a(2, 3) = 7;
  auto rows = xt::view(a, xt::range(1, 3), xt::all());
  auto const x = from_xtensor<2>(rows);
  CHECK(x.data() == a.data() + 6);
  CHECK(x(1, 3) == 7.0f);
  auto columns = xt::view(a, xt::all(), xt::range(1, 3));
  CHECK(message_of<ShapeError>([&] { from_xtensor<2>(columns); }) ==
        "[from_xtensor] axis 0 has stride 6, expected 2; evaluate the view into a row-major array first");
  xt::xarray<float, xt::layout_type::dynamic> turned({2, 3}, xt::layout_type::column_major);
  CHECK(message_of<ShapeError>([&] {
          from_xtensor<2>(turned);
        }).starts_with("[from_xtensor] axis 1 has stride 2, expected 1"));
}

TEST_CASE("kernels run on shared xtensor memory") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  xt::xtensor<float, 2> a{{1, 1}, {0, 1000}};
  auto const y = softmax(context, from_xtensor(a));
  context.fence();
  auto const b = as_xtensor(y);
  CHECK(b(0, 0) == 0.5f);
  CHECK(b(1, 1) == 1.0f);
}
