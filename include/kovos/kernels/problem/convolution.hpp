// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos::problem {

/// Extents of a convolution. x: [n, height, width, c], y: [n, out_h, out_w, out_c], weight: [out_c, weight_c, kh, kw],
/// of whose channels those from first_channel on are x's.
struct ConvolutionShape {
  std::size_t n = 0, height = 0, width = 0, c = 0;
  std::size_t out_h = 0, out_w = 0, out_c = 0;
  std::size_t weight_c = 0, first_channel = 0, kh = 1, kw = 1;
  std::size_t stride = 1, padding = 0;

  std::size_t out_pixels() const { return n * out_h * out_w; }
};

/// y = activation(x * weight + bias + shared), a cross-correlation with zero padding. W: float or bf16.
template <class W>
struct Convolution {
  ConvolutionShape shape;
  float const* x = nullptr;
  W const* weight = nullptr;
  float* y = nullptr;
  float const* bias = nullptr;    // [out_c] or nullptr
  float const* shared = nullptr;  // [out_h, out_w, out_c], added to every sample, or nullptr; then there is no bias
  Activation activation = Activation::none;
  float const* scaling = nullptr;  // [n, 2, c]: x stands for max(0, x scale + shift); or nullptr
};

/// As Convolution of 3 x 3 behind a transposed convolution of 2 x 2, both composed. x: [n, height, width, c],
/// composed: [4, out_c, c, 2, 2] as ComposeUpsampling makes it, y: [n, 2 height, 2 width, out_c].
struct UpsamplingConvolution {
  std::size_t n = 0, height = 0, width = 0, c = 0, out_c = 0;
  float const* x = nullptr;
  float const* composed = nullptr;
  float* y = nullptr;
  float const* shared = nullptr;   // [2 height, 2 width, out_c], added to every sample, or nullptr
  float const* scaling = nullptr;  // as Convolution's
};

/// composed[phase][o][k] = the 2 x 2 kernel by which pixel k of x adds to pixel o of y in the phase (a, b) of rows and
/// columns. up: [in_c, mid_c, 2, 2], weight: [out_c, weight_c, 3, 3], composed: [4, out_c, in_c, 2, 2].
template <class U, class W>
struct ComposeUpsampling {
  std::size_t in_c = 0, mid_c = 0, out_c = 0, weight_c = 0;
  U const* up = nullptr;
  W const* weight = nullptr;
  float* composed = nullptr;
};

/// The extents of a convolution's result.
struct MapExtents {
  std::size_t n, pixels, row_pixels, c;  // pixels of a map, and of one row of it
};

template <class W>
MapExtents result_of(Convolution<W> const& p) {
  return {p.shape.n, p.shape.out_h * p.shape.out_w, p.shape.out_w, p.shape.out_c};
}

inline MapExtents result_of(UpsamplingConvolution const& p) {
  return {p.n, 4 * p.height * p.width, 2 * p.width, p.out_c};
}

/// relu(group_norm(convolution)) in the convolution's y; where there is a scaling, y is what the convolution made, and
/// the normalisation goes into the scaling, for whoever reads y. C: a problem of convolution without activation.
template <class C>
struct ConvolutionNormRelu {
  C convolution;
  float const* weight = nullptr;  // [out_c]
  float const* bias = nullptr;    // [out_c]
  std::size_t groups = 1;
  float epsilon = 0;
  float* scaling = nullptr;  // [n, 2, out_c] or nullptr
};

/// y = max(0, x scale + shift); y may be x. x, y: [n, pixels, c], scaling: [n, 2, c].
struct ApplyScaling {
  float const* x = nullptr;
  float const* scaling = nullptr;
  float* y = nullptr;
  std::size_t n = 0, pixels = 0, c = 0;
};

/// dx += the transposed convolution of dy. dy: [n, out_h, out_w, out_c], dx: [n, height, width, c]; all channels of the
/// weight are x's.
template <class W>
struct ConvolutionInputGradient {
  ConvolutionShape shape;
  float const* dy = nullptr;
  W const* weight = nullptr;
  float* dx = nullptr;
};

/// dw += the correlation of x and dy. dw: [out_c, c, kh, kw].
struct ConvolutionWeightGradient {
  ConvolutionShape shape;
  float const* x = nullptr;
  float const* dy = nullptr;
  float* dw = nullptr;
};

}  // namespace kovos::problem
