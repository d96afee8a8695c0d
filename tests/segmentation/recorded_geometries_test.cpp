// SPDX-License-Identifier: Apache-2.0
// CAT-Seg inference in geometries that the authors' recorded numbers leave out: pictures lower than the map of logits,
// shifts other than half a window, pooling that does not divide the map, few padding classes, and numbers so small that
// the epsilons show. Recorded from PyTorch by tests/reference/record_geometries.py.

#include <doctest/doctest.h>

#include <string>

#include "segmentation/recorded_case.hpp"

namespace {

using namespace kovos;
using kovos::test::Oracle;
using kovos::test::Outcome;

constexpr CatSegConfig tiny_with_shift(std::size_t shift) {
  auto config = cat_seg_tiny;
  config.shift_size = shift;
  return config;
}
constexpr CatSegConfig tiny_with_larger_grid(std::size_t shift) {
  auto config = cat_seg_tiny;
  config.clip_resolution = 128;
  config.window_size = 4;
  config.shift_size = shift;
  return config;
}
constexpr CatSegConfig tiny_with_little_padding() {
  auto config = cat_seg_tiny;
  config.pad_len = 8;
  return config;
}

template <CatSegConfig Config>
Outcome run_with(std::string const& name, Engine engine) {
  return test::run_recorded<Config, float>(Oracle::geometries(), name,
                                           Context<>(Kokkos::DefaultExecutionSpace(), engine));
}

Outcome run_case(std::string const& name, Engine engine) {
  auto const& geometry = Oracle::geometries().cases.at(name);
  std::size_t const shift = geometry.at("shift");
  if (geometry.at("attention") == "full") return run_with<test::tiny_with_full_attention()>(name, engine);
  if (geometry.at("pad_len") == 8) return run_with<tiny_with_little_padding()>(name, engine);
  if (geometry.at("token_grid") == 8)
    return shift == 1 ? run_with<tiny_with_larger_grid(1)>(name, engine)
                      : run_with<tiny_with_larger_grid(3)>(name, engine);
  if (shift == 0) return run_with<tiny_with_shift(0)>(name, engine);
  if (shift == 2) return run_with<tiny_with_shift(2)>(name, engine);
  return run_with<cat_seg_tiny>(name, engine);
}

void check_against_torch(Engine engine) {
  test::check_all_cases(Oracle::geometries(), 17, 257, [&](std::string const& name) { return run_case(name, engine); });
}

}  // namespace

TEST_CASE("inference in other geometries equals PyTorch's numbers with the best engine") {
  check_against_torch(Engine::automatic);
}
TEST_CASE("inference in other geometries equals PyTorch's numbers with the portable engine") {
  check_against_torch(Engine::portable);
}
