// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/norm_attention.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gemm.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

template <class Exec>
struct Map {
  DynamicTensor<float, 2> weight, addend;
  DynamicTensor<float, 2, typename Exec::memory_space> its_weight, its_addend;

  Map(Context<Exec> const& context, std::size_t seed, std::size_t c, std::size_t addends)
      : weight(random_tensor<float>(seed, 0.4, c, c)),
        addend(random_tensor<float>(seed + 100, 1, addends, c)),
        its_weight(on(context, weight)),
        its_addend(on(context, addend)) {}

  LinearMap<float> view() const { return {as_matrix(its_weight), as_matrix(its_addend)}; }

  Values of(Values const& x) const {
    std::size_t const c = weight.extent(0);
    return reference::product(
               x.size() / c, c, c, [&](std::size_t i, std::size_t k) { return x[i * c + k]; },
               [&](std::size_t k, std::size_t j) { return static_cast<double>(weight(j, k)); },
               [&](std::size_t i, std::size_t j) { return static_cast<double>(addend(i % addend.extent(0), j)); },
               reference::nothing)
        .value;
  }
};

struct Case {
  std::size_t n, length, c, heads, addends, regions;
};
// Heads that fill panels alone, in pairs and not at all, odd ones, rows around the tiles, guidance that goes through
// several sequences.
std::vector<Case> const cases{{1, 1, 2, 1, 1, 0},   {3, 5, 24, 4, 15, 2},     {2, 36, 64, 2, 36, 2},
                              {2, 33, 64, 4, 1, 0}, {1, 144, 128, 4, 144, 1}, {2, 9, 33, 3, 1, 2},
                              {4, 17, 20, 2, 7, 4}};

}  // namespace

TEST_CASE("norm_attention: the first half of a pre-norm block in one go") {
  for_each_context([](auto const& context) {
    for (auto const& t : cases) {
      CAPTURE(t.length);
      CAPTURE(t.c);
      auto const x = random_tensor<float>(context, 1, 2, t.n, t.length, t.c);
      auto const w = random_tensor<float>(context, 2, 1, t.c), b = random_tensor<float>(context, 3, 1, t.c);
      Map const q(context, 4, t.c, t.addends), k(context, 5, t.c, t.addends), v(context, 6, t.c, 1),
          out(context, 7, t.c, 1);
      DynamicTensor<std::uint8_t, 2> regions;
      if (t.regions > 0) {
        regions = DynamicTensor<std::uint8_t, 2>(dynamic_extents<2>(t.regions, t.length));
        for (std::size_t i = 0; i < regions.size(); ++i)
          regions.data()[i] = static_cast<std::uint8_t>(i * i / 7 % (2 + i / t.length));
      }
      Values const before = values(x);
      auto const expect = [&](bool masked) {
        auto const rows = reference::layer_norm(t.n * t.length, t.c, before, values(w), values(b)).value;
        auto const mask = [&](std::size_t n, std::size_t i, std::size_t j) {
          if (!masked || regions.empty()) return 0.0;
          auto const* const row = regions.data() + n % t.regions * t.length;
          return row[i] == row[j] ? 0.0 : -100.0;
        };
        double const scale = 1 / std::sqrt(static_cast<double>(t.c / t.heads));
        auto y = out.of(reference::attention({t.n, t.length, t.length, t.c, t.heads}, q.of(rows), k.of(rows),
                                             v.of(rows), scale, mask)
                            .value);
        for (std::size_t i = 0; i < y.size(); ++i) y[i] += before[i];
        return y;
      };
      auto const expected = expect(true);
      auto const run = [&](auto const& with) {
        auto const y = norm_attention(with, copy_of(context, x), NormParameters{w, b},
                                      AttentionMaps<float>{q.view(), k.view(), v.view(), out.view()}, t.heads,
                                      on(context, regions));
        context.fence();
        CHECK(shape(y) == std::vector<std::size_t>{t.n, t.length, t.c});
        return values(y);
      };
      CHECK(close(run(context), expected, 2e-5 * largest(expected)));
      auto const half = run(context.with_precision(MatmulPrecision::bf16));
      CHECK(close(half, expected, 0.03 * largest(expected)));
      // Without the attention, or without its regions, it would be noticed.
      if (t.length == 1) continue;
      CHECK_FALSE(close(half, before, 0.03 * largest(expected)));
      if (t.regions > 0) CHECK_FALSE(close(half, expect(false), 0.03 * largest(expected)));
    }
  });
}

TEST_CASE("norm_attention of nothing, and what does not fit") {
  for_each_host_context([](auto const& context) {
    auto const none = context.template tensor<float>(2, 0, 4), x = random_tensor<float>(1, 1, 2, 3, 4);
    auto const w = random_tensor<float>(1, 1, 4), short_w = random_tensor<float>(1, 1, 3);
    Map const fits(context, 2, 4, 1), other(context, 3, 5, 1);
    AttentionMaps<float> const maps{fits.view(), fits.view(), fits.view(), fits.view()};
    CHECK(norm_attention(context, none, NormParameters{w, w}, maps, 2).size() == 0);
    auto const message = [&](auto const& norm, AttentionMaps<float> const& with, std::size_t heads,
                             DynamicTensor<std::uint8_t, 2> const& regions = {}) {
      return message_of<ShapeError>([&] { norm_attention(context, x, norm, with, heads, regions); });
    };
    auto wrong = maps;
    wrong.v = other.view();
    DynamicTensor<std::uint8_t, 2> const regions(dynamic_extents<2>(2, 5));
    NormParameters const norm{w, w};
    CHECK(message(norm, maps, 3) == "[norm_attention] 3 heads do not divide the width 4");
    CHECK(message(norm, wrong, 2) == "[norm_attention] the columns of a weight is 5, expected 4");
    CHECK(message(NormParameters{short_w, w}, maps, 2) == "[norm_attention] the weight of the norm is 3, expected 4");
    CHECK(message(norm, maps, 2, regions) == "[norm_attention] regions.extent(1) is 5, expected 3");
  });
}
