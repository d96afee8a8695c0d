// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/grouped_reduction.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "support/approx.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using test::close;

TEST_CASE("reduce_groups: mean and maximum of the columns of each group") {
  test::for_each_context([](auto const& context) {
    std::vector<std::int32_t> const group{0, 1, 1, 1, 2, 3, 3};
    auto const x = test::random_tensor(1, 3, std::size_t{5}, group.size());
    test::Values mean, maximum;
    for (std::size_t m = 0; m < 5; ++m)
      for (std::int32_t g = 0; g < 4; ++g) {
        double sum = 0, count = 0, top = -100;
        for (std::size_t n = 0; n < group.size(); ++n)
          if (group[n] == g) {
            double const value = static_cast<double>(x(m, n));
            sum += value, count += 1, top = std::max(top, value);
          }
        mean.push_back(sum / count);
        maximum.push_back(top);
      }
    auto const a = to_host(context, reduce_groups(context, to_device(context, x), group, Reduction::mean));
    CHECK(test::shape(a) == std::vector<std::size_t>{5, 4});
    CHECK(close(test::values(a), mean, 3 * 4 * test::unit));
    auto const b = to_host(context, reduce_groups(context, to_device(context, x), group, Reduction::maximum));
    CHECK(close(test::values(b), maximum, 0));
  });
}

TEST_CASE("reduce_groups: nothing, and groups that are none") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = test::random_tensor(1, 1, std::size_t{2}, std::size_t{3});
  auto const refusal = [&](std::vector<std::int32_t> const& group) {
    return test::message_of<ShapeError>([&] { reduce_groups(context, x, group, Reduction::mean); });
  };
  CHECK(refusal({0, 1}) == "[reduce_groups] the number of columns is 3, expected 2");
  CHECK(refusal({0, 2, 2}) ==
        "[reduce_groups] column 1 is of group 2 behind one of group 0; groups ascend from 0 without gaps");
  CHECK(refusal({1, 1, 1}).find("column 0 is of group 1 behind one of group -1") != std::string::npos);
  CHECK(refusal({0, 1, 0}).find("column 2 is of group 0 behind one of group 1") != std::string::npos);
  CHECK(refusal({-1, 0, 0}).find("column 0 is of group -1") != std::string::npos);
  DynamicTensor<float, 2> const none(dynamic_extents<2>(0, 2));
  std::vector<std::int32_t> const group{0, 0};
  CHECK(test::shape(reduce_groups(context, none, group, Reduction::maximum)) == std::vector<std::size_t>{0, 1});
}
