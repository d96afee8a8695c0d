// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/tensor.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/core/execution.hpp"
#include "support/spaces.hpp"
#include "support/tools_probe.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("Tensor: row-major elements, shared by copies, released by the last") {
  bool released = false;
  std::array<int, 24> numbers{};
  for (int i = 0; i < 24; ++i) numbers[static_cast<std::size_t>(i)] = i;
  {
    std::shared_ptr<void const> owner(numbers.data(), [&](void const*) { released = true; });
    Tensor<int, Extents<2, 3, dynamic_extent>> x(numbers.data(), {2, 3, 4}, std::move(owner));
    CHECK(x(1, 2, 3) == 23);
    CHECK(x(0, 1, 2) == 6);
    auto const copy = x;
    CHECK(copy.data() == x.data());
    copy(0, 0, 0) = 99;
    CHECK(x(0, 0, 0) == 99);
    x = {};
    CHECK(x.empty());
    auto const part = copy.slice(1, 1);
    CHECK_FALSE(released);
    CHECK(part(0, 0, 0) == 12);
  }
  CHECK(released);
}

TEST_CASE("Tensor memory is the allocator's business only once") {
  ToolsProbe probe;
  {
    DynamicTensor<float, 2> const x({3, 5});
    auto const y = x.reshape(Extents<15>(15));
    auto const z = x.slice(1, 2);
    CHECK(y.data() == x.data());
    CHECK(z.data() == x.data() + 5);
    CHECK(reinterpret_cast<std::uintptr_t>(x.data()) % 64 == 0);
    DynamicTensor<float, 2> const none({0, 5});
    CHECK(none.data() == nullptr);
    CHECK(none.size() == 0);
  }
  CHECK(probe.allocations == std::vector<std::string>{"kovos::Tensor"});
}

TEST_CASE("reshape and slice check their numbers") {
  DynamicTensor<float, 2> const x({4, 6});
  CHECK(message_of<ShapeError>([&] { x.reshape(dynamic_extents<2>(5, 5)); }) ==
        "[reshape] [4, 6] has 24 elements, [5, 5] has 25");
  CHECK(message_of<ShapeError>([&] { x.slice(3, 2); }) == "[slice] 2 elements from 3 on leave the leading extent 4");
  CHECK(message_of<ShapeError>([&] { x.slice(5, 0); }) == "[slice] 0 elements from 5 on leave the leading extent 4");
  CHECK(message_of<ShapeError>([&] { x.slice(2, static_cast<std::size_t>(-1)); }).starts_with("[slice]"));
  CHECK(x.slice(4, 0).size() == 0);
  CHECK(shape(x.slice(1, 3)) == std::vector<std::size_t>{3, 6});
}

TEST_CASE("a tensor of mutable elements is one of constant elements, not the other way round") {
  using Mutable = DynamicTensor<float, 1>;
  using Constant = Tensor<float const, dynamic_extents<1>>;
  static_assert(std::is_convertible_v<Mutable, Constant> && !std::is_convertible_v<Constant, Mutable>);
  static_assert(tensor_like<Mutable> && tensor_like<Constant> && !tensor_like<std::vector<float>>);
  Constant c;
  {
    Mutable const x(dynamic_extents<1>(3));
    x(1) = 5;
    c = x;
  }
  CHECK(c(1) == 5.0f);  // and keeps it alive
}

TEST_CASE("kokkos_view and dynamic refer to the same memory") {
  Tensor<float, Extents<2, dynamic_extent>> const x(Extents<2, dynamic_extent>(2, 3));
  for (std::size_t i = 0; i < 6; ++i) x.data()[i] = static_cast<float>(i);
  auto const v = x.kokkos_view();
  static_assert(
      std::is_same_v<std::remove_const_t<decltype(v)>, Kokkos::View<float**, Kokkos::LayoutRight, Kokkos::HostSpace,
                                                                    Kokkos::MemoryTraits<Kokkos::Unmanaged>>>);
  CHECK(v.data() == x.data());
  CHECK(v.extent(0) == 2);
  CHECK(v.extent(1) == 3);
  CHECK(v(1, 0) == x(1, 0));
  v(1, 2) = 42;
  CHECK(x(1, 2) == 42.0f);
  auto const d = x.dynamic();
  static_assert(std::is_same_v<decltype(d.extents()), dynamic_extents<2> const&>);
  CHECK(d.data() == x.data());
  CHECK(d(1, 2) == 42.0f);
}

TEST_CASE("from_kokkos shares a view and keeps it alive") {
  DynamicTensor<int, 2> x;
  {
    Kokkos::View<int**, Kokkos::LayoutRight, Kokkos::HostSpace> const view("kovos::test", 3, 4);
    view(2, 1) = 7;
    x = from_kokkos(view);
    CHECK(x.data() == view.data());
    CHECK(view.use_count() == 2);
    Kokkos::View<int const**, Kokkos::LayoutRight, Kokkos::HostSpace> const constant = view;
    auto const c = from_kokkos(constant);
    static_assert(std::is_same_v<decltype(c.data()), int const*>);
    CHECK(c.data() == view.data());
  }
  CHECK(x(2, 1) == 7);
  CHECK(shape(x) == std::vector<std::size_t>{3, 4});

  Kokkos::View<int**, Kokkos::LayoutRight, Kokkos::HostSpace> const wide("wide", 4, 6);
  auto const rows = Kokkos::subview(wide, std::pair<int, int>(1, 3), Kokkos::ALL);
  CHECK(from_kokkos(rows).data() == wide.data() + 6);
  Kokkos::View<int*, Kokkos::LayoutLeft, Kokkos::HostSpace> const line("line", 5);
  CHECK(from_kokkos(line).data() == line.data());
  Kokkos::View<int**, Kokkos::LayoutRight, Kokkos::HostSpace> const columns =
      Kokkos::subview(wide, Kokkos::ALL, std::pair<int, int>(1, 3));
  CHECK(message_of<ShapeError>([&] { from_kokkos(columns); }) == "[from_kokkos] view 'wide' is not contiguous");
}

TEST_CASE("from_span and as_span") {
  std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  auto const x = from_span(std::span(numbers), dynamic_extents<2>(2, 3));
  auto const y = from_span(numbers.data(), Extents<3, 2>(3, 2));
  CHECK(x.data() == numbers.data());
  CHECK(y.data() == numbers.data());
  CHECK(x(1, 0) == 4.0f);
  CHECK(y(1, 0) == 3.0f);
  CHECK(as_span(x).data() == numbers.data());
  CHECK(as_span(x).size() == 6);
  auto const constant = from_span(std::span<float const>(numbers), dynamic_extents<1>(6));
  static_assert(std::is_same_v<decltype(as_span(constant)), std::span<float const>>);
  CHECK(message_of<ShapeError>([&] { from_span(std::span(numbers), dynamic_extents<2>(2, 2)); }) ==
        "[from_span] the span has 6 elements, [2, 2] has 4");
}

TEST_CASE("to_host and to_device of host memory are the tensor itself") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 3, 4);
  CHECK(to_host(context, x).data() == x.data());
  CHECK(to_device(context, x).data() == x.data());
  CHECK(to_host(context, x).owner() == x.owner());
  Context<> const device;
  auto const back = to_host(device, to_device(device, x));
  CHECK(values(back) == values(x));
}
