// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/resample.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "autodiff/references.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

struct ResizeCase {
  reference::Map map;
  std::size_t height, width;
};

// Larger, smaller, one axis only, single pixels, and ratios that are not whole.
std::vector<ResizeCase> const cases{{{1, 1, 1, 1}, 3, 2},  {{2, 3, 5, 3}, 6, 10},  {{1, 6, 10, 2}, 3, 5},
                                    {{1, 5, 3, 17}, 5, 7}, {{1, 5, 7, 3}, 3, 7},   {{3, 4, 3, 1}, 7, 2},
                                    {{1, 7, 9, 2}, 1, 1},  {{1, 2, 2, 5}, 11, 13}, {{1, 9, 8, 3}, 2, 3}};

dynamic_extents<4> extents_of(reference::Map const& m) { return {m.n, m.height, m.width, m.channels}; }

}  // namespace

TEST_CASE("resize_bilinear: both alignments") {
  for (auto const alignment : {Alignment::half_pixel, Alignment::corners})
    for (auto const& p : cases) {
      CAPTURE(static_cast<int>(alignment));
      CAPTURE(extents_of(p.map).to_string());
      CAPTURE(p.height);
      CAPTURE(p.width);
      check_rule(
          {numbers(1, 1, p.map.size())},
          [&](auto const& tape, auto const& x) {
            return resize_bilinear(tape, x[0].reshape(extents_of(p.map)), p.height, p.width, alignment);
          },
          [&](std::vector<Values> const& x) {
            return reference::resize_bilinear(p.map, x[0], p.height, p.width, alignment).value;
          });
    }
}

TEST_CASE("resize_bicubic") {
  auto all = cases;
  all.push_back({{1, 3, 5, 2}, 3, 5});  // the same size, which is computed nevertheless
  for (auto const& p : all) {
    CAPTURE(extents_of(p.map).to_string());
    CAPTURE(p.height);
    CAPTURE(p.width);
    check_rule(
        {numbers(1, 1, p.map.size())},
        [&](auto const& tape, auto const& x) {
          return resize_bicubic(tape, x[0].reshape(extents_of(p.map)), p.height, p.width);
        },
        [&](std::vector<Values> const& x) { return reference::resize_bicubic(p.map, x[0], p.height, p.width).value; });
  }
}

TEST_CASE("average_pool2d") {
  struct Case {
    reference::Map map;
    std::size_t k;
  };
  for (auto const& p : {Case{{1, 2, 2, 1}, 2}, Case{{2, 6, 3, 5}, 3}, Case{{3, 2, 6, 17}, 2}, Case{{1, 5, 10, 3}, 5},
                        // Rows and columns that do not fill a block.
                        Case{{1, 6, 6, 3}, 4}, Case{{2, 7, 4, 5}, 2}, Case{{3, 5, 8, 2}, 3}}) {
    CAPTURE(extents_of(p.map).to_string());
    CAPTURE(p.k);
    check_rule(
        {numbers(1, 1, p.map.size())},
        [&](auto const& tape, auto const& x) { return average_pool2d(tape, x[0].reshape(extents_of(p.map)), p.k); },
        [&](std::vector<Values> const& x) { return reference::average_pool2d(p.map, x[0], p.k).value; });
  }
}

TEST_CASE("resize_bilinear to the same size and average_pool2d of single pixels are their operand") {
  for_each_context([&](auto const& context) {
    auto const x = random_tensor(context, 1, 1, 1, 3, 5, 2);
    Tape const tape(context);
    tape.watch(x, on(context, Values(30)));
    CHECK(resize_bilinear(tape, x, 3, 5).data() == x.data());
    CHECK(average_pool2d(tape, x, 1).data() == x.data());
    CHECK(tape.size() == 0);
  });
}
