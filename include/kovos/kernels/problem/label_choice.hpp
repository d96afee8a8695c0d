// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace kovos::problem {

/// label[p] = the t with the largest x[t, p], the first one on ties. x: [count, positions].
struct Argmax {
  float const* x = nullptr;
  std::int32_t* label = nullptr;
  std::size_t count = 0, positions = 0;
};

/// Where x[t, p] > best[p], t in order: best[p] = x[t, p], label[p] = first + t. x: [count, positions].
struct UpdateArgmax {
  float const* x = nullptr;
  float* best = nullptr;
  std::int32_t* label = nullptr;
  std::size_t count = 0, positions = 0, first = 0;
};

/// UpdateArgmax of maps that are resized linearly, with half-pixel centres. x: [count, h, w], best, label: [height,
/// width].
struct ResizeArgmax {
  float const* x = nullptr;
  float* best = nullptr;
  std::int32_t* label = nullptr;
  std::size_t count = 0, h = 0, w = 0, height = 0, width = 0, first = 0;
};

}  // namespace kovos::problem
