// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace kovos::problem {

/// owner[p] = the n with the largest scores[n] sigmoid(masks[n, p]), the first one on ties; -1 - n where
/// sigmoid(masks[n, p]) of this n is below a half. masks: [count, positions], count > 0.
struct MaskOwner {
  float const* masks = nullptr;
  float const* scores = nullptr;
  std::int32_t* owner = nullptr;
  std::size_t count = 0, positions = 0;
};

/// Of each mask: numbers[n, 0] = its positions above 0, numbers[n, 1] = those whose sigmoid is a half or more, sums[n]
/// = the sum of the sigmoid over the positions above 0. masks: [count, positions], numbers: [count, 2].
struct MaskExtents {
  float const* masks = nullptr;
  std::int32_t* numbers = nullptr;
  double* sums = nullptr;
  std::size_t count = 0, positions = 0;
};

}  // namespace kovos::problem
