// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/problem/attention_mask.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos::problem {

/// o = softmax(scale q k^T + mask) v for each of `batch` sequences and each head; heads are contiguous slices of the
/// last axis. q, o: [batch, queries, heads * head_dim], k, v: [batch, keys, heads * head_dim]; keys > 0.
struct Attention {
  float const *q = nullptr, *k = nullptr, *v = nullptr;
  float* o = nullptr;
  std::size_t batch = 0, queries = 0, keys = 0, heads = 1, head_dim = 0;
  float scale = 1;
  AttentionMask mask{};
};

/// dq, dk, dv += the gradient of Attention, whose probabilities are computed again; each may be nullptr. dy, dq: as q;
/// dk, dv: as k.
struct AttentionGradient {
  float const *q = nullptr, *k = nullptr, *v = nullptr, *dy = nullptr;
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;
  std::size_t batch = 0, queries = 0, keys = 0, heads = 1, head_dim = 0;
  float scale = 1;
  AttentionMask mask{};
};

/// Attention inside each window. q, k, v, o: [n, height, width, c], c = heads * head_dim; regions: those of
/// WindowRegions if there is a shift.
struct WindowAttention {
  float const *q = nullptr, *k = nullptr, *v = nullptr;
  float* o = nullptr;
  Windows windows;
  std::size_t heads = 1, head_dim = 0;
  float scale = 1;
  std::uint8_t const* regions = nullptr;
};

/// dq, dk, dv += the gradient of WindowAttention; each may be nullptr. dy, dq, dk, dv: as q.
struct WindowAttentionGradient {
  float const *q = nullptr, *k = nullptr, *v = nullptr, *dy = nullptr;
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;
  Windows windows;
  std::size_t heads = 1, head_dim = 0;
  float scale = 1;
  std::uint8_t const* regions = nullptr;
};

}  // namespace kovos::problem
