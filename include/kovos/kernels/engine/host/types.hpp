// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos::detail {

/// What happens to a matrix product before it is stored:
/// c = activation(product + addend[(row / row_divisor) % row_period]) + residual.
struct HostEpilogue {
  float const* addend = nullptr;  // rows of addend_stride floats; nullptr: nothing is added
  std::size_t addend_stride = 0;
  std::size_t row_divisor = 1;
  std::size_t row_period = 1;
  Activation activation = Activation::none;
  float const* residual = nullptr;  // one row of residual_stride floats per row of c; may be c itself
  std::size_t residual_stride = 0;
};

/// Rows [0, rows) of c = A * B. Row i of A starts at a + i * a_stride and consists of `segments` runs of
/// segment_length elements, segment_stride apart: a plain matrix has one, a k x k convolution has k.
template <class T>
struct HostProduct {
  T const* a = nullptr;
  std::size_t a_stride = 0;  // from row to row
  std::size_t a_step = 1;    // from column to column
  std::size_t segments = 1;
  std::size_t segment_length = 0;
  std::size_t segment_stride = 0;
  std::size_t rows = 0;
  std::size_t first_row = 0;    // number of row 0 in the whole product, for the epilogue
  T const* packed_b = nullptr;  // panels of `columns` of the kernels, zero padded
  std::size_t columns = 0;
  float* c = nullptr;
  std::uint16_t* c_bf16 = nullptr;  // bf16 products only: where c goes instead, rounded, if it is an operand itself
  std::size_t c_stride = 0;
  HostEpilogue epilogue;
};
using HostGemmBlock = HostProduct<float>;
/// Runs are of an even length and without steps; a panel holds two rows of B at a time, their elements side by side.
using HostBf16GemmBlock = HostProduct<std::uint16_t>;

/// One head of softmax attention: o = softmax(scale * q k^T + mask) v.
template <class T>
struct HostSoftmaxAttention {
  T const* q = nullptr;  // [queries, head_dim], rows q_stride apart; k, v, o alike
  std::size_t q_stride = 0;
  T const* k = nullptr;
  std::size_t k_stride = 0;
  T const* v = nullptr;
  std::size_t v_stride = 0;
  T* o = nullptr;
  std::size_t o_stride = 0;
  std::size_t queries = 0;
  std::size_t keys = 0;
  std::size_t head_dim = 0;
  float scale = 1;
  bool causal = false;
  std::uint8_t const* region = nullptr;  // [keys]: -100 is added where regions of query and key differ
  float* scratch = nullptr;              // attention_scratch(keys, head_dim) floats
};
using HostAttention = HostSoftmaxAttention<float>;
/// bf16; head_dim and all strides are even.
using HostBf16Attention = HostSoftmaxAttention<std::uint16_t>;

/// One head of linear attention with the feature map phi(x) = elu(x) + 1, along a sequence of rows of head_dim floats.
struct HostLinearAttention {
  float const* q = nullptr;  // rows `stride` floats apart; k, v, o alike
  float const* k = nullptr;
  float const* v = nullptr;
  float* o = nullptr;
  std::size_t stride = 0;
  std::size_t length = 0;
  std::size_t head_dim = 0;
  float repeats = 0;  // one more key and value that stand so many times at the end
  float const* repeated_key = nullptr;
  float const* repeated_value = nullptr;
  float epsilon = 0;
  float* scratch = nullptr;  // linear_attention_scratch(length, head_dim) floats
};

/// The host engine's entry points, compiled once per instruction set.
struct HostKernels {
  char const* name;
  std::size_t rows;     // of a register tile
  std::size_t columns;  // of a register tile, and of a panel of packed B

  void (*gemm)(HostGemmBlock const&);
  /// A product with one column; packed_b is that column, contiguous.
  void (*gemv)(HostGemmBlock const&);
  void (*attention)(HostAttention const&);
  std::size_t (*attention_scratch)(std::size_t keys, std::size_t head_dim);
  void (*linear_attention)(HostLinearAttention const&);
  std::size_t (*linear_attention_scratch)(std::size_t length, std::size_t head_dim);
  /// y[i] = (x[i] - mean) / sqrt(variance + epsilon) * weight + bias for each row of c floats.
  void (*layer_norm)(float const* x, float* y, float const* weight, float const* bias, std::size_t rows, std::size_t c,
                     float epsilon);
  void (*softmax)(float* x, std::size_t rows, std::size_t c);
  void (*activate)(float* x, std::size_t count, Activation activation);
  void (*elu_plus_one)(float* x, std::size_t count);
  /// sums[c] += x, squares[c] += (x - mean[c])^2 over rows of c floats.
  void (*channel_sums)(float const* x, std::size_t rows, std::size_t c, float* sums);
  void (*channel_squares)(float const* x, std::size_t rows, std::size_t c, float const* mean, float* squares);
  /// y = activation(x * scale[c] + shift[c]) over rows of c floats.
  void (*scale_shift)(float const* x, float* y, std::size_t rows, std::size_t c, float const* scale, float const* shift,
                      bool relu);
  /// y = (1 - weight) a + weight b.
  void (*blend)(float const* a, float const* b, float weight, float* y, std::size_t count);
  /// Where (1 - weight) a + weight b exceeds best: best = it, label = index.
  void (*blend_argmax)(float const* a, float const* b, float weight, std::size_t count, float* best,
                       std::int32_t* label, std::int32_t index);
  /// m[i, :] += a[i] * b for i < n: the outer product that linear attention sums up; b has c floats.
  void (*outer_product)(float* m, float const* a, float const* b, std::size_t n, std::size_t c);
  /// y = factor * sum_i a[i] * m[i, :].
  void (*row_times_matrix)(float* y, float const* a, float const* m, std::size_t n, std::size_t c, float factor);

  /// dz = dy activation'(z).
  void (*activation_gradient)(float const* z, float const* dy, float* dz, std::size_t count, Activation activation);
  /// Adds to dx (if given), dw, db for each row of c floats.
  void (*layer_norm_gradient)(float const* x, float const* dy, float const* weight, float* dx, float* dw, float* db,
                              std::size_t rows, std::size_t c, float epsilon);
  /// dw[c] += g (x - mean[c]), db[c] += g, where g = dy, or 0 where a ReLU has made y 0.
  void (*group_norm_sums)(float const* x, float const* y, float const* dy, std::size_t rows, std::size_t c,
                          float const* mean, bool relu, float* dw, float* db);
  /// dx += g scale[c] + x slope[c] + offset[c], with g as above.
  void (*group_norm_gradient)(float const* x, float const* y, float const* dy, std::size_t rows, std::size_t c,
                              float const* scale, float const* slope, float const* offset, bool relu, float* dx);
};

/// Matrix products with operands of bf16, two to a lane, and sums of fp32; for machines that have such instructions.
struct HostBf16Kernels {
  char const* name;
  std::size_t rows, columns;  // of a register tile

  void (*gemm)(HostBf16GemmBlock const&);
  /// Softmax attention; scratch as attention_scratch says.
  void (*attention)(HostAttention const&);
  void (*attention_of_bf16)(HostBf16Attention const&);
  std::size_t (*attention_scratch)(std::size_t keys, std::size_t head_dim);
  /// Rounds to nearest even.
  void (*round)(float const* x, std::uint16_t* y, std::size_t count);
};

}  // namespace kovos::detail
