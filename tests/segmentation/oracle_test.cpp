// SPDX-License-Identifier: Apache-2.0
// CAT-Seg inference against the authors' recorded numbers: everything they recorded, intermediate tensors included.

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "segmentation/recorded_case.hpp"

namespace {

using namespace kovos;
using kovos::test::Oracle;
using kovos::test::Outcome;

Outcome run_case(std::string const& name, Engine engine) {
  return test::run_authors_case<float>(name, Context<>(Kokkos::DefaultExecutionSpace(), engine));
}

void check_against_authors(Engine engine) {
  test::check_all_cases(Oracle::instance(), 18, 286, [&](std::string const& name) { return run_case(name, engine); });
}

}  // namespace

TEST_CASE("inference equals the authors' numbers with the best engine") { check_against_authors(Engine::automatic); }
TEST_CASE("inference equals the authors' numbers with the portable engine") { check_against_authors(Engine::portable); }
#ifdef KOVOS_ENABLE_EIGEN
TEST_CASE("inference equals the authors' numbers with the Eigen engine") { check_against_authors(Engine::eigen); }
#endif
#ifdef KOVOS_ENABLE_ONEDNN
TEST_CASE("inference equals the authors' numbers with the oneDNN engine") { check_against_authors(Engine::onednn); }
#endif

TEST_CASE("the comparison with the authors notices what is lost and what is wrong") {
  auto const& oracle = Oracle::instance();
  auto const outcome = run_case("c3", Engine::automatic);
  REQUIRE(oracle.compare("c3", outcome.tensors).complaints.empty());
  auto const complaints = [&](test::ObservedTensors const& tensors) {
    return oracle.compare("c3", tensors).complaints;
  };
  CHECK(complaints({}).size() == oracle.cases.at("c3").at("tensors").size() - 2 + 1);
  for (auto const& [tensor, entry] : oracle.cases.at("c3").at("tensors").items()) {
    if (tensor == "text.tokens" || tensor == "out.argmax") continue;
    CAPTURE(tensor);
    auto wrong = outcome.tensors;
    wrong.erase(tensor);
    CHECK(complaints(wrong) == std::vector<std::string>{"c3: " + tensor + " was not observed"});
    // Case c3 is stored whole: a single number out of place is found wherever it is.
    REQUIRE(oracle.stride_of("c3", tensor) == 1);
    float const bound = oracle.bound("c3", tensor), distance = bound == 0 ? 1 : 2.5f * bound;
    auto& values = wrong[tensor] = outcome.tensors.at(tensor);
    for (std::size_t const at : {std::size_t{0}, values.size() / 2, values.size() - 1}) {
      float const right = values[at];
      for (float const planted : {right + distance, std::numeric_limits<float>::quiet_NaN()}) {
        values[at] = planted;
        CHECK(complaints(wrong).size() == 1);
      }
      values[at] = right;
    }
    CHECK(complaints(wrong).empty());
    values.pop_back();
    CHECK(complaints(wrong).size() == 1);
    values.clear();
    CHECK(complaints(wrong).size() == 1);
  }
  auto labels = outcome;
  labels.labels[77] = (labels.labels[77] + 1) % 3;
  CHECK(label_agreement(oracle, "c3", outcome) == 1);
  CHECK(label_agreement(oracle, "c3", labels) < 1);
}
