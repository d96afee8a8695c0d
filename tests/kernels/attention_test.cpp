// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/attention.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/leading_axis_attention.hpp"
#include "kovos/kernels/linear_attention.hpp"
#include "kovos/kernels/window.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("attention: self, cross and causal, any head width") {
  struct Case {
    reference::AttentionShape s;
    bool causal;
  };
  // Lengths around the blocks of the host engine (4 tiles of 6 or 14 rows) and one row, one key, one channel.
  std::vector<Case> const cases{{{1, 1, 1, 1, 1}, false},    {{1, 1, 1, 1, 1}, true},     {{2, 5, 9, 12, 4}, false},
                                {{2, 24, 24, 10, 2}, true},  {{1, 25, 17, 21, 3}, false}, {{3, 57, 57, 15, 5}, true},
                                {{1, 56, 33, 64, 1}, false}, {{1, 77, 77, 64, 2}, true},  {{2, 7, 113, 33, 3}, false}};
  for_each_context([&](auto const& context) {
    for (auto const& c : cases) {
      auto const& s = c.s;
      bool const causal = c.causal;
      auto const q = random_tensor<float>(context, 1, 2, s.batch, s.queries, s.width);
      auto const k = random_tensor<float>(context, 2, 2, s.batch, s.keys, s.width);
      auto const v = random_tensor<float>(context, 3, 2, s.batch, s.keys, s.width);
      CAPTURE(s.queries);
      CAPTURE(s.keys);
      CAPTURE(s.width);
      CAPTURE(causal);
      double const scale = 1 / std::sqrt(static_cast<double>(s.width / s.heads));
      auto const o = attention(context, q, k, v, s.heads, causal);
      auto const doubled = attention(context, q, k, v, s.heads, causal, static_cast<float>(2 * scale));
      context.fence();
      CHECK(shape(o) == std::vector<std::size_t>{s.batch, s.queries, s.width});
      auto const expect = [&](double factor, bool masked) {
        return reference::attention(s, values(q), values(k), values(v), factor,
                                    masked ? reference::causal_mask : reference::no_mask);
      };
      auto const expected = expect(scale, causal);
      CHECK(close(values(o), expected));
      CHECK(close(values(doubled), expect(2 * scale, causal)));
      if (s.keys == 1) continue;
      CHECK_FALSE(close(values(o), expect(1.02 * scale, causal).value, expected.bound));
      if (s.keys == s.queries) CHECK_FALSE(close(values(o), expect(scale, !causal).value, expected.bound));
    }
  });
}

TEST_CASE("attention keeps large scores finite") {
  for_each_context([](auto const& context) {
    auto const q = random_tensor<float>(context, 1, 1, 1, 3, 4);
    fill(context, q, 100.0f);
    auto const k = on(context, changed(random_tensor<float>(2, 1, 1, 40, 4), [](std::size_t i, float& number) {
                        number = i / 4 == 37 ? 100.0f : -100.0f;  // the one key that counts
                      }));
    auto const v = random_tensor<float>(3, 1, 1, 40, 4);
    auto const y = attention(context, q, k, on(context, v), 1);
    context.fence();
    auto const o = on_host(y);
    for (std::size_t d = 0; d < 4; ++d)
      CHECK(static_cast<double>(o(0, 2, d)) == doctest::Approx(static_cast<double>(v(0, 37, d))));
  });
}

TEST_CASE("window_attention agrees with rolling, cutting and masking") {
  struct Case {
    reference::Map map;
    std::size_t heads, window, shift;
  };
  std::vector<Case> const cases{{{1, 6, 6, 8}, 2, 3, 0}, {{2, 6, 9, 12}, 3, 3, 1}, {{1, 8, 4, 10}, 2, 4, 2},
                                {{1, 5, 5, 7}, 1, 5, 0}, {{2, 4, 4, 6}, 2, 4, 2},  {{1, 12, 12, 32}, 4, 6, 3},
                                {{1, 3, 6, 5}, 5, 1, 0}, {{1, 14, 7, 9}, 3, 7, 6}};
  for_each_context([&](auto const& context) {
    for (auto const& c : cases) {
      auto const& m = c.map;
      std::size_t const heads = c.heads, window = c.window, shift = c.shift;
      auto const q = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
      auto const k = random_tensor<float>(context, 2, 1, m.n, m.height, m.width, m.channels);
      auto const v = random_tensor<float>(context, 3, 1, m.n, m.height, m.width, m.channels);
      auto const o = window_attention(context, q, k, v, heads, window, shift);
      context.fence();
      CAPTURE(m.height);
      CAPTURE(m.width);
      CAPTURE(window);
      CAPTURE(shift);
      auto const expect = [&](std::size_t s, bool masked) {
        return reference::window_attention(m, values(q), values(k), values(v), heads, window, s, masked);
      };
      auto const expected = expect(shift, true);
      CHECK(close(values(o), expected));
      if (window == 1) continue;
      // No mask, another shift, transposed windows: each must be noticed.
      if (shift > 0) CHECK_FALSE(close(values(o), expect(shift, false).value, expected.bound));
      CHECK_FALSE(close(values(o), expect(shift == 0 ? 1 : shift - 1, true).value, expected.bound));
    }
  });
}

TEST_CASE("attention_in_regions of windows that are cut already is window_attention") {
  for_each_context([](auto const& context) {
    for (std::size_t shift : {0u, 2u}) {
      std::size_t const n = 2, height = 8, width = 12, window = 4, c = 10, heads = 2;
      auto const q = random_tensor<float>(context, 1, 1, n, height, width, c),
                 k = random_tensor<float>(context, 2, 1, n, height, width, c),
                 v = random_tensor<float>(context, 3, 1, n, height, width, c);
      auto const cut = [&](auto const& x) { return window_partition(context, x, window, shift); };
      std::remove_cvref_t<decltype(window_regions(context, height, width, window, shift))> regions;
      if (shift > 0) regions = window_regions(context, height, width, window, shift);
      auto const o = window_reverse(context, attention_in_regions(context, cut(q), cut(k), cut(v), heads, regions), n,
                                    height, width, window, shift);
      context.fence();
      auto const expect = [&](bool masked) {
        return reference::window_attention({n, height, width, c}, values(q), values(k), values(v), heads, window, shift,
                                           masked);
      };
      auto const expected = expect(true);
      CHECK(close(values(o), expected));
      if (shift > 0) CHECK_FALSE(close(values(o), expect(false).value, expected.bound));
    }
    auto const x = random_tensor<float>(context, 1, 1, 2, 9, 4), other = random_tensor<float>(context, 1, 1, 2, 5, 4);
    auto const regions = context.template tensor<std::uint8_t>(2, 8);
    CHECK(message_of<ShapeError>([&] { attention_in_regions(context, x, other, other, 2, {}); }) ==
          "[attention_in_regions] k.extent(1) is 5, expected 9");
    CHECK(message_of<ShapeError>([&] { attention_in_regions(context, x, x, x, 2, regions); }) ==
          "[attention_in_regions] regions.extent(1) is 8, expected 9");
  });
}

TEST_CASE("linear attention, with repeated keys as explicit padding") {
  for_each_context([](auto const& context) {
    struct Case {
      std::size_t length, positions, width, heads, padding;
    };
    for (auto const& c : {Case{1, 1, 1, 1, 0}, Case{5, 7, 12, 4, 0}, Case{20, 9, 34, 2, 0}, Case{3, 5, 33, 3, 253},
                          Case{17, 2, 64, 4, 1}, Case{70, 2, 32, 4, 0}}) {
      auto const q = random_tensor<float>(context, 1, 3, c.length, c.positions, c.width);
      auto const k = random_tensor<float>(context, 2, 3, c.length, c.positions, c.width);
      auto const v = random_tensor<float>(context, 3, 3, c.length, c.positions, c.width);
      auto const key = random_tensor<float>(context, 4, 3, c.width),
                 value = random_tensor<float>(context, 5, 3, c.width);
      RepeatedKey<typename std::remove_cvref_t<decltype(context)>::memory_space> padding;
      if (c.padding > 0) padding = {c.padding, key, value};
      auto const linear_result = linear_attention(context, q, k, v, c.heads, padding);
      auto const full_result = leading_axis_attention(context, q, k, v, c.heads, padding);
      context.fence();
      // The same with the padding written out.
      auto const extended = [&](auto const& x, auto const& row, std::size_t count) {
        Values all = values(x);
        Values const one = values(row);
        for (std::size_t i = 0; i < count * c.positions; ++i) all.insert(all.end(), one.begin(), one.end());
        return all;
      };
      auto const expect = [&](auto const& f, std::size_t count) {
        return f(c.length, c.length + count, c.positions, c.width, c.heads, values(q), extended(k, key, count),
                 extended(v, value, count));
      };
      auto const linear_of = [](auto... a) { return reference::linear_attention(a...); };
      auto const full_of = [](auto... a) { return reference::leading_axis_attention(a...); };
      CAPTURE(c.length);
      CAPTURE(c.padding);
      auto const expected_linear = expect(linear_of, c.padding);
      auto const expected_full = expect(full_of, c.padding);
      CHECK(shape(linear_result) == std::vector<std::size_t>{c.length, c.positions, c.width});
      CHECK(shape(full_result) == std::vector<std::size_t>{c.length, c.positions, c.width});
      CHECK(close(values(linear_result), expected_linear));
      CHECK(close(values(full_result), expected_full));
      // One padding key more or less must be noticed.
      CHECK_FALSE(close(values(linear_result), expect(linear_of, c.padding + 1).value, expected_linear.bound));
      if (c.padding < 200)
        CHECK_FALSE(close(values(full_result), expect(full_of, c.padding + 1).value, expected_full.bound));
    }
  });
}

TEST_CASE("linear attention divides by the sum of weights plus 1e-6") {
  for_each_context([](auto const& context) {
    // phi is tiny everywhere, so that the epsilon matters.
    auto const lower = [](std::size_t, float& number) { number -= 7; };
    auto const q = on(context, changed(random_tensor<float>(1, 1, 4, 2, 6), lower)),
               k = on(context, changed(random_tensor<float>(2, 1, 4, 2, 6), lower)),
               v = random_tensor<float>(context, 3, 1, 4, 2, 6);
    auto const o = linear_attention(context, q, k, v, 2);
    context.fence();
    auto const expect = [&](double epsilon) {
      return reference::linear_attention(4, 4, 2, 6, 2, values(q), values(k), values(v), epsilon);
    };
    CHECK(close(values(o), expect(1e-6)));
    CHECK_FALSE(close(values(o), expect(0).value, expect(1e-6).bound));
    CHECK_FALSE(close(values(o), expect(1e-5).value, expect(1e-6).bound));
  });
}

TEST_CASE("attention over nothing gives nothing") {
  for_each_context([](auto const& context) {
    auto const none = context.template tensor<float>(0, 3, 4);
    CHECK(attention(context, none, none, none, 2).size() == 0);
    CHECK(linear_attention(context, none, none, none, 2).size() == 0);
    CHECK(leading_axis_attention(context, none, none, none, 2).size() == 0);
    auto const map = context.template tensor<float>(0, 4, 4, 6);
    CHECK(window_attention(context, map, map, map, 2, 2, 1).size() == 0);
  });
}

TEST_CASE("attention refuses extents that do not fit") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 2, 3, 8), more_keys = random_tensor<float>(1, 1, 2, 5, 8),
             other_batch = random_tensor<float>(1, 1, 1, 3, 8), narrow = random_tensor<float>(1, 1, 2, 3, 6),
             none = random_tensor<float>(1, 1, 2, 0, 8);
  auto const run = [&](auto const& q, auto const& k, auto const& v, std::size_t heads, bool causal = false) {
    return message_of<ShapeError>([&] { attention(context, q, k, v, heads, causal); });
  };
  CHECK(run(x, x, x, 3) == "[attention] 3 heads do not divide the width 8");
  CHECK(run(x, x, x, 0) == "[attention] 0 heads do not divide the width 8");
  CHECK(run(x, other_batch, other_batch, 2) == "[attention] k.extent(0) is 1, expected 2");
  CHECK(run(x, narrow, narrow, 2) == "[attention] k.extent(2) is 6, expected 8");
  CHECK(run(x, x, more_keys, 2) == "[attention] k is [2, 3, 8], v is [2, 5, 8]");
  CHECK(run(x, more_keys, more_keys, 2, true) ==
        "[attention] causal attention needs as many keys as queries, got 5 and 3");
  CHECK(run(x, none, none, 2) == "[attention] there are no keys");

  auto const linear_run = [&](auto const& q, auto const& k, auto const& v, std::size_t heads,
                              RepeatedKey<Kokkos::HostSpace> const& padding = {}) {
    auto const a = message_of<ShapeError>([&] { linear_attention(context, q, k, v, heads, padding); });
    auto const b = message_of<ShapeError>([&] { leading_axis_attention(context, q, k, v, heads, padding); });
    CHECK(a.substr(a.find(']')) == b.substr(b.find(']')));
    CHECK(b.starts_with("[leading_axis_attention]"));
    return a;
  };
  CHECK(linear_run(x, x, x, 5) == "[linear_attention] 5 heads do not divide the width 8");
  CHECK(linear_run(x, more_keys, x, 2) == "[linear_attention] q is [2, 3, 8], k is [2, 5, 8], v is [2, 3, 8]");
  auto const row = random_tensor<float>(1, 1, 8), short_row = random_tensor<float>(1, 1, 7);
  CHECK(linear_run(x, x, x, 2, {4, short_row, row}) == "[linear_attention] padding.key is 7, expected 8");
  CHECK(linear_run(x, x, x, 2, {4, row, short_row}) == "[linear_attention] padding.value is 7, expected 8");

  auto const map = random_tensor<float>(1, 1, 1, 6, 6, 8), wide = random_tensor<float>(1, 1, 1, 6, 12, 8);
  auto const window_run = [&](auto const& q, auto const& k, std::size_t heads, std::size_t window, std::size_t shift) {
    return message_of<ShapeError>([&] { window_attention(context, q, k, k, heads, window, shift); });
  };
  CHECK(window_run(map, map, 3, 3, 0) == "[window_attention] 3 heads do not divide the width 8");
  CHECK(window_run(map, map, 2, 4, 0) == "[window_attention] windows of 4 pixels do not tile a map of 6 x 6");
  CHECK(window_run(map, map, 2, 0, 0) == "[window_attention] windows of 0 pixels do not tile a map of 6 x 6");
  CHECK(window_run(map, map, 2, 3, 3) == "[window_attention] shift 3 must be smaller than the window 3");
  CHECK(window_run(map, wide, 2, 3, 0) ==
        "[window_attention] q is [1, 6, 6, 8], k is [1, 6, 12, 8], v is [1, 6, 12, 8]");
}
