// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/kernels/interpolation.hpp"

namespace kovos::problem {

/// y = x between its pixels, linearly along both axes. x: [n, h, w, c], y: [n, height, width, c].
struct ResizeBilinear {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t n = 0, h = 0, w = 0, c = 0, height = 0, width = 0;
  Alignment alignment = Alignment::half_pixel;
};

/// The same by cubic polynomials, with half-pixel centres.
struct ResizeBicubic {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t n = 0, h = 0, w = 0, c = 0, height = 0, width = 0;
};

/// y += the part at (top, left) of maps that are resized linearly to height x width. x: [n, h, w], y: [n, part_height,
/// part_width].
struct AddResizedPart {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t n = 0, h = 0, w = 0, height = 0, width = 0;
  std::size_t top = 0, left = 0, part_height = 0, part_width = 0;
};

/// One axis of the gradient of an interpolation: dx[a, i, :] (+)= sum over t in [first[i], first[i + 1]) of weight[t]
/// dy[a, result[t], :]. dy: [outer, out, inner], dx: [outer, in, inner]; dx is added to if `add`, else overwritten.
struct TransposedAxis {
  std::int32_t const* first = nullptr;
  std::int32_t const* result = nullptr;
  float const* weight = nullptr;
  float const* dy = nullptr;
  float* dx = nullptr;
  std::size_t outer = 0, out = 0, in = 0, inner = 0;
  bool add = false;
};

}  // namespace kovos::problem
