// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

/// Gradients of a tape beside central differences of a plain forward in double precision. A rule under test is a pair
/// of functions over the same operands: run(tape, tensors) and reference(values). The scalar that is differentiated is
/// the sum of the results, each times a random weight.
namespace kovos::test {

/// An operand on the host, all its elements in row-major order; tests reshape it.
using Flat = DynamicTensor<float, 1>;

/// No operand, of the kind of the given ones.
template <class Operand>
Operand none(std::vector<Operand> const&) {
  return {};
}

/// Seeded numbers in [-scale, scale) that a float holds exactly.
inline Values numbers(std::uint64_t seed, double scale, std::size_t count) {
  return values(random_tensor(seed, scale, count));
}

inline Flat tensor_of(Values const& list) {
  Flat x(dynamic_extents<1>{list.size()});
  for (std::size_t i = 0; i < list.size(); ++i) x.data()[i] = static_cast<float>(list[i]);
  return x;
}

/// Numbers in the memory that the context's kernels read.
template <class Exec>
DynamicTensor<float, 1, typename Exec::memory_space> on(Context<Exec> const& context, Values const& list) {
  return on(context, tensor_of(list));
}

inline double dot(Values const& a, Values const& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

/// d dot(weights, reference(x)) / dx for every element of every operand. The step is far below the distance of random
/// numbers from a kink, and far above the rounding of a double.
template <class Reference>
std::vector<Values> difference_gradients(std::vector<Values> x, Values const& weights, Reference const& reference) {
  double const step = 1e-5;
  std::vector<Values> gradients;
  for (std::size_t k = 0; k < x.size(); ++k) {
    gradients.emplace_back(x[k].size());
    for (std::size_t i = 0; i < x[k].size(); ++i) {
      double const here = x[k][i];
      x[k][i] = here + step;
      double const above = dot(weights, reference(x));
      x[k][i] = here - step;
      double const below = dot(weights, reference(x));
      x[k][i] = here;
      gradients[k][i] = (above - below) / (2 * step);
    }
  }
  return gradients;
}

/// What one run of a rule in a tape gave.
struct Differentiated {
  Values output;
  std::vector<Values> gradients;  // of the watched operands; what lay in them before is taken off again
};

/// Runs a rule in a tape. watched: nothing to watch all operands, or the only one that is. start: what lies in the
/// gradients before, so that a rule that overwrites instead of adding is seen.
template <Recompute Policy = Recompute::nothing, class Exec, class Run>
Differentiated differentiate(Context<Exec> const& context, std::vector<Values> const& operands, Values const& weights,
                             Run const& run, std::optional<std::size_t> only = {}, double start = 0) {
  using Operand = DynamicTensor<float, 1, typename Exec::memory_space>;
  std::vector<Operand> x, gradients;
  for (auto const& operand : operands) {
    x.push_back(on(context, operand));
    gradients.push_back(on(context, Values(operand.size(), start)));
  }
  Operand const factors = on(context, weights);
  Tape<Exec, Policy> const tape(context);
  for (std::size_t k = 0; k < x.size(); ++k)
    if (!only || *only == k) tape.watch(x[k], gradients[k]);
  auto const y = run(tape, x);
  std::size_t const n = y.size();
  REQUIRE(n == weights.size());
  auto const loss = tape.template tensor<float>(1);
  gemm(tape, Matrix<float>{factors.data(), 1, n, n, 1}, Matrix<float>{y.data(), n, 1, 1, 1},
       Matrix<float>{loss.data(), 1, 1, 1, 1});
  tape.backward(loss);
  context.fence();
  CHECK(tape.size() == 0);
  Differentiated result{values(y), {}};
  for (auto const& gradient : gradients) {
    result.gradients.push_back(values(gradient));
    for (double& g : result.gradients.back()) g -= static_cast<double>(static_cast<float>(start));
  }
  return result;
}

/// Whether two gradients agree up to `tolerance` of the largest element. floor: a gradient below it is rounding noise.
inline Close close_gradients(Values const& actual, Values const& expected, double tolerance, double floor = 0) {
  return close(actual, expected, tolerance * std::max(largest(expected), floor));
}

struct RuleOptions {
  double tolerance = 1e-4;
};

/// Checks a rule on every engine and execution space: the result and the gradients of all operands beside the
/// reference, each operand watched alone, nothing watched, and the same bits twice.
template <class Run, class Reference>
void check_rule(std::vector<Values> const& operands, Run const& run, Reference const& reference,
                RuleOptions const& options = {}) {
  Values const output = reference(operands);
  Values const weights = numbers(4711, 1, output.size());
  auto const expected = difference_gradients(operands, weights, reference);
  double top = 0;
  for (auto const& gradient : expected) top = std::max(top, largest(gradient));
  REQUIRE(top > 0);
  double const start = 0.5 * top;
  for_each_context([&](auto const& context) {
    auto const all = differentiate(context, operands, weights, run, {}, start);
    CHECK(close(all.output, output, options.tolerance * largest(output)));
    for (std::size_t k = 0; k < operands.size(); ++k) {
      CAPTURE(k);
      CHECK(close_gradients(all.gradients[k], expected[k], options.tolerance, 1e-3 * top));
      if (largest(expected[k]) <= 1e-3 * top) continue;
      auto const alone = differentiate(context, operands, weights, run, k);
      CHECK(close_gradients(alone.gradients[k], expected[k], options.tolerance));
      for (std::size_t other = 0; other < operands.size(); ++other)
        if (other != k) CHECK(largest(alone.gradients[other]) == 0);
    }
    auto const again = differentiate(context, operands, weights, run, {}, start);
    CHECK(again.output == all.output);
    CHECK(again.gradients == all.gradients);

    std::vector<decltype(on(context, Flat{}))> x;
    for (auto const& operand : operands) x.push_back(on(context, operand));
    Tape const unwatched(context);
    auto const y = run(unwatched, x);
    context.fence();
    CHECK(close(values(y), output, options.tolerance * largest(output)));
    CHECK(unwatched.size() == 0);
  });
}

}  // namespace kovos::test
