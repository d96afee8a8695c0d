// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::problem {

/// Extents of a transposed convolution whose stride is its kernel. x: [n, height, width, c], weight: [c, out_c, k, k],
/// guidance: [maps, k height, k width, extra], y: [n, k height, k width, out_c + extra].
struct TransposedConvolutionShape {
  std::size_t n = 0, height = 0, width = 0, c = 0, out_c = 0, k = 1;
  std::size_t maps = 1, extra = 0;  // sample i has the guidance i / (n / maps)

  std::size_t in_pixels() const { return n * height * width; }
  std::size_t out_pixels() const { return k * height * k * width; }  // of one sample
  std::size_t block() const { return out_c * k * k; }                // what a pixel of x becomes
};

/// y = each pixel of x as a block of k x k, and the guidance behind its channels. W: float or bf16.
template <class W>
struct TransposedConvolution {
  TransposedConvolutionShape shape;
  float const* x = nullptr;
  W const* weight = nullptr;
  float const* bias = nullptr;      // [out_c] or nullptr
  float const* guidance = nullptr;  // nullptr where extra is 0
  float* y = nullptr;
};

/// dx, dw, db, dguidance += what dy passes back. Each may be nullptr.
template <class W>
struct TransposedConvolutionGradient {
  TransposedConvolutionShape shape;
  float const* x = nullptr;
  W const* weight = nullptr;
  float const* dy = nullptr;
  float* dx = nullptr;
  float* dw = nullptr;
  float* db = nullptr;
  float* dguidance = nullptr;
};

}  // namespace kovos::problem
