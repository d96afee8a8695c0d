// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/attention.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "autodiff/references.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("attention: self, cross and causal") {
  struct Case {
    reference::AttentionShape s;
    bool causal = false;
    float scale = 0;
  };
  // Lengths and head widths around the vectors and row blocks of the host engine.
  std::vector<Case> const cases{{{1, 1, 3, 1, 1}},
                                {{2, 5, 3, 6, 2}},
                                {{1, 3, 17, 10, 2}},
                                {{3, 7, 7, 9, 3}, true},
                                {{1, 17, 17, 5, 1}, true},
                                {{2, 3, 5, 6, 3}, false, 1.75f},
                                {{1, 18, 5, 7, 1}},
                                {{1, 5, 33, 4, 1}},
                                {{1, 3, 5, 33, 1}},
                                {{1, 5, 4, 34, 2}},
                                {{5, 4, 4, 6, 2}, true, 0.5f}};
  for (auto const& c : cases) {
    auto const& s = c.s;
    CAPTURE(s.queries);
    CAPTURE(s.keys);
    CAPTURE(c.causal);
    std::size_t const queries = s.batch * s.queries * s.width, keys = s.batch * s.keys * s.width;
    check_rule(
        {numbers(1, 1.5, queries), numbers(2, 1.5, keys), numbers(3, 1, keys)},
        [&](auto const& tape, auto const& x) {
          dynamic_extents<3> const q(s.batch, s.queries, s.width), k(s.batch, s.keys, s.width);
          return attention(tape, x[0].reshape(q), x[1].reshape(k), x[2].reshape(k), s.heads, c.causal, c.scale);
        },
        [&](std::vector<Values> const& x) {
          double const scale =
              c.scale == 0 ? 1 / std::sqrt(static_cast<double>(s.width / s.heads)) : static_cast<double>(c.scale);
          return reference::attention(s, x[0], x[1], x[2], scale,
                                      c.causal ? reference::causal_mask : reference::no_mask)
              .value;
        });
  }
}

TEST_CASE("attention: queries, keys and values are the same memory") {
  reference::AttentionShape const s{2, 5, 5, 6, 2};
  check_rule(
      {numbers(1, 1.5, 60)},
      [&](auto const& tape, auto const& x) {
        auto const t = x[0].reshape(dynamic_extents<3>(s.batch, s.queries, s.width));
        return attention(tape, t, t, t, s.heads);
      },
      [&](std::vector<Values> const& x) {
        return reference::attention(s, x[0], x[0], x[0], 1 / std::sqrt(3.0), reference::no_mask).value;
      });
}

TEST_CASE("window_attention: queries, keys and values are the same memory") {
  reference::Map const map{1, 4, 6, 6};
  check_rule(
      {numbers(1, 1.5, map.size())},
      [&](auto const& tape, auto const& x) {
        auto const t = x[0].reshape(dynamic_extents<4>(map.n, map.height, map.width, map.channels));
        return window_attention(tape, t, t, t, 2, 2, 1);
      },
      [&](std::vector<Values> const& x) {
        return reference::window_attention(map, x[0], x[0], x[0], 2, 2, 1, true).value;
      });
}

TEST_CASE("attention: large scores have finite gradients") {
  // All attention rests on one key: nothing flows to queries and keys, the values receive the result's gradient.
  for_each_context([](auto const& context) {
    Values key(20 * 4, -100);
    for (std::size_t d = 0; d < 4; ++d) key[13 * 4 + d] = 100;
    Values const weights = numbers(3, 1, 4);
    auto const result =
        differentiate(context, {Values(4, 100), key, numbers(2, 1, 80)}, weights, [](auto const& tape, auto const& x) {
          dynamic_extents<3> const k(1, 20, 4);
          return attention(tape, x[0].reshape(dynamic_extents<3>(1, 1, 4)), x[1].reshape(k), x[2].reshape(k), 1);
        });
    CHECK(close(result.gradients[0], Values(4), 1e-6));
    CHECK(close(result.gradients[1], Values(80), 1e-6));
    Values expected(80);
    for (std::size_t d = 0; d < 4; ++d) expected[13 * 4 + d] = weights[d];
    CHECK(close(result.gradients[2], expected, 1e-6));
  });
}

TEST_CASE("window_attention: with and without shift") {
  struct Case {
    reference::Map map;
    std::size_t heads, window, shift;
  };
  std::vector<Case> const cases{{{1, 6, 3, 4}, 2, 3, 0}, {{2, 6, 6, 3}, 1, 3, 1},  {{1, 4, 6, 6}, 3, 2, 1},
                                {{1, 5, 5, 3}, 1, 5, 0}, {{1, 10, 5, 2}, 1, 5, 2}, {{1, 3, 5, 5}, 5, 1, 0},
                                {{1, 4, 2, 18}, 1, 2, 1}};
  for (auto const& c : cases) {
    CAPTURE(c.map.height);
    CAPTURE(c.window);
    CAPTURE(c.shift);
    std::size_t const size = c.map.size();
    check_rule(
        {numbers(1, 1.5, size), numbers(2, 1.5, size), numbers(3, 1, size)},
        [&](auto const& tape, auto const& x) {
          dynamic_extents<4> const e(c.map.n, c.map.height, c.map.width, c.map.channels);
          return window_attention(tape, x[0].reshape(e), x[1].reshape(e), x[2].reshape(e), c.heads, c.window, c.shift);
        },
        [&](std::vector<Values> const& x) {
          return reference::window_attention(c.map, x[0], x[1], x[2], c.heads, c.window, c.shift, true).value;
        });
  }
}
