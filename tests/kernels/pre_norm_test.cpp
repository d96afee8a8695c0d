// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/pre_norm.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gemm.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

/// A linear map of random weights with its parts as numbers of double precision.
template <class Exec>
struct Map {
  DynamicTensor<float, 2> weight, addend;
  DynamicTensor<float, 2, typename Exec::memory_space> its_weight, its_addend;
  std::size_t row_divisor;

  Map(Context<Exec> const& context, std::size_t seed, std::size_t out, std::size_t in, std::size_t addends,
      std::size_t divisor)
      : weight(random_tensor<float>(seed, 0.3, out, in)),
        addend(random_tensor<float>(seed + 100, 1, addends, out)),
        its_weight(on(context, weight)),
        its_addend(on(context, addend)),
        row_divisor(divisor) {}

  LinearMap<float> view() const { return {as_matrix(its_weight), as_matrix(its_addend), row_divisor}; }

  /// x: [rows, in] known up to its bound.
  Expected of(Expected const& x, Activation activation, Values const& residual = {}) const {
    std::size_t const out = weight.extent(0), in = weight.extent(1), rows = x.value.size() / in;
    auto e = reference::product(
        rows, out, in, [&](std::size_t i, std::size_t k) { return x.value[i * in + k]; },
        [&](std::size_t k, std::size_t j) { return static_cast<double>(weight(j, k)); },
        [&](std::size_t i, std::size_t j) {
          return static_cast<double>(addend(i / row_divisor % addend.extent(0), j));
        },
        [&](std::size_t i, std::size_t j) { return residual.empty() ? 0.0 : residual[i * out + j]; }, {1, activation});
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < out; ++j)
        for (std::size_t k = 0; k < in; ++k)
          e.bound[i * out + j] += 1.13 * x.bound[i * in + k] * std::fabs(static_cast<double>(weight(j, k)));
    return e;
  }
};

struct Case {
  std::size_t rows, c, hidden, addends, divisor;
};
// Around the tiles of every engine, odd depths, one row, and more rows than one task takes.
std::vector<Case> const cases{{1, 1, 1, 1, 1},     {5, 7, 9, 1, 1},     {33, 16, 31, 3, 2},
                              {37, 33, 65, 37, 1}, {144, 24, 96, 5, 7}, {300, 40, 51, 2, 150}};

/// bf16 rounds the normalised rows and the weights by 2^-9 of each.
double half_bound(Values const& exact, std::size_t depth) {
  return 0.01 * largest(exact) + 2e-3 * std::sqrt(static_cast<double>(depth));
}

}  // namespace

TEST_CASE("norm_linear: several maps of the same normalised rows") {
  for_each_context([](auto const& context) {
    for (auto const& t : cases) {
      CAPTURE(t.rows);
      CAPTURE(t.c);
      auto const x = random_tensor<float>(context, 1, 2, t.rows, t.c);
      auto const w = random_tensor<float>(context, 2, 1, t.c), b = random_tensor<float>(context, 3, 1, t.c);
      std::array const maps{Map(context, 4, t.hidden, t.c, t.addends, t.divisor), Map(context, 5, t.c, t.c, 1, 1)};
      Values const before = values(x);
      auto const normal = reference::layer_norm(t.rows, t.c, before, values(w), values(b));
      auto const y = norm_linear(context, x, NormParameters{w, b}, std::array{maps[0].view(), maps[1].view()});
      auto const half = norm_linear(context.with_precision(MatmulPrecision::bf16), x, NormParameters{w, b},
                                    std::array{maps[0].view(), maps[1].view()});
      context.fence();
      CHECK(values(x) == before);
      for (std::size_t i = 0; i < 2; ++i) {
        auto const expected = maps[i].of(normal, Activation::none);
        CHECK(shape(y[i]) == std::vector<std::size_t>{t.rows, maps[i].weight.extent(0)});
        CHECK(close(values(y[i]), expected));
        CHECK(close(values(half[i]), expected.value, half_bound(expected.value, t.c)));
        if (t.c < 5) continue;
        // Without the normalisation it would be noticed.
        CHECK_FALSE(close(values(half[i]), maps[i].of({before, Values(before.size())}, Activation::none).value,
                          half_bound(expected.value, t.c)));
      }
    }
  });
}

TEST_CASE("norm_mlp: a perceptron added to what it normalises") {
  for_each_context([](auto const& context) {
    for (auto const& t : cases)
      for (Activation activation : {Activation::gelu, Activation::quick_gelu}) {
        CAPTURE(t.rows);
        CAPTURE(t.c);
        CAPTURE(static_cast<int>(activation));
        auto const x = random_tensor<float>(context, 1, 2, t.rows, t.c);
        auto const w = random_tensor<float>(context, 2, 1, t.c), b = random_tensor<float>(context, 3, 1, t.c);
        Map const first(context, 4, t.hidden, t.c, t.addends, t.divisor), second(context, 5, t.c, t.hidden, 1, 1);
        Values const before = values(x);
        auto const expected =
            second.of(first.of(reference::layer_norm(t.rows, t.c, before, values(w), values(b)), activation),
                      Activation::none, before);
        auto const run = [&](auto const& with) {
          auto const copy = copy_of(context, x);
          auto const y = norm_mlp(with, copy, NormParameters{w, b}, first.view(), activation, second.view());
          context.fence();
          CHECK(shape(y) == std::vector<std::size_t>{t.rows, t.c});
          return values(y);
        };
        CHECK(close(run(context), expected));
        auto const half = run(context.with_precision(MatmulPrecision::bf16));
        CHECK(close(half, expected.value, half_bound(expected.value, t.hidden)));
        CHECK_FALSE(close(half, before, 1e-6));
      }
  });
}

TEST_CASE("pre-norm blocks of nothing, and what does not fit") {
  for_each_context([](auto const& context) {
    auto const none = context.template tensor<float>(0, 4), x = random_tensor<float>(context, 1, 1, 3, 4);
    auto const w = random_tensor<float>(context, 1, 1, 4), short_w = random_tensor<float>(context, 1, 1, 3);
    Map const fits(context, 2, 6, 4, 1, 1), back(context, 3, 4, 6, 1, 1), wide(context, 4, 6, 5, 1, 1),
        narrow(context, 5, 4, 5, 1, 1), other(context, 6, 5, 6, 1, 1);
    CHECK(norm_linear(context, none, NormParameters{w, w}, std::array{fits.view()})[0].size() == 0);
    CHECK(norm_mlp(context, none, NormParameters{w, w}, fits.view(), Activation::gelu, back.view()).size() == 0);
    auto const linear_message = [&](auto const& norm, auto const& map) {
      return message_of<ShapeError>([&] { norm_linear(context, x, norm, std::array{map.view()}); });
    };
    auto const mlp_message = [&](auto const& norm, auto const& first, auto const& second) {
      return message_of<ShapeError>([&] { norm_mlp(context, x, norm, first.view(), Activation::gelu, second.view()); });
    };
    CHECK(linear_message(NormParameters{w, w}, wide) == "[norm_linear] the last extent of x is 4, expected 5");
    CHECK(linear_message(NormParameters{short_w, w}, fits) == "[norm_linear] the weight of the norm is 3, expected 4");
    CHECK(mlp_message(NormParameters{w, w}, wide, back) == "[norm_mlp] the last extent of x is 4, expected 5");
    CHECK(mlp_message(NormParameters{w, w}, fits, narrow) ==
          "[norm_mlp] the width of the second layer is 5, expected 6");
    CHECK(mlp_message(NormParameters{w, w}, fits, other) == "[norm_mlp] the rows of the second layer is 5, expected 4");
    CHECK(mlp_message(NormParameters{w, short_w}, fits, back) == "[norm_mlp] the bias of the norm is 3, expected 4");
    auto bent = fits;
    bent.its_addend = back.its_addend;
    CHECK(linear_message(NormParameters{w, w}, bent) == "[norm_linear] the columns of an addend is 4, expected 6");
    CHECK(mlp_message(NormParameters{w, w}, bent, back) == "[norm_mlp] the columns of an addend is 4, expected 6");
  });
}
