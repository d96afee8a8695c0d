// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/mask_overlap.hpp"

#include <cmath>
#include <cstddef>
#include <vector>

#include "support/approx.hpp"
#include "support/spaces.hpp"

using namespace kovos;

TEST_CASE("mask_owner and mask_extents: against plain loops, across the ends of runs") {
  test::for_each_context([](auto const& context) {
    for (std::size_t const positions : {1, 1023, 1024, 2500}) {
      auto const masks = test::random_tensor(3, 4, std::size_t{5}, positions);
      masks(2, 0) = 0;  // exactly a half, and not positive
      auto const scores = test::random_tensor(4, 1, std::size_t{5});
      for (std::size_t n = 0; n < 5; ++n) scores(n) = std::fabs(scores(n));
      auto const owner = to_host(context, mask_owner(context, test::on(context, masks), test::on(context, scores)));
      auto const extents = mask_extents(context, test::on(context, masks));
      REQUIRE(extents.size() == 5);
      std::vector<MaskExtent> expected(5);
      std::size_t different = 0;
      for (std::size_t p = 0; p < positions; ++p) {
        double top = -1, second = -1, inside = 0;
        int best = 0;
        for (std::size_t n = 0; n < 5; ++n) {
          double const m = static_cast<double>(masks(n, p)), probability = 1 / (1 + std::exp(-m));
          double const value = static_cast<double>(scores(n)) * probability;
          if (m > 0) {
            ++expected[n].positive;
            expected[n].probability += probability;
          }
          if (m >= 0) ++expected[n].at_least_half;
          if (value > top) {
            second = top, top = value, inside = probability, best = static_cast<int>(n);
          } else if (value > second) {
            second = value;
          }
        }
        bool const close_call = top - second < 1e-6 || std::fabs(inside - 0.5) < 1e-6;
        different += !close_call && owner(p) != (inside >= 0.5 ? best : -1 - best);
      }
      CHECK(different == 0);
      for (std::size_t n = 0; n < 5; ++n) {
        CHECK(extents[n].positive == expected[n].positive);
        CHECK(extents[n].at_least_half == expected[n].at_least_half);
        CHECK(std::fabs(extents[n].probability - expected[n].probability) <= 1e-4 * (1 + expected[n].probability));
      }
    }
  });
}

TEST_CASE("mask_owner: the first of equal masks, and what is refused") {
  test::for_each_context([](auto const& context) {
    DynamicTensor<float, 2> const masks(dynamic_extents<2>(3, 2));
    DynamicTensor<float, 1> const scores(dynamic_extents<1>(3));
    for (std::size_t n = 0; n < 3; ++n) scores(n) = 0.5f, masks(n, 0) = 1, masks(n, 1) = -1;
    auto const owner = to_host(context, mask_owner(context, test::on(context, masks), test::on(context, scores)));
    CHECK(owner(0) == 0);
    CHECK(owner(1) == -1);
    scores(2) = 0.6f;
    auto const other = to_host(context, mask_owner(context, test::on(context, masks), test::on(context, scores)));
    CHECK(other(0) == 2);
    CHECK(other(1) == -3);
    CHECK(test::message_of<ShapeError>([&] {
            mask_owner(context, test::on(context, masks), test::on(context, scores.slice(0, 2)));
          }) == "[mask_owner] scores is 2, expected 3");
    CHECK(test::message_of<ShapeError>([&] {
            mask_owner(context, test::on(context, masks.slice(0, 0)), test::on(context, scores.slice(0, 0)));
          }) == "[mask_owner] there are no masks");
    CHECK(mask_extents(context, test::on(context, masks.slice(0, 0))).empty());
  });
}
