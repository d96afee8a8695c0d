// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/normalization.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/softmax.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("layer_norm over the last axis") {
  for_each_context([](auto const& context) {
    for (std::size_t c : {1u, 2u, 3u, 4u, 7u, 8u, 15u, 16u, 17u, 24u, 31u, 33u, 768u, 1023u})
      for (std::size_t rows : {1u, 5u, 40u}) {
        auto const x =
            on(context, changed(random_tensor<float>(c, 3, rows, 1, c), [](std::size_t, float& v) { v += 2; }));
        auto const w = random_tensor<float>(context, 2, 1, c), b = random_tensor<float>(context, 3, 1, c);
        auto const y = layer_norm(context, x, w, b);
        context.fence();
        auto const expected = reference::layer_norm(rows, c, values(x), values(w), values(b));
        CAPTURE(c);
        CAPTURE(rows);
        CHECK(shape(y) == std::vector<std::size_t>{rows, 1, c});
        CHECK(close(values(y), expected));
        if (c == 2 || c == 24)  // the biased variance, not the unbiased one
          CHECK_FALSE(close(values(y), reference::layer_norm(rows, c, values(x), values(w), values(b), 1e-2).value,
                            expected.bound));
      }
    auto const x = random_tensor<float>(context, 1, 1e-3, 6, 20);
    auto const w = random_tensor<float>(context, 2, 1, 20), b = random_tensor<float>(context, 3, 1, 20);
    auto const w16 = random_tensor<bf16>(context, 4, 1, 20), b16 = random_tensor<bf16>(context, 5, 1, 20);
    auto const y = layer_norm(context, x, w, b), half = layer_norm(context, x, w16, b16),
               other = layer_norm(context, x, w, b, 1e-3f);
    context.fence();
    auto const expect = [&](auto const& weight, auto const& bias, double epsilon) {
      return reference::layer_norm(6, 20, values(x), values(weight), values(bias), epsilon);
    };
    CHECK(close(values(y), expect(w, b, 1e-5)));
    CHECK_FALSE(close(values(y), expect(w, b, 0).value, expect(w, b, 1e-5).bound));
    CHECK(close(values(half), expect(w16, b16, 1e-5)));
    CHECK(close(values(other), expect(w, b, 1e-3)));
  });
}

TEST_CASE("layer_norm subtracts the mean before it squares") {
  for_each_context([](auto const& context) {
    std::size_t const c = 40;
    auto const x = on(context, changed(random_tensor<float>(1, 1, 3, c), [](std::size_t, float& v) { v += 1000; }));
    auto const one = random_tensor<float>(context, 1, 0, c), zero = random_tensor<float>(context, 1, 0, c);
    fill(context, one, 1.0f);
    auto const y = layer_norm(context, x, one, zero);
    context.fence();
    // E[x^2] - E[x]^2 in float would be off by 1000^2 eps / var = 20 %.
    CHECK(close(values(y), reference::layer_norm(3, c, values(x), values(one), values(zero)).value, 5e-4));
  });
}

TEST_CASE("group_norm over pixels and the channels of a group, in place") {
  struct Case {
    reference::Map map;
    std::size_t groups;
  };
  std::vector<Case> const cases{{{1, 1, 1, 1}, 1},   {{2, 3, 5, 6}, 3},    {{1, 9, 8, 33}, 11}, {{3, 12, 12, 32}, 2},
                                {{1, 7, 1, 16}, 16}, {{1, 48, 48, 64}, 4}, {{2, 5, 13, 7}, 1}};
  for_each_context([&](auto const& context) {
    for (auto const& c : cases)
      for (bool relu : {false, true}) {
        auto const& m = c.map;
        std::size_t const groups = c.groups;
        auto const x = on(context, changed(random_tensor<float>(1, 2, m.n, m.height, m.width, m.channels),
                                           [&](std::size_t i, float& v) { v += static_cast<float>(i % m.channels); }));
        auto const w = random_tensor<float>(context, 2, 1, m.channels),
                   b = random_tensor<float>(context, 3, 1, m.channels);
        Values const before = values(x);
        group_norm(context, x, groups, w, b, relu);
        context.fence();
        auto const expected = reference::group_norm(m, groups, before, values(w), values(b), relu);
        CAPTURE(m.channels);
        CAPTURE(groups);
        CAPTURE(relu);
        CHECK(close(values(x), expected));
        if (groups > 1 && groups < m.channels) {
          CHECK_FALSE(
              close(values(x), reference::group_norm(m, 1, before, values(w), values(b), relu).value, expected.bound));
          CHECK_FALSE(close(values(x), reference::group_norm(m, groups, before, values(w), values(b), !relu).value,
                            expected.bound));
        }
      }
    auto const x = random_tensor<float>(context, 1, 1e-3, 2, 3, 3, 8);
    auto const w = random_tensor<bf16>(context, 2, 1, 8), b = random_tensor<bf16>(context, 3, 1, 8);
    Values const before = values(x);
    group_norm(context, x, 2, w, b, false, 1e-4f);
    context.fence();
    CHECK(close(values(x), reference::group_norm({2, 3, 3, 8}, 2, before, values(w), values(b), false, 1e-4)));
  });
}

TEST_CASE("l2_normalize and softmax over the last axis") {
  for_each_context([](auto const& context) {
    for (std::size_t c : {1u, 3u, 8u, 17u, 150u, 847u})
      for (double scale : {1e-3, 1.0, 30.0}) {
        auto const x = random_tensor<float>(context, c, scale, 2, 5, c);
        auto const y = l2_normalize(context, x), z = softmax(context, x);
        context.fence();
        CAPTURE(c);
        CAPTURE(scale);
        CHECK(close(values(y), reference::l2_normalize(10, c, values(x))));
        auto const expected = reference::softmax(10, c, values(x));
        CHECK(close(values(z), expected));
        if (c > 1 && scale > 0.1) {
          Values hotter = values(x);
          for (double& number : hotter) number *= 1.001;
          CHECK_FALSE(close(values(z), reference::softmax(10, c, hotter).value, expected.bound));
        }
      }
    // A row without direction stays zero; huge scores do not overflow.
    auto const zero = random_tensor<float>(context, 1, 0, 1, 4);
    CHECK(largest(values(l2_normalize(context, zero))) == 0);
    auto const high = on(context, changed(random_tensor<float>(1, 0, 1, 3),
                                          [](std::size_t i, float& v) { v = i < 2 ? 3e38f : -3e38f; }));
    auto const p = softmax(context, high);
    context.fence();
    CHECK(close(values(p), {0.5, 0.5, 0.0}, 1e-7));
  });
}

TEST_CASE("activate agrees with erf and exp in double") {
  for_each_context([](auto const& context) {
    for (Activation f :
         {Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu, Activation::sigmoid})
      for (std::size_t count : {0u, 1u, 7u, 16u, 33u, 40001u}) {  // the host engine takes 16384 at a time
        auto const x = random_tensor<float>(context, count, 12, count);
        Expected expected{values(x), Values(count)};
        reference::activate(expected, f);
        activate(context, x, f);
        context.fence();
        CAPTURE(static_cast<int>(f));
        CAPTURE(count);
        CHECK(close(values(x), expected));
      }
    auto const half = random_tensor<bf16>(context, 1, 4, 100);
    Expected expected{values(half), Values(100)};
    reference::activate(expected, Activation::gelu);
    activate(context, half, Activation::gelu);
    context.fence();
    for (std::size_t i = 0; i < 100; ++i) expected.bound[i] += std::fabs(expected.value[i]) * 0x1p-8;
    CHECK(close(values(half), expected));
  });
}

TEST_CASE("normalisation of nothing gives nothing") {
  for_each_context([](auto const& context) {
    auto const w = random_tensor<float>(context, 1, 1, 4), none = random_tensor<float>(context, 1, 1, 0);
    CHECK(layer_norm(context, context.template tensor<float>(0, 4), w, w).size() == 0);
    CHECK(layer_norm(context, context.template tensor<float>(3, 0), none, none).size() == 0);
    CHECK(l2_normalize(context, context.template tensor<float>(0, 4)).size() == 0);
    CHECK(softmax(context, context.template tensor<float>(2, 0)).size() == 0);
    group_norm(context, context.template tensor<float>(0, 2, 2, 4), 2, w, w);
  });
}

TEST_CASE("normalisation names the extent that does not fit") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 3, 6);
  auto const right = random_tensor<float>(1, 1, 6), wrong = random_tensor<float>(1, 1, 5);
  CHECK(message_of<ShapeError>([&] { layer_norm(context, x, wrong, right); }) ==
        "[layer_norm] weight is 5, expected 6");
  CHECK(message_of<ShapeError>([&] { layer_norm(context, x, right, wrong); }) == "[layer_norm] bias is 5, expected 6");
  auto const map = random_tensor<float>(1, 1, 1, 2, 2, 6);
  CHECK(message_of<ShapeError>([&] { group_norm(context, map, 4, right, right); }) ==
        "[group_norm] 4 groups do not divide 6 channels");
  CHECK(message_of<ShapeError>([&] { group_norm(context, map, 0, right, right); }) ==
        "[group_norm] 0 groups do not divide 6 channels");
  CHECK(message_of<ShapeError>([&] { group_norm(context, map, 2, wrong, right); }) ==
        "[group_norm] weight is 5, expected 6");
  CHECK(message_of<ShapeError>([&] { group_norm(context, map, 2, right, wrong); }) ==
        "[group_norm] bias is 5, expected 6");
}
