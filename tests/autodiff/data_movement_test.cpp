// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/data_movement.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "autodiff/references.hpp"
#include "kovos/core/scalar.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Indices = std::vector<std::int32_t>;

DynamicTensor<std::int32_t, 1> integers(Indices const& list) {
  DynamicTensor<std::int32_t, 1> x(dynamic_extents<1>{list.size()});
  std::copy(list.begin(), list.end(), x.data());
  return x;
}

/// Extents between 1 and `most`.
template <std::size_t Rank>
std::array<std::size_t, Rank> random_extents(std::uint64_t seed, std::array<std::size_t, Rank> const& most) {
  Random random(seed);
  std::array<std::size_t, Rank> e{};
  for (std::size_t i = 0; i < Rank; ++i) e[i] = 1 + random.below(most[i]);
  return e;
}

Values embedded(Indices const& ids, std::size_t length, std::size_t width, Values const& table,
                Values const& positions) {
  Values y(ids.size() * width);
  for (std::size_t i = 0; i < y.size(); ++i)
    y[i] = table[static_cast<std::size_t>(ids[i / width]) * width + i % width] +
           positions[i / width % length * width + i % width];
  return y;
}

}  // namespace

TEST_CASE("map_to_tokens") {
  // 130 samples: the sums of the first token are formed in two parts.
  std::vector<std::array<std::size_t, 4>> cases{{1, 1, 1, 1}, {130, 1, 1, 3}};
  for (std::uint64_t seed = 1; seed <= 4; ++seed) cases.push_back(random_extents<4>(seed, {3, 4, 5, 19}));
  for (auto const& [n, height, width, depth] : cases) {
    std::size_t const pixels = height * width, d = depth;
    dynamic_extents<4> const map(n, height, width, depth);
    CAPTURE(map.to_string());
    check_rule(
        {numbers(1, 1, map.size()), numbers(2, 1, depth), numbers(3, 1, pixels * depth)},
        [&](auto const& tape, auto const& x) {
          return map_to_tokens(tape, x[0].reshape(map), x[1], x[2].reshape(dynamic_extents<2>(pixels, d)));
        },
        [&](std::vector<Values> const& x) {
          Values y;
          for (std::size_t i = 0; i < map.size(); i += pixels * d) {
            y.insert(y.end(), x[1].begin(), x[1].end());
            for (std::size_t j = 0; j < pixels * d; ++j) y.push_back(x[0][i + j] + x[2][j]);
          }
          return y;
        });
  }
}

TEST_CASE("map_to_tokens: bf16 tokens and positions have float gradients") {
  auto const first = random_tensor<bf16>(1, 1, 3), positions = random_tensor<bf16>(2, 1, 6);
  Values const weights = numbers(3, 1, 2 * 3 * 3);
  for_each_context([&](auto const& context) {
    auto const token = on(context, first), places = on(context, positions);
    auto const dfirst = on(context, Values(3)), dpositions = on(context, Values(6));
    differentiate(context, {numbers(4, 1, 12)}, weights, [&](auto const& tape, auto const& x) {
      tape.watch(token, dfirst);
      tape.watch(places, dpositions);
      return map_to_tokens(tape, x[0].reshape(dynamic_extents<4>(2, 1, 2, 3)), token, places);
    });
    Values expected(9);
    for (std::size_t i = 0; i < 18; ++i) expected[i % 9] += weights[i];
    CHECK(close_gradients(values(dfirst), Values(expected.begin(), expected.begin() + 3), 1e-6));
    CHECK(close_gradients(values(dpositions), Values(expected.begin() + 3, expected.end()), 1e-6));
  });
}

TEST_CASE("tokens_to_map") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    auto const [n, height, width, depth] = random_extents<4>(seed, {3, 4, 5, 19});
    dynamic_extents<4> const map(n, height, width, depth);
    dynamic_extents<3> const tokens(n, 1 + height * width, depth);
    CAPTURE(map.to_string());
    check_rule(
        {numbers(seed, 1, tokens.size())},
        [&](auto const& tape, auto const& x) { return tokens_to_map(tape, x[0].reshape(tokens), map[1], map[2]); },
        [&](std::vector<Values> const& x) {
          Values y;
          for (std::size_t i = 0; i < tokens.size(); ++i)
            if (i / tokens[2] % tokens[1] > 0) y.push_back(x[0][i]);
          return y;
        });
  }
}

TEST_CASE("select_tokens") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    auto const [n, length, depth] = random_extents<3>(seed, {5, 7, 19});
    dynamic_extents<3> const e(n, length, depth);
    CAPTURE(e.to_string());
    Random random(seed);
    Indices index;
    for (std::size_t i = 0; i < n; ++i) index.push_back(static_cast<std::int32_t>(random.below(length)));
    check_rule(
        {numbers(seed, 1, e.size())},
        [&](auto const& tape, auto const& x) {
          return select_tokens(tape, x[0].reshape(e), on(tape.context(), integers(index)));
        },
        [&](std::vector<Values> const& x) {
          Values y;
          for (std::size_t i = 0; i < e[0]; ++i)
            for (std::size_t j = 0; j < e[2]; ++j)
              y.push_back(x[0][(i * e[1] + static_cast<std::size_t>(index[i])) * e[2] + j]);
          return y;
        });
  }
}

TEST_CASE("gather_rows: rows that come twice, never, or from nowhere") {
  struct Case {
    std::size_t a, b;
    Indices index;
  };
  // Rows shorter than, as long as and longer than the runs of 16 in which the gradient is summed.
  for (auto const& p : {Case{1, 1, {0, 0, 0}}, Case{3, 5, {4, 0, 4, -1, 2, 4}}, Case{4, 4, {1, -1, 0}},
                        Case{1, 17, {2, 1, 0, 2}}, Case{7, 5, {-1, 3, 3}}}) {
    std::size_t const rows = 5, size = p.a * p.b;
    CAPTURE(size);
    auto const reference = [&](std::vector<Values> const& x) {
      Values y;
      for (auto const i : p.index)
        for (std::size_t j = 0; j < size; ++j)
          y.push_back(i < 0 ? -0.75 : x[0][static_cast<std::size_t>(i) * size + j]);
      return y;
    };
    auto const run = [&](auto extents) {
      return [&, extents](auto const& tape, auto const& x) {
        return gather_rows(tape, x[0].reshape(extents), on(tape.context(), integers(p.index)), -0.75f);
      };
    };
    check_rule({numbers(1, 1, rows * size)}, run(dynamic_extents<2>(rows, size)), reference);
    check_rule({numbers(1, 1, rows * size)}, run(dynamic_extents<3>(rows, p.a, p.b)), reference);
    check_rule({numbers(1, 1, rows * size)}, run(dynamic_extents<4>(rows, p.a, 1, p.b)), reference);
  }
}

TEST_CASE("embed: identifiers that repeat, positions beyond the sequence") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    auto const [n, length, width, vocabulary] = random_extents<4>(seed, {4, 6, 19, 5});
    std::size_t const l = length, w = width, v = vocabulary, context_length = length + 2;
    CAPTURE(l);
    CAPTURE(w);
    Random random(seed);
    Indices list;
    for (std::size_t i = 0; i < n * l; ++i) list.push_back(static_cast<std::int32_t>(random.below(v)));
    auto const ids = integers(list).reshape(dynamic_extents<2>(n, l));
    check_rule(
        {numbers(1, 1, v * w), numbers(2, 1, context_length * w)},
        [&](auto const& tape, auto const& x) {
          return embed(tape, on(tape.context(), ids), x[0].reshape(dynamic_extents<2>(v, w)),
                       x[1].reshape(dynamic_extents<2>(context_length, w)));
        },
        [&](std::vector<Values> const& x) { return embedded(list, l, w, x[0], x[1]); });
  }
}

TEST_CASE("embed: a bf16 table and bf16 positions have float gradients") {
  Indices const list{3, 0, 3, 3, 1, 2};
  auto const ids = integers(list).reshape(dynamic_extents<2>(2, 3));
  auto const table = random_tensor<bf16>(1, 1, 4, 5), positions = random_tensor<bf16>(2, 1, 3, 5);
  Values const weights = numbers(3, 1, 30);
  auto const expected = difference_gradients({values(table), values(positions)}, weights,
                                             [&](auto const& x) { return embedded(list, 3, 5, x[0], x[1]); });
  for_each_context([&](auto const& context) {
    auto const rows = on(context, table), places = on(context, positions);
    auto const dtable = on(context, Values(20)), dpositions = on(context, Values(15));
    differentiate(context, {}, weights, [&](auto const& tape, auto const&) {
      tape.watch(rows, dtable);
      tape.watch(places, dpositions);
      return embed(tape, on(context, ids), rows, places);
    });
    CHECK(close_gradients(values(dtable), expected[0], 1e-6));
    CHECK(close_gradients(values(dpositions), expected[1], 1e-6));
  });
}

TEST_CASE("permute: every order of four axes, and other ranks") {
  std::array<std::size_t, 4> const extents{2, 3, 1, 5};
  std::array<std::size_t, 4> order{0, 1, 2, 3};
  do {
    CAPTURE(order[0]);
    CAPTURE(order[1]);
    CAPTURE(order[2]);
    check_rule(
        {numbers(1, 1, 30)},
        [&](auto const& tape, auto const& x) {
          return permute(tape, x[0].reshape(dynamic_extents<4>(2, 3, 1, 5)), order);
        },
        [&](std::vector<Values> const& x) { return reference::permute(extents, x[0], order); });
  } while (std::next_permutation(order.begin(), order.end()));
  check_rule(
      {numbers(2, 1, 21)},
      [](auto const& tape, auto const& x) {
        return permute(tape, x[0].reshape(dynamic_extents<2>(3, 7)), {1, 0});
      },
      [](std::vector<Values> const& x) {
        return reference::permute({1, 1, 3, 7}, x[0], {0, 1, 3, 2});
      });
  check_rule(
      {numbers(3, 1, 30)},
      [](auto const& tape, auto const& x) {
        return permute(tape, x[0].reshape(dynamic_extents<3>(2, 3, 5)), {2, 0, 1});
      },
      [](std::vector<Values> const& x) {
        return reference::permute({1, 2, 3, 5}, x[0], {0, 3, 1, 2});
      });
}

TEST_CASE("row_maximum, to_host and to_device record nothing") {
  for_each_context([&](auto const& context) {
    auto const x = random_tensor(context, 1, 1, 3, 7);
    Tape const tape(context);
    tape.watch(x, on(context, Values(21)));
    auto const top = row_maximum(tape, x);
    auto const expected = row_maximum(context, x);
    auto const host = to_host(tape, x);
    auto const device = to_device(tape, host);
    context.fence();
    CHECK(values(top) == values(expected));
    CHECK(values(host) == values(x));
    CHECK(values(device) == values(x));
    CHECK(tape.size() == 0);
  });
}
