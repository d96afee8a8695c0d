// SPDX-License-Identifier: Apache-2.0
#include "support/approx.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using kovos::test::close;
using kovos::test::Values;

TEST_CASE("close accepts what is within the bound and nothing else") {
  CHECK(close({1.0, 2.0}, {1.0, 2.5}, 0.5));
  CHECK_FALSE(close({1.0, 2.0}, {1.0, 2.6}, 0.5));
  CHECK(close({1.0, 2.0}, {1.1, 2.6}, Values{0.2, 0.7}));
  CHECK_FALSE(close({1.0, 2.0}, {1.1, 2.6}, Values{0.05, 0.7}));
  CHECK(close({}, {}, 0.0));
}

TEST_CASE("close never accepts a NaN, and an infinity only for itself") {
  double const nan = std::nan(""), infinity = INFINITY;
  CHECK_FALSE(close({nan}, {1.0}, 1.0));
  CHECK_FALSE(close({1.0}, {nan}, 1.0));
  CHECK_FALSE(close({nan}, {nan}, infinity));
  CHECK_FALSE(close({1.0}, {1.0 + 1e-9}, nan));
  CHECK(close({infinity}, {infinity}, 0.0));
  CHECK_FALSE(close({infinity}, {-infinity}, 1e300));
  CHECK_FALSE(close({infinity}, {1.0}, 1e300));
}

TEST_CASE("close refuses other numbers of elements") {
  CHECK_FALSE(close({1.0}, {1.0, 1.0}, 1.0));
  CHECK_FALSE(close({1.0, 1.0}, {1.0, 1.0}, Values{1.0}));
  CHECK(close({1.0}, {}, 1.0).report == "sizes differ: actual 1, expected 0, bound 0");
}

TEST_CASE("close reports how many differ and the worst element with both numbers and the bound") {
  auto const result = close({0.0, 3.0, 1.5, 0.25}, {0.0, 1.0, 1.0, 0.25}, 0.25);
  CHECK_FALSE(result);
  CHECK(result.report.find("2 of 4 differ") == 0);
  CHECK(result.report.find("worst at 1: actual 3, expected 1, bound 0.25 (8 of the bound)") != std::string::npos);
  CHECK(result.report.find("[2] actual 1.5, expected 1") != std::string::npos);
}
