// SPDX-License-Identifier: Apache-2.0
// The head is one text: whoever observes it and whether gradients are recorded, the numbers are the same.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "segmentation/small_head.hpp"

namespace {

using namespace kovos;
using namespace kovos::test::small_head;

/// How often each name is shown, and how many classes it is shown of.
struct Counter {
  std::map<std::string, std::vector<std::size_t>>* seen;
  template <class V>
  void operator()(std::string_view name, V const& v) const {
    (*seen)[std::string(name)].push_back(v.extent(0));
  }
};

float largest(DynamicTensor<float, 3, Memory> const& logits) {
  auto const x = test::on_host(logits);
  float most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::fabs(x.data()[i]));
  return most;
}

float difference(DynamicTensor<float, 3, Memory> const& x, DynamicTensor<float, 3, Memory> const& y) {
  REQUIRE(x.extents() == y.extents());
  auto const a = test::on_host(x), b = test::on_host(y);
  float most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    float const d = std::fabs(a.data()[i] - b.data()[i]);
    if (!(d <= most)) most = std::isnan(d) ? INFINITY : d;
  }
  return most;
}

}  // namespace

TEST_CASE("an observer sees whole maps, each once, and changes nothing") {
  Fixture const fixture(6, 40);  // more classes than two for each thread: side by side on the host engine
  for (auto const engine : test::engines<Exec>())
    for (std::size_t const tile : {1, 8, 40}) {
      CAPTURE(test::name_of(engine));
      CAPTURE(tile);
      Context<Exec> const context(Exec(), engine);
      Head::Options options;
      options.class_tile = tile;
      auto const plain = fixture.head(context, fixture.image, fixture.words, options).front();
      std::map<std::string, std::vector<std::size_t>> seen;
      auto const observed = fixture.head(context, fixture.image, fixture.words, options, Counter{&seen}).front();
      CHECK(difference(plain.logits, observed.logits) == 0);
      for (std::string const layer : {"agg.layer0.", "agg.layer1."})
        for (char const* const part : {"swin1", "swin2", "spatial", "pooled", "class"})
          CHECK_MESSAGE(seen[layer + part] == std::vector<std::size_t>{40}, layer, part);
      for (char const* const name :
           {"agg.corr", "agg.corr_embed", "dec.up1", "dec.out1", "dec.up2", "dec.out2", "logits"})
        CHECK_MESSAGE(seen[name] == std::vector<std::size_t>{40}, name);
    }
}

TEST_CASE_TEMPLATE("the head gives in a tape what it gives in a context", Policy,
                   std::integral_constant<Recompute, Recompute::nothing>,
                   std::integral_constant<Recompute, Recompute::blocks>) {
  Fixture const fixture(6, 40);
  for (auto const engine : test::engines<Exec>())
    for (std::size_t const pooling : {1, 2})
      for (std::size_t const tile : {8, 40}) {
        CAPTURE(test::name_of(engine));
        CAPTURE(pooling);
        CAPTURE(tile);
        Context<Exec> const context(Exec(), engine);
        Head::Options options;
        options.class_tile = tile;
        options.pooling.fill(pooling);
        auto const expected = fixture.head(context, fixture.image, fixture.words, options).front();
        Tape<Exec, Policy::value> const tape(context);
        DynamicTensor<float, 1, Memory> const gradient(dynamic_extents<1>{fixture.words.size()});
        fill(context, gradient, 0.0f);
        tape.watch(fixture.words, gradient);
        auto const got = fixture.head(tape, fixture.image, fixture.words, options).front();
        CHECK(tape.size() > 0);
        CHECK(got.classes == expected.classes);
        CHECK(difference(got.logits, expected.logits) <= 2e-5f * largest(expected.logits));
      }
}
