// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/normalization.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "autodiff/references.hpp"
#include "kovos/autodiff/gemm.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/kernels/cosine_similarity.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("layer_norm") {
  struct Case {
    std::size_t rows, c;
    double offset = 0, epsilon = 1e-5;
  };
  // 130 rows are summed in two parts; an offset is what the variance must not be formed from.
  for (auto const& p : {Case{1, 3}, Case{5, 7}, Case{7, 17}, Case{3, 33, 20}, Case{130, 3}, Case{5, 5, 0, 0.5}}) {
    CAPTURE(p.rows);
    CAPTURE(p.c);
    Values x = numbers(1, 2, p.rows * p.c);
    for (double& v : x) v = static_cast<double>(static_cast<float>(v + p.offset));
    check_rule(
        {x, numbers(2, 1, p.c), numbers(3, 1, p.c)},
        [&](auto const& tape, auto const& o) {
          return layer_norm(tape, o[0].reshape(dynamic_extents<3>(1, p.rows, p.c)), o[1], o[2],
                            static_cast<float>(p.epsilon));
        },
        [&](std::vector<Values> const& o) {
          return reference::layer_norm(p.rows, p.c, o[0], o[1], o[2], p.epsilon).value;
        });
  }
}

TEST_CASE("layer_norm: weights stored as bf16 have float gradients") {
  std::size_t const rows = 5, c = 7;
  auto const weight = random_tensor<bf16>(2, 1, c), bias = random_tensor<bf16>(3, 1, c);
  Values const x = numbers(1, 2, rows * c), weights = numbers(4, 1, rows * c);
  auto const expected = difference_gradients(
      {x, values(weight), values(bias)}, weights,
      [&](std::vector<Values> const& o) { return reference::layer_norm(rows, c, o[0], o[1], o[2]).value; });
  for_each_context([&](auto const& context) {
    auto const w = on(context, weight), b = on(context, bias);
    auto const dw = on(context, Values(c)), db = on(context, Values(c));
    auto const result = differentiate(context, {x}, weights, [&](auto const& tape, auto const& o) {
      tape.watch(w, dw);
      tape.watch(b, db);
      return layer_norm(tape, o[0].reshape(dynamic_extents<2>(rows, c)), w, b);
    });
    CHECK(close_gradients(result.gradients[0], expected[0], 1e-4));
    CHECK(close_gradients(values(dw), expected[1], 1e-4));
    CHECK(close_gradients(values(db), expected[2], 1e-4));
  });
}

TEST_CASE("group_norm: with and without ReLU") {
  struct Case {
    reference::Map map;
    std::size_t groups;
    double epsilon = 1e-5;
  };
  std::vector<Case> const cases{
      {{1, 3, 5, 6}, 2}, {{3, 5, 3, 4}, 4}, {{2, 3, 3, 17}, 1}, {{1, 7, 5, 9}, 3}, {{2, 1, 3, 6}, 3, 0.5}};
  for (auto const& p : cases)
    for (bool const relu : {false, true}) {
      CAPTURE(p.map.channels);
      CAPTURE(p.groups);
      CAPTURE(relu);
      check_rule(
          {numbers(1, 2, p.map.size()), numbers(2, 1, p.map.channels), numbers(3, 1, p.map.channels)},
          [&](auto const& tape, auto const& o) {
            dynamic_extents<4> const e(p.map.n, p.map.height, p.map.width, p.map.channels);
            return group_norm(tape, o[0].reshape(e), p.groups, o[1], o[2], relu, static_cast<float>(p.epsilon));
          },
          [&](std::vector<Values> const& o) {
            return reference::group_norm(p.map, p.groups, o[0], o[1], o[2], relu, p.epsilon).value;
          });
    }
}

TEST_CASE("group_norm: weights stored as bf16 have float gradients") {
  std::size_t const c = 6;
  reference::Map const map{2, 3, 5, c};
  auto const weight = random_tensor<bf16>(2, 1, c), bias = random_tensor<bf16>(3, 1, c);
  std::vector<Values> const operands{numbers(1, 2, map.size()), values(weight), values(bias)};
  Values const weights = numbers(4, 1, map.size());
  auto const expected = difference_gradients(
      operands, weights, [&](auto const& x) { return reference::group_norm(map, 3, x[0], x[1], x[2], true).value; });
  for_each_context([&](auto const& context) {
    auto const w = on(context, weight), b = on(context, bias);
    auto const dw = on(context, Values(c)), db = on(context, Values(c));
    auto const result = differentiate(context, {operands[0]}, weights, [&](auto const& tape, auto const& x) {
      tape.watch(w, dw);
      tape.watch(b, db);
      return group_norm(tape, x[0].reshape(dynamic_extents<4>(map.n, map.height, map.width, c)), 3, w, b, true);
    });
    CHECK(close_gradients(result.gradients[0], expected[0], 1e-4));
    CHECK(close_gradients(values(dw), expected[1], 1e-4));
    CHECK(close_gradients(values(db), expected[2], 1e-4));
  });
}

TEST_CASE("group_norm: the map is kept, although the kernel without a tape overwrites it") {
  for_each_context([&](auto const& context) {
    auto const x = random_tensor(context, 1, 2, 1, 3, 5, 4);
    auto const weight = random_tensor(context, 2, 1, 4), bias = random_tensor(context, 3, 1, 4);
    Values const before = values(x);
    Tape const tape(context);
    group_norm(tape, x, 2, weight, bias);
    context.fence();
    CHECK(values(x) == before);
  });
}

TEST_CASE("l2_normalize") {
  for (std::size_t const c : {1u, 3u, 17u, 33u}) {
    CAPTURE(c);
    // A single element is normalised to its sign, which has no slope; below epsilon it has one.
    double const epsilon = c == 1 ? 2 : 1e-12;
    check_rule(
        {numbers(1, 2, 5 * c)},
        [&](auto const& tape, auto const& x) {
          return l2_normalize(tape, x[0].reshape(dynamic_extents<2>(5, c)), static_cast<float>(epsilon));
        },
        [&](std::vector<Values> const& x) { return reference::l2_normalize(5, c, x[0], epsilon).value; });
  }
}

TEST_CASE("l2_normalize: a zero row and one shorter than epsilon are divided by a constant") {
  Values x = numbers(1, 2, 4 * 5);
  for (std::size_t i = 0; i < 5; ++i) x[5 + i] = 0;
  for (std::size_t i = 0; i < 5; ++i) x[15 + i] *= 0.0625;
  check_rule(
      {x},
      [&](auto const& tape, auto const& o) { return l2_normalize(tape, o[0].reshape(dynamic_extents<2>(4, 5)), 0.5f); },
      [&](std::vector<Values> const& o) { return reference::l2_normalize(4, 5, o[0], 0.5).value; });

  // With the default epsilon the gradient of a zero row is huge but finite, as torch's.
  Values const weights = numbers(2, 1, 5);
  for_each_context([&](auto const& context) {
    auto const result = differentiate(context, {Values(5)}, weights, [](auto const& tape, auto const& o) {
      return l2_normalize(tape, o[0].reshape(dynamic_extents<2>(1, 5)));
    });
    Values expected = weights;
    for (double& g : expected) g *= 1e12;
    CHECK(close_gradients(result.gradients[0], expected, 1e-6));
  });
}

TEST_CASE("cosine_similarity") {
  std::size_t const m = 3, n = 5, depth = 7;
  check_rule(
      {numbers(1, 2, m * depth), numbers(2, 2, n * depth)},
      [&](auto const& tape, auto const& x) {
        return cosine_similarity(tape, x[0].reshape(dynamic_extents<2>(m, depth)),
                                 x[1].reshape(dynamic_extents<2>(n, depth)));
      },
      [&](std::vector<Values> const& x) {
        auto const a = reference::l2_normalize(m, depth, x[0]).value, b = reference::l2_normalize(n, depth, x[1]).value;
        return reference::product(
                   m, n, depth, [&](std::size_t i, std::size_t k) { return a[i * depth + k]; },
                   [&](std::size_t k, std::size_t j) { return b[j * depth + k]; }, reference::nothing,
                   reference::nothing)
            .value;
      });
}
