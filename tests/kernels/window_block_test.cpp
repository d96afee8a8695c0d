// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/window_block.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "kovos/autodiff/tape.hpp"
#include "kovos/autodiff/window_block.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/window_block.hpp"
#include "kovos/kernels/window.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

struct Case {
  std::size_t n, height, width, c, heads, window, shift;
  bool guided;
};
// Windows as large as the map, of one pixel, in maps that are not square; heads that fill panels and odd ones.
std::vector<Case> const cases{{3, 6, 9, 8, 2, 3, 0, true},   {3, 6, 9, 8, 2, 3, 1, true},
                              {2, 4, 4, 24, 4, 4, 0, true},  {1, 8, 4, 64, 2, 4, 2, true},
                              {2, 6, 6, 33, 3, 3, 2, true},  {2, 2, 3, 6, 1, 1, 0, true},
                              {5, 6, 6, 20, 2, 3, 1, false}, {1, 24, 24, 32, 4, 12, 6, true}};

/// Random parameters of a block for maps of a case.
template <class Exec>
struct Block {
  template <std::size_t Rank>
  using On = DynamicTensor<float, Rank, typename Exec::memory_space>;

  Case t;
  On<4> q_map, k_map;  // what each pixel adds
  On<2> q_addend, k_addend, bias, hidden_bias, q, k, v, out, first, second;
  On<1> w1, b1, w2, b2;

  Block(Context<Exec> const& context, Case const& of) : t(of) {
    std::size_t const c = t.c, hidden = 2 * c + 1;
    q_map = random_tensor<float>(context, 11, 1, std::size_t{1}, t.height, t.width, c);
    k_map = random_tensor<float>(context, 12, 1, std::size_t{1}, t.height, t.width, c);
    bias = random_tensor<float>(context, 13, 1, std::size_t{1}, c);
    hidden_bias = random_tensor<float>(context, 14, 1, std::size_t{1}, hidden);
    q = random_tensor<float>(context, 15, 0.4, c, c), k = random_tensor<float>(context, 16, 0.4, c, c);
    v = random_tensor<float>(context, 17, 0.4, c, c), out = random_tensor<float>(context, 18, 0.4, c, c);
    first = random_tensor<float>(context, 19, 0.3, hidden, c);
    second = random_tensor<float>(context, 20, 0.3, c, hidden);
    w1 = random_tensor<float>(context, 21, 1, c), b1 = random_tensor<float>(context, 22, 1, c);
    w2 = random_tensor<float>(context, 23, 1, c), b2 = random_tensor<float>(context, 24, 1, c);
    q_addend = t.guided ? window_block_addends(context, q_map, t.window, t.shift) : bias;
    k_addend = t.guided ? window_block_addends(context, k_map, t.window, t.shift) : bias;
  }

  WindowBlock<NormParameters<On<1>, On<1>>, float> view(On<2> const& of_q, On<2> const& of_k) const {
    auto const map = [](On<2> const& weight, On<2> const& addend) {
      return LinearMap<float>{as_matrix(weight), as_matrix(addend)};
    };
    return {{w1, b1},
            {map(q, of_q), map(k, of_k), map(v, bias), map(out, bias)},
            t.heads,
            {w2, b2},
            map(first, hidden_bias),
            Activation::gelu,
            map(second, bias)};
  }
  auto view() const { return view(q_addend, k_addend); }
  /// As it is read row by row.
  auto by_rows() const {
    dynamic_extents<2> const rows(t.height * t.width, t.c);
    return t.guided ? view(q_map.reshape(rows), k_map.reshape(rows)) : view();
  }

  Values expected(Values const& x, bool shifted = true) const {
    std::size_t const c = t.c, rows = x.size() / c;
    auto const apply = [](Values const& in, On<2> const& weight, Values const& addend,
                          Activation activation = Activation::none) {
      std::size_t const o = weight.extent(0), i = weight.extent(1);
      Values const w = values(weight);
      return reference::product(
                 in.size() / i, o, i, [&](std::size_t r, std::size_t d) { return in[r * i + d]; },
                 [&](std::size_t d, std::size_t j) { return w[j * i + d]; },
                 [&](std::size_t r, std::size_t j) { return addend[r * o % addend.size() + j]; }, reference::nothing,
                 {1, activation})
          .value;
    };
    auto const sum = [](Values a, Values const& b) {
      for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
      return a;
    };
    Values const one = values(bias);
    auto const n = reference::layer_norm(rows, c, x, values(w1), values(b1)).value;
    auto const attended =
        reference::window_attention({t.n, t.height, t.width, c}, apply(n, q, t.guided ? values(q_map) : one),
                                    apply(n, k, t.guided ? values(k_map) : one), apply(n, v, one), t.heads, t.window,
                                    shifted ? t.shift : 0, true)
            .value;
    auto const y = sum(x, apply(attended, out, one));
    auto const m = reference::layer_norm(rows, c, y, values(w2), values(b2)).value;
    return sum(y, apply(apply(m, first, values(hidden_bias), Activation::gelu), second, one));
  }
};

}  // namespace

TEST_CASE("window_block: a block of windows in one go") {
  for_each_context([](auto const& context) {
    for (auto const& t : cases) {
      CAPTURE(t.height);
      CAPTURE(t.c);
      CAPTURE(t.shift);
      Block const block(context, t);
      auto const x = random_tensor<float>(context, 1, 2, t.n, t.height, t.width, t.c);
      Values const before = values(x), expected = block.expected(before);
      auto const run = [&](auto const& with) {
        auto const y = window_block(with, copy_of(context, x), block.view(), t.window, t.shift);
        context.fence();
        CHECK(shape(y) == std::vector<std::size_t>{t.n, t.height, t.width, t.c});
        return values(y);
      };
      CHECK(close(run(context), expected, 2e-5 * largest(expected)));
      auto const half = run(context.with_precision(MatmulPrecision::bf16));
      CHECK(close(half, expected, 0.03 * largest(expected)));
      CHECK_FALSE(close(half, before, 0.03 * largest(expected)));
      if (t.shift > 0) CHECK_FALSE(close(half, block.expected(before, false), 0.03 * largest(expected)));
    }
  });
}

TEST_CASE("a block of windows gives the same layer by layer, window by window and in a tape") {
  for_each_host_context([](auto const& context) {
    for (auto const& t : cases) {
      CAPTURE(t.height);
      CAPTURE(t.c);
      CAPTURE(t.shift);
      Block const block(context, t);
      auto const x = random_tensor<float>(1, 2, t.n, t.height, t.width, t.c);
      auto const of = [&](auto const& y) {
        context.fence();
        return values(y);
      };
      auto const regions = window_regions(context, t.height, t.width, t.window, t.shift);
      auto const view = block.view();
      auto const solved_by = [&](auto engine) {
        auto const y = copy_of(context, x);
        problem::WindowBlock<float> p;
        p.x = y.data();
        p.windows = {t.n, t.height, t.width, t.c, t.window, t.shift};
        p.heads = t.heads;
        p.norm_1 = {block.w1.data(), block.b1.data(), 1e-5f};
        p.maps = view.maps;
        p.norm_2 = {block.w2.data(), block.b2.data(), 1e-5f};
        p.first = view.first;
        p.activation = view.activation;
        p.second = view.second;
        p.scale = detail::attention_scale(t.c / t.heads);
        p.regions = t.shift > 0 ? regions.data() : nullptr;
        run(engine, context, p);
        return of(y);
      };
      auto const by_layers = solved_by(engine::Portable{});
      double const bound = 1e-6 * largest(by_layers);
      CHECK(close(of(window_block(context, copy_of(context, x), view, t.window, t.shift)), by_layers, bound));
#ifdef KOVOS_HOST_ENGINE
      CHECK(close(solved_by(engine::Host{}), by_layers, bound));
#endif
      Tape const tape(context);
      CHECK(close(of(window_block(tape, x, block.by_rows(), t.window, t.shift)), by_layers, bound));
      CHECK(close(of(window_block_addends(tape, block.q_map, t.window, t.shift)), values(block.q_map), 0));
    }
  });
}

TEST_CASE("window_block of what does not fit") {
  for_each_context([](auto const& context) {
    Block const block(context, cases[0]);
    auto const x = random_tensor<float>(context, 1, 1, 2, 6, 9, 8),
               small = random_tensor<float>(context, 1, 1, 2, 6, 6, 8);
    auto const message = [&](auto const& map, auto const& with, std::size_t window, std::size_t shift) {
      return message_of<ShapeError>([&] { window_block(context, map, with, window, shift); });
    };
    auto heads = block.view();
    heads.heads = 3;
    CHECK(message(x, block.view(), 4, 0) == "[window_block] windows of 4 pixels do not tile a map of 6 x 9");
    CHECK(message(x, block.view(), 3, 3) == "[window_block] shift 3 must be smaller than the window 3");
    CHECK(message(x, heads, 3, 0) == "[window_block] 3 heads do not divide the width 8");
    CHECK(message(small, block.view(), 3, 0) ==
          "[window_block] the addend has 54 rows, expected one, or one for each of 36 pixels");
  });
}
