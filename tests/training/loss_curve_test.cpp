// SPDX-License-Identifier: Apache-2.0
// Twenty steps of fine-tuning beside PyTorch's.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "support/spaces.hpp"
#include "training/recorded_batch.hpp"

namespace {

using namespace kovos;
using kovos::test::recorded_curves;
using kovos::test::RecordedRun;

using Exec = Kokkos::DefaultExecutionSpace;

/// Each loss beside PyTorch's. Two runs part when rounding puts an activation on the other side of a ReLU's kink: what
/// is allowed is three times as far as PyTorch's own runs part when their weights start 1e-6 of their value away.
void check_losses(std::vector<double> const& losses, char const* name, std::string const& what) {
  auto const& curve = recorded_curves().at("curves").at(name);
  auto const expected = curve.at("fp32").at("losses").get<std::vector<double>>();
  auto const spread = curve.at("spread").get<std::vector<double>>();
  REQUIRE(expected.size() == 20);
  REQUIRE(losses.size() == expected.size());
  double parted = 0, worst = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    CAPTURE(i);
    parted = std::max(parted, spread[i]);
    double const difference = std::fabs(losses[i] / expected[i] - 1);
    CHECK(difference <= 1e-5 + 3 * parted);
    worst = std::max(worst, difference);
  }
  MESSAGE(std::string(name), ", ", what, ": largest relative difference of a loss ", worst, ", PyTorch's spread ",
          parted);
}

}  // namespace

TEST_CASE("Twenty training steps follow PyTorch" * doctest::test_suite("oracle")) {
  for (auto const engine : test::engines<Exec>()) {
    CAPTURE(test::name_of(engine));
    auto const losses = RecordedRun<>(Context<Exec>(Exec(), engine), "rate_x1").curve();
    check_losses(losses, "rate_x1", test::name_of(engine));
    for (std::size_t i = 1; i < losses.size(); ++i) CHECK(losses[i] < losses[i - 1]);
    CHECK(losses.back() < 0.88 * losses.front());
  }
}

TEST_CASE("With ten times the rate and blocks computed again, too" * doctest::test_suite("oracle")) {
  Context<Exec> const context;
  auto const losses = RecordedRun<>(context, "rate_x10").curve();
  check_losses(losses, "rate_x10", "automatic");
  CHECK(losses.back() < 0.82 * losses.front());
  CHECK(RecordedRun<>(context, "rate_x10").curve<Recompute::blocks>() == losses);
}
