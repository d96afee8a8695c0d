// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/core/reduction.hpp"

namespace kovos::problem {

/// y[m, g] is the mean or the maximum of x[m, starts[g]] .. x[m, starts[g + 1] - 1]; no group is empty.
/// x: [rows, columns], starts: [groups + 1], y: [rows, groups].
struct GroupedReduction {
  float const* x = nullptr;
  std::int32_t const* starts = nullptr;
  float* y = nullptr;
  std::size_t rows = 0, columns = 0, groups = 0;
  Reduction reduction = Reduction::mean;
};

}  // namespace kovos::problem
