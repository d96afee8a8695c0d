// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias for each row. x, y: [rows, c]; weight, bias: [c].
struct LayerNorm {
  float const* x = nullptr;
  float* y = nullptr;
  float const* weight = nullptr;
  float const* bias = nullptr;
  std::size_t rows = 0, c = 0;
  float epsilon = 0;
};

/// dx += (g - mean(g) - x^ mean(g x^)) / deviation with g = dy weight and x^ the normalised row; dw += dy x^, db += dy.
/// x, dy, dx: [rows, c]; weight, dw, db: [c]. dx, dw and db may be nullptr.
struct LayerNormGradient {
  float const* x = nullptr;
  float const* weight = nullptr;
  float const* dy = nullptr;
  float* dx = nullptr;
  float* dw = nullptr;
  float* db = nullptr;
  std::size_t rows = 0, c = 0;
  float epsilon = 0;
};

/// x = (x - mean) / sqrt(var + epsilon) * weight + bias, with ReLU if asked; mean and variance over all pixels and the
/// c / groups channels of a group, per sample. x: [n, pixels, c]; weight, bias: [c].
struct GroupNorm {
  float* x = nullptr;
  float const* weight = nullptr;
  float const* bias = nullptr;
  std::size_t n = 0, pixels = 0, c = 0, groups = 1;
  bool relu = false;
  float epsilon = 0;
};

/// As LayerNormGradient, for groups of channels; y is the result after the ReLU, if there is one, whose zeros pass
/// nothing back. x, y, dy, dx: [n, pixels, c]; weight, dw, db: [c]. dx, dw and db may be nullptr.
struct GroupNormGradient {
  float const* x = nullptr;
  float const* y = nullptr;
  float const* weight = nullptr;
  float const* dy = nullptr;
  float* dx = nullptr;
  float* dw = nullptr;
  float* db = nullptr;
  std::size_t n = 0, pixels = 0, c = 0, groups = 1;
  bool relu = false;
  float epsilon = 0;
};

/// y = x / max(norm(x), epsilon) for each row. x, y: [rows, c].
struct L2Normalize {
  float const* x = nullptr;
  float* y = nullptr;
  std::size_t rows = 0, c = 0;
  float epsilon = 0;
};

/// dx += (dy - y (y dy)) / norm(x), where y = x / norm(x). x, y, dy, dx: [rows, c].
struct L2NormalizeGradient {
  float const* x = nullptr;
  float const* y = nullptr;
  float const* dy = nullptr;
  float* dx = nullptr;
  std::size_t rows = 0, c = 0;
  float epsilon = 0;
};

}  // namespace kovos::problem
