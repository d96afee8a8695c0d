// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/linear_attention.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <type_traits>
#include <vector>

#include "autodiff/references.hpp"
#include "kovos/autodiff/leading_axis_attention.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

struct Case {
  std::size_t length, positions, width, heads, repeats;
};

// Lengths and widths around the vectors of the host engine; more positions than threads.
std::vector<Case> const cases{{1, 1, 3, 1, 0},  {3, 5, 6, 2, 0},  {17, 2, 5, 1, 0}, {5, 3, 9, 3, 1},
                              {3, 5, 10, 2, 7}, {2, 3, 17, 1, 3}, {3, 2, 33, 1, 0}, {4, 3, 34, 2, 1}};

/// x followed by the repeated row, as often as it counts, at every position.
Values padded(Case const& c, Values const& x, Values const& row) {
  Values y = x;
  for (std::size_t i = 0; i < c.repeats * c.positions; ++i) y.insert(y.end(), row.begin(), row.end());
  return y;
}

/// Operands: q, k, v, then the repeated key and value.
std::vector<Values> operands_of(Case const& c) {
  std::size_t const size = c.length * c.positions * c.width;
  std::vector<Values> operands{numbers(1, 1.5, size), numbers(2, 1.5, size), numbers(3, 1, size)};
  if (c.repeats > 0) {
    operands.push_back(numbers(4, 1.5, c.width));
    operands.push_back(numbers(5, 1, c.width));
  }
  return operands;
}

template <class Attend, class Reference>
void check(Case const& c, Attend const& attend, Reference const& reference) {
  CAPTURE(c.length);
  CAPTURE(c.positions);
  CAPTURE(c.width);
  CAPTURE(c.repeats);
  check_rule(
      operands_of(c),
      [&](auto const& tape, auto const& x) {
        using Memory = typename std::decay_t<decltype(tape)>::memory_space;
        dynamic_extents<3> const e(c.length, c.positions, c.width);
        RepeatedKey<Memory> padding;
        if (c.repeats > 0) padding = {c.repeats, x[3], x[4]};
        return attend(tape, x[0].reshape(e), x[1].reshape(e), x[2].reshape(e), c.heads, padding);
      },
      [&](std::vector<Values> const& x) {
        Values const none;
        auto const k = padded(c, x[1], c.repeats > 0 ? x[3] : none);
        auto const v = padded(c, x[2], c.repeats > 0 ? x[4] : none);
        return reference(c.length, c.length + c.repeats, c.positions, c.width, c.heads, x[0], k, v);
      });
}

}  // namespace

TEST_CASE("linear_attention: with and without a repeated key") {
  for (auto const& c : cases)
    check(
        c, [](auto const&... x) { return linear_attention(x...); },
        [](auto const&... x) { return reference::linear_attention(x...).value; });
}

TEST_CASE("leading_axis_attention: with and without a repeated key") {
  for (auto const& c : cases)
    check(
        c, [](auto const&... x) { return leading_axis_attention(x...); },
        [](auto const&... x) { return reference::leading_axis_attention(x...).value; });
}

TEST_CASE("linear_attention and leading_axis_attention: queries, keys and values are the same memory") {
  std::size_t const length = 4, positions = 3, width = 6, heads = 2;
  auto const run = [&](auto const& attend) {
    return [&](auto const& tape, auto const& x) {
      auto const t = x[0].reshape(dynamic_extents<3>(length, positions, width));
      return attend(tape, t, t, t, heads);
    };
  };
  check_rule({numbers(1, 1.5, length * positions * width)},
             run([](auto const&... x) { return linear_attention(x...); }), [&](std::vector<Values> const& x) {
               return reference::linear_attention(length, length, positions, width, heads, x[0], x[0], x[0]).value;
             });
  check_rule(
      {numbers(2, 1.5, length * positions * width)}, run([](auto const&... x) { return leading_axis_attention(x...); }),
      [&](std::vector<Values> const& x) {
        return reference::leading_axis_attention(length, length, positions, width, heads, x[0], x[0], x[0]).value;
      });
}

TEST_CASE("linear_attention: features at zero, where both branches of the ELU meet") {
  // The slope is 1 from either side, so central differences see no kink.
  Case const c{3, 2, 4, 2, 0};
  auto operands = operands_of(c);
  for (std::size_t i = 0; i < operands[0].size(); i += 3) operands[0][i] = operands[1][i] = 0;
  check_rule(
      operands,
      [&](auto const& tape, auto const& x) {
        dynamic_extents<3> const e(c.length, c.positions, c.width);
        return linear_attention(tape, x[0].reshape(e), x[1].reshape(e), x[2].reshape(e), c.heads);
      },
      [&](std::vector<Values> const& x) {
        return reference::linear_attention(c.length, c.length, c.positions, c.width, c.heads, x[0], x[1], x[2]).value;
      });
}
