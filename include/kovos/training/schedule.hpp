// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace kovos {

/// The learning rate over a run, as a multiple of its base: an optional linear warm-up, then half a cosine
/// (Loshchilov, Hutter 2017; the authors' WarmupCosineLR with end 0).
struct CosineSchedule {
  std::size_t steps = 80000;
  std::size_t warmup_steps = 0;
  double warmup_factor = 0.001;  ///< of the first step
  double end_factor = 0;         ///< of the last

  double operator()(std::size_t step) const {
    double const i = static_cast<double>(std::min(step, steps)),
                 n = static_cast<double>(std::max<std::size_t>(1, steps));
    double const cosine = end_factor + (1 - end_factor) * 0.5 * (1 + std::cos(std::numbers::pi * i / n));
    if (step >= warmup_steps) return cosine;
    double const share = i / static_cast<double>(warmup_steps);
    return cosine * (warmup_factor * (1 - share) + share);
  }
};

}  // namespace kovos
