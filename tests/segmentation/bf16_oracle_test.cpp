// SPDX-License-Identifier: Apache-2.0
// What bf16 costs: against the authors' recorded fp32 numbers, each kind with tolerances of its own.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>

#include "segmentation/recorded_case.hpp"

namespace {

using namespace kovos;
using kovos::test::Oracle;

/// How far a kind of bf16 may be from the authors' fp32 numbers.
struct Tolerance {
  std::map<std::string, float>
      stages;     // share of the tensor's largest magnitude, by the part of its name before the first full stop
  float scores;   // absolute
  double labels;  // share of all pixels with the authors' label
};

void check_bf16(MatmulPrecision precision, Tolerance const& tolerance) {
  auto const& oracle = Oracle::instance();
  Context<> const context(Kokkos::DefaultExecutionSpace(), Engine::automatic, precision);
  std::map<std::string, float> worst;
  float worst_score = 0;
  std::size_t pixels = 0, equal = 0, compared = 0;
  for (auto const& [name, geometry] : oracle.cases.items()) {
    // A pruned class set is a set of near-ties at its border: other classes may enter.
    if (geometry.at("classes").size() > 256) continue;
    CAPTURE(name);
    auto const outcome = test::run_authors_case<kovos::bf16>(name, context);
    for (auto const& [tensor, entry] : geometry.at("tensors").items()) {
      if (!entry.contains("max_abs")) continue;
      CAPTURE(tensor);
      REQUIRE(outcome.tensors.contains(tensor));
      float const error = oracle.error(name, tensor, outcome.tensors.at(tensor));
      ++compared;
      if (tensor.starts_with("out.")) {
        CHECK(error <= tolerance.scores);
        worst_score = std::max(worst_score, error);
        continue;
      }
      auto const stage = tensor.substr(0, tensor.find('.'));
      float const share = error / oracle.largest(name, tensor);
      CHECK(share <= tolerance.stages.at(stage));
      worst[stage] = std::max(worst[stage], share);
    }
    auto const expected = oracle.stored(name, "out.argmax");
    std::size_t const count = outcome.labels.size();
    REQUIRE(count == expected.size());
    for (std::size_t i = 0; i < count; ++i) equal += outcome.labels[i] == static_cast<std::int32_t>(expected[i]);
    pixels += count;
  }
  CHECK(compared == 265);
  double const agreement = static_cast<double>(equal) / static_cast<double>(pixels);
  for (auto const& [stage, share] : worst)
    MESSAGE(stage << ": " << 100 * share << " % of the largest magnitude, allowed "
                  << 100 * tolerance.stages.at(stage));
  MESSAGE("scores: " << worst_score << ", allowed " << tolerance.scores);
  MESSAGE("labels: " << 100 * agreement << " % of " << pixels << " pixels, at least " << 100 * tolerance.labels);
  CHECK(agreement >= tolerance.labels);
}

}  // namespace

TEST_CASE("the image encoder stored in bf16 stays within its tolerances of the authors' fp32 numbers") {
  // The text encoder stays fp32.
  check_bf16(
      MatmulPrecision::fp32,
      {{{"clip", 0.006f}, {"guide", 0.005f}, {"text", 1e-5f}, {"agg", 0.02f}, {"dec", 0.02f}, {"logits", 0.0125f}},
       0.02f,
       0.99});
}

// What `--precision bf16` does. Where the machine has no instructions for products of bf16, they stay exact.
TEST_CASE("bf16 as it is shipped, operands of products rounded too, stays within its tolerances of the authors' fp32") {
  check_bf16(MatmulPrecision::bf16,
             {{{"clip", 0.01f}, {"guide", 0.01f}, {"text", 0.01f}, {"agg", 0.055f}, {"dec", 0.05f}, {"logits", 0.035f}},
              0.045f,
              0.965});
}
