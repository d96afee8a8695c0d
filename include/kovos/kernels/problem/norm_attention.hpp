// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/problem/attention_mask.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"

namespace kovos {

/// Queries, keys and values as linear maps of the same rows, and the map behind the attention between them.
template <class T>
struct AttentionMaps {
  LinearMap<T> q, k, v;  // [C, C] each
  LinearMap<T> out;      // [C, C]
};

namespace problem {

/// x += out(attention(q(n), k(n), v(n))) with n = norm(x), for each of `batch` sequences. x: [batch, length, c]; heads
/// divides c.
template <class T>
struct NormAttention {
  float* x = nullptr;
  std::size_t batch = 0, length = 0, c = 0, heads = 1;
  Norm norm;
  AttentionMaps<T> maps;
  float scale = 1;
  AttentionMask mask{};
};

}  // namespace problem

}  // namespace kovos
