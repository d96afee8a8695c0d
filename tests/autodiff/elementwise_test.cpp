// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/elementwise.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "autodiff/references.hpp"
#include "kovos/core/scalar.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("copy_of: every rank") {
  auto const same = [](std::vector<Values> const& x) { return x[0]; };
  auto const check = [&](auto extents) {
    check_rule(
        {numbers(1, 1, extents.size())},
        [&](auto const& tape, auto const& x) { return copy_of(tape, x[0].reshape(extents)); }, same);
  };
  check(dynamic_extents<1>(1));
  check(dynamic_extents<1>(17));
  check(dynamic_extents<2>(5, 7));
  check(dynamic_extents<3>(3, 1, 11));
  check(dynamic_extents<4>(2, 3, 5, 3));
}

TEST_CASE("copy_of: bf16 has a float gradient, also the rows of a slice") {
  Values const weights = numbers(2, 1, 14);
  for_each_context([&](auto const& context) {
    auto const x = random_tensor<bf16>(context, 1, 1, 5, 7);
    auto const gradient = on(context, Values(35));
    auto const y = differentiate(context, {}, weights, [&](auto const& tape, auto const&) {
      tape.watch(x, gradient);
      return copy_of(tape, x.slice(2, 2));
    });
    Values expected(35);
    std::copy(weights.begin(), weights.end(), expected.begin() + 14);
    CHECK(y.output == values(x.slice(2, 2)));
    CHECK(values(gradient) == expected);
  });
}

TEST_CASE("assign: the source receives the gradient, what was there before does not") {
  for (std::size_t const c : {1u, 3u, 17u}) {
    CAPTURE(c);
    check_rule(
        {numbers(1, 1, 2 * c), numbers(2, 1, 2 * c)},
        [&](auto const& tape, auto const& x) {
          auto const y = copy_of(tape, x[0]);
          assign(tape, y, x[1]);
          return y;
        },
        [](std::vector<Values> const& x) { return x[1]; });
    // Rows 1 and 2 of five are replaced; the rest keeps its gradient.
    check_rule(
        {numbers(1, 1, 5 * c), numbers(2, 1, 2 * c)},
        [&](auto const& tape, auto const& x) {
          auto const y = copy_of(tape, x[0].reshape(dynamic_extents<2>(5, c)));
          assign(tape, y.slice(1, 2), x[1].reshape(dynamic_extents<2>(2, c)));
          return y;
        },
        [&](std::vector<Values> const& x) {
          auto y = x[0];
          std::copy(x[1].begin(), x[1].end(), y.begin() + static_cast<std::ptrdiff_t>(c));
          return y;
        });
  }
}

TEST_CASE("add_in_place: what is added repeats along the leading axes") {
  struct Case {
    std::size_t size, period;
  };
  // 130 repetitions are summed in two parts, 4160 in 64.
  for (auto const& p : {Case{1, 1}, Case{17, 17}, Case{15, 5}, Case{21, 1}, Case{130 * 3, 3}, Case{4160, 1}}) {
    CAPTURE(p.size);
    CAPTURE(p.period);
    check_rule(
        {numbers(1, 1, p.size), numbers(2, 1, p.period)},
        [](auto const& tape, auto const& x) {
          auto const y = copy_of(tape, x[0]);
          add_in_place(tape, y, x[1]);
          return y;
        },
        [&](std::vector<Values> const& x) {
          auto y = x[0];
          for (std::size_t i = 0; i < y.size(); ++i) y[i] += x[1][i % p.period];
          return y;
        });
  }
}

TEST_CASE("add_in_place: to a slice, from a slice, from itself") {
  std::size_t const c = 7;
  check_rule(
      {numbers(1, 1, 3 * c), numbers(2, 1, 4 * c)},
      [&](auto const& tape, auto const& x) {
        auto const y = copy_of(tape, x[0].reshape(dynamic_extents<2>(3, c)));
        auto const z = x[1].reshape(dynamic_extents<2>(4, c));
        add_in_place(tape, y.slice(1, 1), z.slice(2, 1));
        add_in_place(tape, y.slice(0, 2), z.slice(3, 1));
        add_in_place(tape, y.slice(2, 1), y.slice(1, 1));
        add_in_place(tape, y, y);
        return y;
      },
      [&](std::vector<Values> const& x) {
        auto y = x[0];
        for (std::size_t i = 0; i < c; ++i) {
          y[c + i] += x[1][2 * c + i];
          for (std::size_t row : {0u, 1u}) y[row * c + i] += x[1][3 * c + i];
          y[2 * c + i] += y[c + i];
        }
        for (double& v : y) v *= 2;
        return y;
      });
}

TEST_CASE("add_in_place: a bf16 position is a float gradient") {
  Values const weights = numbers(2, 1, 15);
  for_each_context([&](auto const& context) {
    auto const row = random_tensor<bf16>(context, 1, 1, 3);
    auto const gradient = on(context, Values(3));
    differentiate(context, {numbers(3, 1, 15)}, weights, [&](auto const& tape, auto const& x) {
      tape.watch(row, gradient);
      auto const y = copy_of(tape, x[0]);
      add_in_place(tape, y, row);
      return y;
    });
    Values expected(3);
    for (std::size_t i = 0; i < 15; ++i) expected[i % 3] += weights[i];
    CHECK(close_gradients(values(gradient), expected, 1e-6));
  });
}

TEST_CASE("mean_over_axis1") {
  Random random(3);
  for (std::size_t round = 0; round < 6; ++round) {
    std::size_t const a = 1 + random.below(4), b = 1 + random.below(7), c = 1 + random.below(19);
    CAPTURE(a);
    CAPTURE(b);
    CAPTURE(c);
    check_rule(
        {numbers(round, 1, a * b * c)},
        [&](auto const& tape, auto const& x) {
          return mean_over_axis1(tape, x[0].reshape(dynamic_extents<3>(a, b, c)));
        },
        [&](std::vector<Values> const& x) {
          Values y(a * c);
          for (std::size_t i = 0; i < a * b * c; ++i) y[i / c / b * c + i % c] += x[0][i] / static_cast<double>(b);
          return y;
        });
  }
}

TEST_CASE("normalize_channels: pixels are no parameters") {
  Kokkos::Array<float, 3> const shift{0.5f, 0.25f, 0.125f}, divisor{2, 4, 8};
  for_each_context([&](auto const& context) {
    auto const x = random_tensor(context, 1, 1, 1, 3, 5, 3);
    Tape const tape(context);
    auto const y = normalize_channels(tape, x, shift, divisor);
    context.fence();
    Values expected = values(x);
    for (std::size_t i = 0; i < expected.size(); ++i)
      expected[i] = (expected[i] - static_cast<double>(shift[i % 3])) / static_cast<double>(divisor[i % 3]);
    CHECK(close(values(y), expected, 1e-7));
    CHECK(tape.size() == 0);
    tape.watch(x, on(context, Values(x.size())));
    CHECK(message_of<GradientError>([&] { normalize_channels(tape, x, shift, divisor); }) ==
          "[normalize_channels] there is no gradient for pixels");
  });
}
