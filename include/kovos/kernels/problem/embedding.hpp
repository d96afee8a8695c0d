// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace kovos::problem {

/// y[n, l, :] = table[ids[n, l], :] + positions[l, :]. ids: [rows] = [N, length], positions: [length, width], y: [rows,
/// width]. T: float or bf16.
template <class T>
struct Embed {
  std::int32_t const* ids = nullptr;
  T const* table = nullptr;
  float const* positions = nullptr;
  float* y = nullptr;
  std::size_t rows = 0, length = 1, width = 0;
};

}  // namespace kovos::problem
