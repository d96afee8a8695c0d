// SPDX-License-Identifier: Apache-2.0
// Several views go through the head together as they would one by one.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "kovos/core/error.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"
#include "segmentation/small_head.hpp"

namespace {

using namespace kovos;
using namespace kovos::test::small_head;

ImageFeatures<Memory> random_views(Context<Exec> const& context, std::size_t views, std::size_t side) {
  return {test::random_tensor(context, 201, 1, views, side, side, std::size_t{12}),
          {test::random_tensor(context, 202, 1, views, 2 * side, 2 * side, std::size_t{8}),
           test::random_tensor(context, 203, 1, views, 4 * side, 4 * side, std::size_t{4})}};
}

/// Largest difference over the largest number of b; infinite where something is no number.
template <class X>
float distance(X const& a, X const& b) {
  auto const left = test::on_host(a), right = test::on_host(b);
  float most = 0, largest = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    float const d = std::fabs(left.data()[i] - right.data()[i]);
    if (!(d <= most)) most = std::isnan(d) ? INFINITY : d;
    largest = std::max(largest, std::fabs(right.data()[i]));
  }
  return largest > 0 ? most / largest : INFINITY;
}

/// The same; infinite, too, where classes differ.
float distance(ClassLogits<Memory> const& a, ClassLogits<Memory> const& b) {
  if (a.classes != b.classes || !(a.logits.extents() == b.logits.extents())) return INFINITY;
  return distance(a.logits, b.logits);
}

struct Case {
  std::size_t views, classes, pooling, most_classes, most_decoded, layers, tile;
};
// Fewer classes than threads and more, of which none, some or one are left out, tiles that do not divide them.
std::vector<Case> const cases{{2, 1, 1, 0, 0, 0, 8},  {5, 3, 1, 0, 0, 0, 8},  {3, 40, 1, 0, 0, 0, 7},
                              {3, 7, 2, 0, 0, 0, 3},  {4, 40, 1, 9, 0, 0, 8}, {3, 40, 2, 9, 4, 0, 8},
                              {5, 40, 1, 0, 5, 1, 1}, {2, 6, 1, 1, 1, 0, 8}};

/// Names and how many maps are shown under them.
struct Counter {
  std::map<std::string, std::vector<std::size_t>>* seen;
  template <class V>
  void operator()(std::string_view name, V const& v) const {
    (*seen)[std::string(name)].push_back(v.extent(0));
  }
};

}  // namespace

TEST_CASE("views give together what they give one by one") {
  for (auto const& t : cases) {
    Fixture const fixture(6, t.classes);
    auto const image = random_views(fixture.context, t.views, 6);
    Head::Options options;
    options.pooling.fill(t.pooling);
    options.most_classes = t.most_classes;
    options.most_decoded = t.most_decoded;
    options.layers = t.layers;
    options.class_tile = t.tile;
    for (auto const engine : test::engines<Exec>()) {
      Context<Exec> const context(Exec(), engine);
      std::vector<ClassLogits<Memory>> alone;
      for (std::size_t n = 0; n < t.views; ++n)
        alone.push_back(fixture.head(context, image.slice(n, 1), fixture.words, options).at(0));
      if (t.most_classes > 1) CHECK(alone[0].classes != alone[1].classes);  // each view has its own
      for (std::size_t const at_once : {std::size_t{0}, std::size_t{1}, std::size_t{2}, t.views}) {
        CAPTURE(test::name_of(engine));
        CAPTURE(t.views);
        CAPTURE(t.classes);
        CAPTURE(at_once);
        auto with = options;
        with.views = at_once;
        auto const together = fixture.head(context, image, fixture.words, with);
        REQUIRE(together.size() == t.views);
        for (std::size_t n = 0; n < t.views; ++n) {
          CHECK(distance(together[n], alone[n]) <= 1e-6f);
          CHECK(distance(together[n], alone[(n + 1) % t.views]) > 1e-2f);
        }
      }
    }
  }
}

TEST_CASE("as many views run together as give the threads enough to do, and as fit") {
  using B = Aggregator<cat_seg_vit_b16, float, Memory>;
  REQUIRE(cat_seg_vit_b16.pad_len == 256);
  CHECK(B::views_at_once(20, 20, 1) == 1);
  CHECK(B::views_at_once(3, 3, 2) == 6);
  CHECK(B::views_at_once(16, 16, 2) == 1);
  CHECK(B::views_at_once(20, 20, 16) == 7);
  // No more maps than one view may have.
  CHECK(B::views_at_once(20, 20, 1000) == 12);
  CHECK(B::views_at_once(51, 51, 1000) == 5);
  CHECK(B::views_at_once(150, 150, 1000) == 1);
  CHECK(B::views_at_once(847, 256, 1000) == 1);
  CHECK(B::views_at_once(150, 40, 1000) == 6);
  // The cost volume of all classes counts where few of them are computed.
  CHECK(B::views_at_once(10000, 10, 1000) == 3);
  CHECK(B::views_at_once(100000, 10, 1000) == 1);
  Fixture const fixture(6, 40);
  auto const image = random_views(fixture.context, 5, 6);
  std::map<std::string, std::vector<std::size_t>> seen;
  // How many maps an observer sees at a time, of all views.
  auto const batches = [](std::size_t views, std::size_t of_view) {
    std::vector<std::size_t> sizes;
    for (std::size_t first = 0; first < 5; first += views) sizes.push_back(std::min(views, 5 - first) * of_view);
    return sizes;
  };
  auto const threads = static_cast<std::size_t>(fixture.context.exec().concurrency());
  for (std::size_t const views : {0, 2, 4, 9}) {
    CAPTURE(views);
    seen.clear();
    Head::Options options;
    options.views = views;
    fixture.head(fixture.context, image, fixture.words, options, Counter{&seen});
    std::size_t const at_once = views == 0 ? Head::views_at_once(40, 40, threads) : views;
    CHECK(seen["logits"] == batches(at_once, 40));
    CHECK(seen["agg.layer1.swin2"] == batches(at_once, 40));
    CHECK(seen["agg.guidance"] == batches(at_once, 1));
  }
  seen.clear();
  Head::Options options;
  options.views = 5;
  options.most_classes = 3;
  fixture.head(fixture.context, image, fixture.words, options, Counter{&seen});
  CHECK(seen["agg.corr"] == std::vector<std::size_t>{200});
  CHECK(seen["agg.text_guidance"] == std::vector<std::size_t>{15});
  CHECK(seen["logits"] == std::vector<std::size_t>{15});
}

TEST_CASE_TEMPLATE("views together have the gradients that they have one by one", Policy,
                   std::integral_constant<Recompute, Recompute::nothing>,
                   std::integral_constant<Recompute, Recompute::blocks>) {
  Fixture const fixture(6, 7);
  auto const image = random_views(fixture.context, 3, 6);
  for (auto const engine : test::engines<Exec>())
    for (std::size_t const pooling : {1, 2})
      for (std::size_t const most_classes : {0, 4}) {
        CAPTURE(test::name_of(engine));
        CAPTURE(pooling);
        CAPTURE(most_classes);
        Context<Exec> const context(Exec(), engine);
        // Of a weighted sum of all logits, with respect to the words and the picture.
        auto const gradients = [&](std::size_t views) {
          Tape<Exec, Policy::value> const tape(context);
          std::vector<DynamicTensor<float, 1, Memory>> result;
          for (std::size_t const size : {fixture.words.size(), image.dense.size()}) {
            result.emplace_back(dynamic_extents<1>{size});
            fill(context, result.back(), 0.0f);
          }
          tape.watch(fixture.words, result[0]);
          tape.watch(image.dense, result[1]);
          Head::Options options;
          options.views = views;
          options.pooling.fill(pooling);
          options.most_classes = most_classes;
          auto const logits = fixture.head(tape, image, fixture.words, options);
          auto const total = tape.template tensor<float>(1);
          fill(context, total, 0.0f);
          DynamicTensor<float, 1, Memory> const no_bias;
          std::vector<DynamicTensor<float, 2, Memory>> weights;  // live until backward
          for (std::size_t n = 0; n < logits.size(); ++n) {
            std::size_t const size = logits[n].logits.size();
            weights.push_back(test::random_tensor(context, 300 + n, 1, std::size_t{1}, size));
            add_in_place(tape, total,
                         linear(tape, logits[n].logits.reshape(dynamic_extents<2>(1, size)), weights[n], no_bias)
                             .reshape(dynamic_extents<1>{1}));
          }
          tape.backward(total);
          context.fence();
          return result;
        };
        auto const alone = gradients(1), together = gradients(3);
        for (std::size_t of = 0; of < 2; ++of) CHECK(distance(together[of], alone[of]) <= 2e-5f);
      }
}

TEST_CASE("guidance of another number of views than there are features") {
  Fixture const fixture(6, 3);
  auto image = random_views(fixture.context, 3, 6);
  image.guidance[1] = image.guidance[1].slice(0, 2);
  CHECK_THROWS_WITH_AS((void)fixture.head(fixture.context, image, fixture.words),
                       "[Aggregator] the number of views of the guidance is 2, expected 3", ShapeError);
}
