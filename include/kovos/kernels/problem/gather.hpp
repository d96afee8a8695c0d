// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace kovos::problem {

/// y[i, :] = x[index[i] + i * step, :], or `fill` everywhere where index[i] is negative. y: [rows, row_size].
struct GatherRows {
  float const* x = nullptr;
  std::int32_t const* index = nullptr;
  float* y = nullptr;
  std::size_t rows = 0, row_size = 0, step = 0;
  float fill = 0;
};

/// dx[index[i] + i * step, :] += dy[i, :] where index[i] is not negative. An index may occur more than once: each
/// element of dx is summed in order. dy: [rows, row_size].
struct ScatterRows {
  float const* dy = nullptr;
  std::int32_t const* index = nullptr;
  float* dx = nullptr;
  std::size_t rows = 0, row_size = 0, step = 0;
};

/// y[i, j, :] = x[i, j, :], or += if `add`. Runs of x start x_stride apart, those of y y_stride. x, y: [n, count,
/// depth] of longer runs.
struct CopyRuns {
  float const* x = nullptr;
  std::size_t x_stride = 0;
  float* y = nullptr;
  std::size_t y_stride = 0;
  std::size_t n = 0, count = 0, depth = 0;
  bool add = false;
};

/// y[s, 0, :] = first, y[s, 1 + p, :] = map[s, p, :] + positions[p, :]. map: [n, pixels, depth].
struct MapToTokens {
  float const* map = nullptr;
  float const* first = nullptr;
  float const* positions = nullptr;
  float* y = nullptr;
  std::size_t n = 0, pixels = 0, depth = 0;
};

/// dpositions[p, :] += sum over samples s of dy[s, 1 + p, :]. dy: [n, 1 + pixels, depth].
struct MapToTokensPositionGradient {
  float const* dy = nullptr;
  float* dpositions = nullptr;
  std::size_t n = 0, pixels = 0, depth = 0;
};

}  // namespace kovos::problem
