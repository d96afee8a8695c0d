// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

namespace kovos::test {

using Values = std::vector<double>;

/// Largest relative error of one rounding to float.
inline constexpr double unit = 0x1p-24;

/// What a reference computed in double precision, and how far a float result may be away from it.
struct Expected {
  Values value;
  Values bound;
};

/// The outcome of a comparison; doctest prints the report when it failed.
struct Close {
  bool good = false;
  std::string report;
  explicit operator bool() const { return good; }
};
inline std::ostream& operator<<(std::ostream& out, Close const& close) { return out << close.report; }

/// Whether |actual - expected| <= bound for every element, so that a NaN on either side fails. Infinite values must be
/// equal.
inline Close close(Values const& actual, Values const& expected, Values const& bound) {
  std::ostringstream text;
  if (actual.size() != expected.size() || bound.size() != expected.size()) {
    text << "sizes differ: actual " << actual.size() << ", expected " << expected.size() << ", bound " << bound.size();
    return {false, text.str()};
  }
  text.precision(9);
  std::size_t bad = 0, worst = 0;
  double worst_ratio = -1;
  std::ostringstream first;
  first.precision(9);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double const difference = actual[i] == expected[i] ? 0 : std::fabs(actual[i] - expected[i]);
    bool const good = difference <= bound[i];
    double const ratio = std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                                : (difference == 0 ? 0 : difference / bound[i]);
    if (!good && bad++ < 3) first << "\n  [" << i << "] actual " << actual[i] << ", expected " << expected[i];
    if (ratio > worst_ratio) worst_ratio = ratio, worst = i;
  }
  text << bad << " of " << expected.size() << " differ";
  if (!expected.empty())
    text << "; worst at " << worst << ": actual " << actual[worst] << ", expected " << expected[worst] << ", bound "
         << bound[worst] << " (" << worst_ratio << " of the bound)" << first.str();
  return {bad == 0, text.str()};
}

inline Close close(Values const& actual, Values const& expected, double bound) {
  return close(actual, expected, Values(expected.size(), bound));
}

inline Close close(Values const& actual, Expected const& expected) {
  return close(actual, expected.value, expected.bound);
}

/// The largest magnitude, for tolerances stated relative to it.
inline double largest(Values const& values) {
  double top = 0;
  for (double x : values) top = std::max(top, std::fabs(x));
  return top;
}

}  // namespace kovos::test
