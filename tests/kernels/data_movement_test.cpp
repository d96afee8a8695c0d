// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/embedding.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/label_choice.hpp"
#include "kovos/kernels/selection.hpp"
#include "kovos/kernels/transpose.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
using Numbers = std::vector<std::size_t>;

DynamicTensor<std::int32_t, 1> integers(std::vector<std::int32_t> const& list) {
  DynamicTensor<std::int32_t, 1> x(dynamic_extents<1>{list.size()});
  std::copy(list.begin(), list.end(), x.data());
  return x;
}
template <class X>
std::vector<int> list_of(X const& x) {
  return {x.data(), x.data() + x.size()};
}
}  // namespace

TEST_CASE("permute by every order of four axes, and other ranks and types") {
  for_each_context([](auto const& context) {
    auto const x = random_tensor<float>(context, 1, 1, 2, 3, 4, 5);
    std::array<std::size_t, 4> const extents{2, 3, 4, 5};
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    do {
      auto const y = permute(context, x, order);
      context.fence();
      CHECK(shape(y) == Numbers{extents[order[0]], extents[order[1]], extents[order[2]], extents[order[3]]});
      CHECK(values(y) == reference::permute(extents, values(x), order));
    } while (std::next_permutation(order.begin(), order.end()));
    auto const m = random_tensor<bf16>(2, 1, 3, 7);
    auto const turned = permute(context, on(context, m), {1, 0});
    context.fence();
    auto const t = on_host(turned);
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 7; ++j) CHECK(t(j, i).bits == m(i, j).bits);
    CHECK(permute(context, context.template tensor<float>(0, 3), {1, 0}).size() == 0);
  });
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 2, 3);
  CHECK(message_of<ShapeError>([&] {
          permute(context, x, {0, 2});
        }) == "[permute] axis 1 of the order (2) is out of range or used twice");
  CHECK(message_of<ShapeError>([&] {
          permute(context, x, {1, 1});
        }) == "[permute] axis 1 of the order (1) is out of range or used twice");
}

TEST_CASE("copy_of, fill, assign, add_in_place, mean_over_axis1, normalize_channels") {
  for_each_context([](auto const& context) {
    auto const half = random_tensor<bf16>(context, 1, 3, 4, 5);
    auto const copy = copy_of(context, half);
    context.fence();
    CHECK(values(copy) == values(half));

    auto const x = random_tensor<float>(context, 2, 1, 4, 3, 5), y = random_tensor<float>(context, 3, 1, 4, 3, 5);
    assign(context, x, y);
    context.fence();
    CHECK(x.data() != y.data());
    CHECK(values(x) == values(y));
    fill(context, x, 2.5f);
    context.fence();
    CHECK(values(x) == Values(60, 2.5));

    auto const row = random_tensor<float>(4, 1, 3, 5);
    auto const half_row = random_tensor<bf16>(5, 1, 5);
    auto const total_of_three = copy_of(context, y);
    add_in_place(context, total_of_three, on(context, row));
    add_in_place(context, total_of_three, on(context, half_row));
    auto const means = mean_over_axis1(context, y);
    context.fence();
    auto const sum = on_host(total_of_three), its = on_host(y);
    auto const mean = on_host(means);
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t k = 0; k < 5; ++k) {
        double total = 0;
        for (std::size_t j = 0; j < 3; ++j) {
          CHECK(sum(i, j, k) == (its(i, j, k) + row(j, k)) + static_cast<float>(half_row(k)));
          total += static_cast<double>(its(i, j, k));
        }
        CHECK(std::fabs(static_cast<double>(mean(i, k)) - total / 3) <= 6 * unit);
      }
    add_in_place(context, context.template tensor<float>(0, 5), on(context, row));

    auto const map = random_tensor<float>(6, 1, 1, 2, 3, 3);
    Kokkos::Array<float, 3> const shift{0.5f, -1.0f, 0.0f}, divisor{2.0f, 0.25f, 3.0f};
    auto const normal = normalize_channels(context, on(context, map), shift, divisor);
    context.fence();
    auto const z = on_host(normal);
    for (std::size_t i = 0; i < map.size(); ++i) CHECK(z.data()[i] == (map.data()[i] - shift[i % 3]) / divisor[i % 3]);
  });
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 4, 6), y = random_tensor<float>(1, 1, 6, 4);
  auto const five = random_tensor<float>(1, 1, 5);
  CHECK(message_of<ShapeError>([&] { assign(context, x, y); }) == "[assign] [6, 4] does not fit into [4, 6]");
  CHECK(message_of<ShapeError>([&] { add_in_place(context, x, five); }) ==
        "[add_in_place] 5 elements do not repeat evenly in [4, 6]");
  CHECK(message_of<ShapeError>([&] { add_in_place(context, x, random_tensor<float>(1, 1, 0)); }) ==
        "[add_in_place] 0 elements do not repeat evenly in [4, 6]");
  CHECK(message_of<ShapeError>([&] { mean_over_axis1(context, random_tensor<float>(1, 1, 2, 0, 3)); }) ==
        "[mean_over_axis1] the middle axis is empty");
  CHECK(message_of<ShapeError>([&] {
          normalize_channels(context, random_tensor<float>(1, 1, 1, 2, 2, 4), Kokkos::Array<float, 3>{},
                             Kokkos::Array<float, 3>{});
        }) == "[normalize_channels] the last extent of x is 4, expected 3");
}

TEST_CASE("embed adds the position to the row of the table") {
  for_each_context([](auto const& context) {
    auto const rows = random_tensor<bf16>(1, 1, 11, 6);
    auto const places = random_tensor<float>(2, 1, 5, 6);
    auto const numbers = integers({0, 10, 3, 3, 7, 1});
    auto const table = on(context, rows);
    auto const positions = on(context, places);
    auto const flat = on(context, numbers);
    auto const ids = flat.reshape(dynamic_extents<2>(2, 3));
    auto const embedded = embed(context, ids, table, positions);
    context.fence();
    auto const y = on_host(embedded);
    CHECK(shape(y) == Numbers{2, 3, 6});
    for (std::size_t n = 0; n < 2; ++n)
      for (std::size_t l = 0; l < 3; ++l)
        for (std::size_t d = 0; d < 6; ++d)
          CHECK(y(n, l, d) == static_cast<float>(rows(numbers(n * 3 + l), d)) + places(l, d));
    CHECK(message_of<ShapeError>([&] { embed(context, flat.reshape(dynamic_extents<2>(1, 6)), table, positions); }) ==
          "[embed] a sequence of 6 tokens exceeds the context of 5");
    CHECK(message_of<ShapeError>([&] { embed(context, ids, table, random_tensor<float>(context, 1, 1, 5, 4)); }) ==
          "[embed] positions.extent(1) is 4, expected 6");
  });
}

TEST_CASE("tokens from maps and back, chosen tokens and rows") {
  for_each_context([](auto const& context) {
    std::size_t const n = 2, h = 3, w = 2, d = 5;
    auto const map = random_tensor<float>(1, 1, n, h, w, d);
    auto const first = random_tensor<float>(2, 1, d);
    auto const positions = random_tensor<bf16>(3, 1, h * w, d);
    auto const tokens = map_to_tokens(context, on(context, map), on(context, first), on(context, positions));
    auto const map_again = tokens_to_map(context, tokens, h, w);
    context.fence();
    auto const x = on_host(tokens);
    auto const back = on_host(map_again);
    CHECK(shape(x) == Numbers{n, 1 + h * w, d});
    CHECK(shape(back) == Numbers{n, h, w, d});
    for (std::size_t s = 0; s < n; ++s)
      for (std::size_t c = 0; c < d; ++c) {
        CHECK(x(s, 0, c) == first(c));
        for (std::size_t p = 0; p < h * w; ++p) {
          CHECK(x(s, p + 1, c) == map(s, p / w, p % w, c) + static_cast<float>(positions(p, c)));
          CHECK(back(s, p / w, p % w, c) == x(s, p + 1, c));
        }
      }
    auto const selected = select_tokens(context, tokens, on(context, integers({6, 0})));
    auto const gathered = gather_rows(context, tokens, on(context, integers({1, -1, 0, 1})), 0.5f);
    auto const none = gather_rows(context, tokens, on(context, integers({})));
    context.fence();
    auto const chosen = on_host(selected);
    auto const rows = on_host(gathered);
    CHECK(shape(rows) == Numbers{4, 7, 5});
    CHECK(none.size() == 0);
    for (std::size_t c = 0; c < d; ++c) {
      CHECK(chosen(0, c) == x(0, 6, c));
      CHECK(chosen(1, c) == x(1, 0, c));
      CHECK(rows(0, 6, c) == x(1, 6, c));
      CHECK(rows(1, 3, c) == 0.5f);
      CHECK(rows(2, 2, c) == x(0, 2, c));
      CHECK(rows(3, 0, c) == x(1, 0, c));
    }
    CHECK(message_of<ShapeError>([&] {
            map_to_tokens(context, on(context, map), random_tensor<float>(context, 1, 1, 4), on(context, positions));
          }) == "[map_to_tokens] first_token is 4, expected 5");
    CHECK(message_of<ShapeError>([&] {
            map_to_tokens(context, on(context, map), on(context, first), random_tensor<float>(context, 1, 1, 7, 5));
          }) == "[map_to_tokens] positions is 35, expected 30");
    CHECK(message_of<ShapeError>([&] { tokens_to_map(context, tokens, 3, 3); }) ==
          "[tokens_to_map] x.extent(1) is 7, expected 10");
    CHECK(message_of<ShapeError>([&] { select_tokens(context, tokens, on(context, integers({1}))); }) ==
          "[select_tokens] index is 1, expected 2");
  });
}

TEST_CASE("argmax, in one piece and tile by tile, keeps the first on ties") {
  for_each_context([](auto const& context) {
    auto const scores = random_tensor<float>(1, 1, 37, 50);
    for (std::size_t p = 0; p < 50; ++p) scores(p % 37, p) = scores((p + 5) % 37, p) = 2;  // two winners each
    for (std::size_t t = 0; t < 37; ++t) scores(t, 7) = -1;                                // everything equal
    auto const x = on(context, scores);
    auto const winner = argmax(context, x);
    auto const best = context.template tensor<float>(50);
    auto const label = context.template tensor<std::int32_t>(50);
    fill(context, best, -1e30f);
    fill(context, label, -1);
    for (std::size_t first = 0; first < 37; first += 10)
      update_argmax(context, x.slice(first, std::min<std::size_t>(10, 37 - first)), first, best, label);
    context.fence();
    auto const y = on_host(winner);
    auto const highest = on_host(best);
    for (std::size_t p = 0; p < 50; ++p)
      CHECK(y(p) == static_cast<std::int32_t>(p == 7 ? 0 : std::min(p % 37, (p + 5) % 37)));
    CHECK(list_of(on_host(label)) == list_of(y));
    CHECK(highest(3) == 2.0f);
    CHECK(highest(7) == -1.0f);

    auto const maxima = row_maximum(context, x);
    context.fence();
    auto const top = on_host(maxima);
    for (std::size_t t = 0; t < 37; ++t) CHECK(top(t) == *std::max_element(&scores(t, 0), &scores(t, 0) + 50));
  });
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const empty = context.tensor<float>(0, 5);
  CHECK(message_of<ShapeError>([&] { argmax(context, empty); }) == "[argmax] there is nothing to choose from");
  CHECK(message_of<ShapeError>([&] { row_maximum(context, context.tensor<float>(3, 0)); }) ==
        "[row_maximum] rows are empty");
  auto const x = random_tensor<float>(1, 1, 2, 5);
  auto const best = random_tensor<float>(1, 1, 5), four = random_tensor<float>(1, 1, 4);
  CHECK(row_maximum(context, empty).size() == 0);
  CHECK(message_of<ShapeError>([&] {
          update_argmax(context, x, 0, four, integers({0, 0, 0, 0, 0}));
        }) == "[update_argmax] best is 4, expected 5");
  CHECK(message_of<ShapeError>([&] { update_argmax(context, x, 0, best, integers({0})); }) ==
        "[update_argmax] label is 1, expected 5");
}

TEST_CASE("resize_bilinear_argmax is update_argmax of the resized maps") {
  for_each_host_context([](auto const& context) {
    struct Case {
      std::size_t count, h, w, height, width;
    };
    // Widths around every vector; the last one in several bands.
    for (auto const& t : {Case{5, 3, 4, 7, 13}, Case{3, 4, 4, 4, 4}, Case{4, 6, 5, 3, 16}, Case{2, 1, 1, 5, 17},
                          Case{6, 8, 9, 61, 701}}) {
      CAPTURE(t.width);
      auto const x = random_tensor<float>(1, 1, t.count, t.h, t.w, std::size_t{1});
      for (std::size_t i = 0; i < t.h * t.w; ++i) x.data()[t.h * t.w + i] = x.data()[i];  // the first one wins
      std::size_t const pixels = t.height * t.width;
      // Labels one element off, as a stranger's memory may lie.
      auto const memory = context.template tensor<std::int32_t>(pixels + 1);
      auto const best = context.template tensor<float>(pixels);
      auto const label = memory.slice(1, pixels);
      fill(context, best, 0.25f);
      fill(context, memory, -7);
      resize_bilinear_argmax(context, x, t.height, t.width, 40, best, label);
      auto const resized =
          reference::resize_bilinear({t.count, t.h, t.w, 1}, values(x), t.height, t.width, Alignment::half_pixel);
      context.fence();
      CHECK(memory(0) == -7);
      std::size_t wrong = 0, kept = 0;
      for (std::size_t p = 0; p < pixels; ++p) {
        double top = 0.25;
        for (std::size_t k = 0; k < t.count; ++k) top = std::max(top, resized.value[k * pixels + p]);
        wrong += std::fabs(static_cast<double>(best(p)) - top) > 1e-6;
        auto const l = label(p);
        kept += l == -7;
        if (l == -7) wrong += top > 0.25 + 1e-6;
        else
          wrong += l < 40 || l == 41 || l >= 40 + static_cast<std::int32_t>(t.count) ||
                   std::fabs(resized.value[static_cast<std::size_t>(l - 40) * pixels + p] - top) > 1e-6;
      }
      CHECK(wrong == 0);
      if (pixels > 100) CHECK((kept > 0 && kept < pixels));
    }
    auto const x = random_tensor<float>(1, 1, 2, 3, 3, 1);
    auto const best = random_tensor<float>(1, 1, 20);
    CHECK(message_of<ShapeError>([&] { resize_bilinear_argmax(context, x, 4, 6, 0, best, integers({0})); }) ==
          "[resize_bilinear_argmax] best is 20, expected 24");
    CHECK(message_of<ShapeError>([&] { resize_bilinear_argmax(context, x, 4, 5, 0, best, integers({0})); }) ==
          "[resize_bilinear_argmax] label is 1, expected 20");
  });
}

TEST_CASE("top_k: ascending indices, the smaller index on ties, NaN last") {
  std::vector<float> const x{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  CHECK(top_k(x.data(), x.size(), 0).empty());
  CHECK(top_k(x.data(), x.size(), 1) == Numbers{5});
  CHECK(top_k(x.data(), x.size(), 3) == Numbers{4, 5, 7});
  CHECK(top_k(x.data(), x.size(), 4) == Numbers{4, 5, 7, 8});
  CHECK(top_k(x.data(), x.size(), 11) == Numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(top_k(nullptr, 0, 0).empty());
  std::vector<float> const same(100, 7);
  Numbers first(40);
  for (std::size_t i = 0; i < 40; ++i) first[i] = i;
  CHECK(top_k(same.data(), 100, 40) == first);
  CHECK(message_of<ShapeError>([&] { top_k(x.data(), x.size(), 12); }) == "[top_k] 12 of only 11 values asked for");

  // A comparison that NaN makes inconsistent would let the selection run off its ends.
  std::vector<float> holes(500, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < 500; i += 7) holes[i] = static_cast<float>(i % 91);
  holes[250] = -std::numeric_limits<float>::infinity();
  auto const found = top_k(holes.data(), 500, 73);
  REQUIRE(found.size() == 73);
  for (std::size_t i : found) CHECK((i % 7 == 0 || i == 250));

  Random random(5);
  std::vector<float> many(847);
  for (float& number : many) number = std::floor(random.number() * 50);
  auto const kept = top_k(many.data(), many.size(), 256);
  Numbers order(many.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return many[a] > many[b]; });
  order.resize(256);
  std::sort(order.begin(), order.end());
  CHECK(kept == order);
}
