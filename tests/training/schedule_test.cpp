// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/schedule.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>

using namespace kovos;

TEST_CASE("cosine schedule: the authors' rate, half a cosine over the run") {
  CosineSchedule const schedule;
  CHECK(schedule(0) == 1);
  CHECK(schedule(20000) == doctest::Approx(0.5 + std::sqrt(0.125)).epsilon(1e-14));
  CHECK(schedule(40000) == doctest::Approx(0.5).epsilon(1e-14));
  CHECK(schedule(60000) == doctest::Approx(0.5 - std::sqrt(0.125)).epsilon(1e-13));
  CHECK(schedule(79999) == doctest::Approx(std::pow(std::sin(std::acos(-1.0) / 160000), 2)).epsilon(1e-6));
  CHECK(std::fabs(schedule(80000)) < 1e-15);
  CHECK(schedule(200000) == schedule(80000));
}

TEST_CASE("cosine schedule: torch.optim.lr_scheduler.CosineAnnealingLR over ten steps") {
  // [2e-4 CosineAnnealingLR(T_max=10, eta_min=2e-5)] / 2e-4, PyTorch 1.13.
  double const expected[] = {1.0,  0.9779754323328193, 0.9140576474687263,  0.8145033635316129,  0.6890576474687264,
                             0.55, 0.4109423525312737, 0.28549663646838713, 0.18594235253127375, 0.12202456766718092,
                             0.1};
  CosineSchedule const schedule{.steps = 10, .end_factor = 0.1};
  for (std::size_t i = 0; i <= 10; ++i) CHECK(schedule(i) == doctest::Approx(expected[i]).epsilon(1e-12));
}

TEST_CASE("cosine schedule: warm-up from a thousandth in equal parts") {
  CosineSchedule const plain{.steps = 100}, warm{.steps = 100, .warmup_steps = 10};
  CHECK(warm(0) == doctest::Approx(0.001).epsilon(1e-14));
  for (std::size_t i = 0; i < 10; ++i) {
    double const share = static_cast<double>(i) / 10;
    CHECK(warm(i) == doctest::Approx(plain(i) * (0.001 + 0.999 * share)).epsilon(1e-13));
    CHECK(warm(i) < warm(i + 1));
  }
  for (std::size_t i = 10; i <= 100; ++i) CHECK(warm(i) == plain(i));
  CHECK(CosineSchedule{.steps = 100, .warmup_steps = 4, .warmup_factor = 0.5}(0) == 0.5);
}

TEST_CASE("cosine schedule: falls all the way, and never below its end") {
  CosineSchedule const schedule{.steps = 50, .end_factor = 0.2};
  for (std::size_t i = 0; i < 50; ++i) CHECK(schedule(i + 1) < schedule(i));
  CHECK(schedule(50) == doctest::Approx(0.2).epsilon(1e-14));
}

TEST_CASE("cosine schedule: no step, one step, a warm-up as long as the run or longer") {
  CHECK(CosineSchedule{.steps = 0}(0) == 1);
  CHECK(CosineSchedule{.steps = 1}(0) == 1);
  CHECK(std::fabs(CosineSchedule{.steps = 1}(1)) < 1e-15);
  for (std::size_t const warmup : {8u, 20u}) {
    CosineSchedule const schedule{.steps = 8, .warmup_steps = warmup};
    for (std::size_t i = 0; i <= 8; ++i) {
      CHECK(std::isfinite(schedule(i)));
      CHECK(schedule(i) >= 0);
      CHECK(schedule(i) <= 1);
    }
  }
}
