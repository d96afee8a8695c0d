// SPDX-License-Identifier: Apache-2.0
// What SegmentOptions leaves out by choice, inside the head: layers of aggregation, and classes that are not decoded.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/selection.hpp"
#include "segmentation/small_head.hpp"
#include "support/tools_probe.hpp"

namespace {

using namespace kovos;
using namespace kovos::test::small_head;

float difference(float const* a, float const* b, std::size_t count) {
  float most = 0;
  for (std::size_t i = 0; i < count; ++i) {
    float const d = std::fabs(a[i] - b[i]);
    if (!(d <= most)) most = std::isnan(d) ? INFINITY : d;
  }
  return most;
}

/// Logits of classes where the test reads them.
struct Said {
  std::vector<std::size_t> classes;
  DynamicTensor<float, 3> logits;
};
Said run(Fixture const& fixture, Head::Options const& options = {}) {
  auto const said = fixture(options);
  return {said.classes, test::on_host(said.logits)};
}

bool same(Said const& a, Said const& b) {
  return a.classes == b.classes && test::values(a.logits) == test::values(b.logits);
}

}  // namespace

TEST_CASE("of many classes those that peak in a coarse decoding are decoded, as they would be among all") {
  Fixture const fixture(6, 40);
  auto const all = run(fixture);
  REQUIRE(all.classes.size() == 40);
  std::size_t const plane = 24 * 24;
  // By hand: the peaks at half the resolution.
  auto const maps = fixture.observed();
  auto const half = [&](char const* name) { return average_pool2d(fixture.context, maps.at(name), 2); };
  auto const coarse =
      test::on_host(fixture.decoded(half("agg.layer1.class"), half("agg.dec_guidance0"), half("agg.dec_guidance1")));
  REQUIRE(coarse.size() == 40 * plane / 4);
  std::vector<float> peaks;
  for (std::size_t t = 0; t < 40; ++t)
    peaks.push_back(*std::max_element(coarse.data() + t * plane / 4, coarse.data() + (t + 1) * plane / 4));
  for (std::size_t const most : {1, 7, 23, 39}) {
    CAPTURE(most);
    Head::Options options;
    options.most_decoded = most;
    auto const some = run(fixture, options);
    CHECK(some.classes == top_k(peaks.data(), 40, most));
    REQUIRE(some.logits.extent(0) == most);
    for (std::size_t i = 0; i < most; ++i)
      CHECK(difference(some.logits.data() + i * plane, all.logits.data() + some.classes[i] * plane, plane) <= 1e-4f);
  }
}

TEST_CASE("of those pruned before, some are decoded, under their own numbers") {
  Fixture const fixture(6, 40);
  Head::Options options;
  options.most_classes = 11;
  auto const eleven = run(fixture, options);
  options.most_decoded = 4;
  auto const four = run(fixture, options);
  REQUIRE(four.classes.size() == 4);
  CHECK(std::includes(eleven.classes.begin(), eleven.classes.end(), four.classes.begin(), four.classes.end()));
  std::size_t const plane = 24 * 24;
  for (std::size_t i = 0; i < 4; ++i) {
    auto const at = std::find(eleven.classes.begin(), eleven.classes.end(), four.classes[i]) - eleven.classes.begin();
    CHECK(difference(four.logits.data() + i * plane, eleven.logits.data() + static_cast<std::size_t>(at) * plane,
                     plane) <= 1e-4f);
  }
}

TEST_CASE("where as many classes may be decoded as there are, nothing is computed in addition") {
  Fixture const fixture(6, 5);
  auto const all = run(fixture);
  auto const coarse_passes = [](test::ToolsProbe const& probe) {
    return std::count(probe.kernels.begin(), probe.kernels.end(), "kovos::average_pool2d");
  };
  Head::Options options;
  for (std::size_t const most : {5, 6, 1000}) {
    options.most_decoded = most;
    test::ToolsProbe const probe;
    CHECK(same(run(fixture, options), all));
    CHECK(coarse_passes(probe) == 0);
  }
  options.most_decoded = 4;
  test::ToolsProbe const probe;
  CHECK(run(fixture, options).classes.size() == 4);
  CHECK(coarse_passes(probe) > 0);
}

TEST_CASE("maps that cannot be halved are decoded in full") {
  Fixture const fixture(9, 5);
  Head::Options options;
  options.most_decoded = 2;
  CHECK(same(run(fixture, options), run(fixture)));
}

TEST_CASE("the first layers alone") {
  Fixture const fixture(6, 5);
  auto const all = run(fixture);
  Head::Options options;
  options.layers = 2;
  CHECK(same(run(fixture, options), all));
  options.layers = 1;
  auto const one = run(fixture, options);
  auto const maps = fixture.observed();
  auto const expected = test::on_host(
      fixture.decoded(maps.at("agg.layer0.class"), maps.at("agg.dec_guidance0"), maps.at("agg.dec_guidance1")));
  REQUIRE(one.logits.size() == expected.size());
  CHECK(difference(one.logits.data(), expected.data(), expected.size()) <= 1e-4f);
  CHECK(difference(one.logits.data(), all.logits.data(), all.logits.size()) > 1e-2f);
  options.layers = 3;
  CHECK_THROWS_WITH_AS((void)run(fixture, options),
                       doctest::Contains("3 aggregation layers were asked for, but the model has 2"), ConfigError);
}
