// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/gemm.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/problem/attention_mask.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos {

namespace detail {

/// One head of attention's gradient on the host; rows of all operands are `stride` floats apart.
struct HeadGradient {
  float const *q = nullptr, *k = nullptr, *v = nullptr, *dy = nullptr;  // [queries, head_dim], keys twice, queries
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;                    // added to; nullptr where nobody asks
  std::size_t stride = 0;
  std::size_t queries = 0, keys = 0, head_dim = 0;
  float scale = 1;
  bool causal = false;
  std::uint8_t const* region = nullptr;  // [keys] or nullptr
  float* scratch = nullptr;              // head_gradient_scratch floats
};

inline std::size_t head_gradient_scratch(HostKernels const& kernels, std::size_t queries, std::size_t keys,
                                         std::size_t head_dim) {
  std::size_t const width = kernels.columns;
  auto const round = [width](std::size_t n) { return (n + width - 1) / width * width; };
  return 2 * (queries + 16) * (keys + 16) + std::max(queries, keys) * head_dim +
         std::max(round(keys) * head_dim, round(head_dim) * std::max(queries, keys)) + 64;
}

inline void run_head_gradient(HostKernels const& kernels, HeadGradient const& t) {
  std::size_t const width = kernels.columns;
  // Rows on the diagonal of the square matrices below are odd numbers of vectors apart, for the cache.
  std::size_t const row = t.keys + 16, column = t.queries + 16;
  float* const p = t.scratch;              // [queries, keys] or its transpose
  float* const ds = p + column * row;      // alike
  float* const small = ds + column * row;  // [max(queries, keys), head_dim]
  float* const packed = small + std::max(t.queries, t.keys) * t.head_dim;

  auto const pack_all = [&](Matrix<float const> const& b) {
    for (std::size_t first = 0; first < b.columns; first += width)
      pack_panel(b, first, width, 1.0f, packed + first * b.rows);
  };
  auto const product = [&](float const* a, std::size_t a_stride, std::size_t rows, Matrix<float const> const& b,
                           float* c, std::size_t c_stride) {
    pack_all(b);
    HostGemmBlock g;
    g.a = a;
    g.a_stride = a_stride;
    g.segment_length = b.rows;
    g.rows = rows;
    g.packed_b = packed;
    g.columns = b.columns;
    g.c = c;
    g.c_stride = c_stride;
    kernels.gemm(g);
  };
  auto const add = [&](float* to, std::size_t rows) {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t d = 0; d < t.head_dim; ++d) to[i * t.stride + d] += small[i * t.head_dim + d];
  };
  auto const transpose = [&](float* x) {  // [queries, row] -> [keys, column], through ds when x is p
    float* const to = x == p ? ds : p;
    for (std::size_t i0 = 0; i0 < t.queries; i0 += 16)
      for (std::size_t j = 0; j < t.keys; ++j)
        for (std::size_t i = i0; i < std::min(t.queries, i0 + 16); ++i) to[j * column + i] = x[i * row + j];
    return to;
  };
  Matrix<float const> const keys{t.k, t.keys, t.head_dim, t.stride, 1}, values{t.v, t.keys, t.head_dim, t.stride, 1};
  Matrix<float const> const queries{t.q, t.queries, t.head_dim, t.stride, 1};
  Matrix<float const> const outputs{t.dy, t.queries, t.head_dim, t.stride, 1};

  {
    product(t.q, t.stride, t.queries, keys.transposed(), p, row);
    for (std::size_t i = 0; i < t.queries; ++i) {
      float* const s = p + i * row;
      std::size_t const count = t.causal ? i + 1 : t.keys;
      for (std::size_t j = 0; j < count; ++j) s[j] *= t.scale;
      if (t.region)
        for (std::size_t j = 0; j < count; ++j) s[j] += t.region[j] != t.region[i] ? window_mask : 0.0f;
      kernels.softmax(s, 1, count);
      std::fill(s + count, s + t.keys, 0.0f);
    }
  }
  if (t.dv) {
    product(transpose(p), column, t.keys, outputs, small, t.head_dim);
    add(t.dv, t.keys);
  }
  if (!t.dq && !t.dk) return;
  product(t.dy, t.stride, t.queries, values.transposed(), ds, row);
  for (std::size_t i = 0; i < t.queries; ++i) {
    float const* const pi = p + i * row;
    float* const di = ds + i * row;
    float mean = 0;
    for (std::size_t j = 0; j < t.keys; ++j) mean += pi[j] * di[j];
    for (std::size_t j = 0; j < t.keys; ++j) di[j] = t.scale * pi[j] * (di[j] - mean);
  }
  if (t.dq) {
    product(ds, row, t.queries, keys, small, t.head_dim);
    add(t.dq, t.queries);
  }
  if (t.dk) {
    product(transpose(ds), column, t.keys, queries, small, t.head_dim);
    add(t.dk, t.keys);
  }
}

}  // namespace detail

namespace engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::AttentionGradient const& p) {
  auto const& kernels = detail::best_host_kernels();
  std::size_t const width = p.heads * p.head_dim, tasks = p.batch * p.heads;
  std::size_t const threads = detail::workers(context, tasks);
  auto const scratch =
      context.template tensor<float>(threads, detail::head_gradient_scratch(kernels, p.queries, p.keys, p.head_dim));
  detail::for_each_task(
      context, "kovos::attention_gradient", threads, tasks, [&](std::size_t task, std::size_t worker) {
        std::size_t const n = task / p.heads, offset = task % p.heads * p.head_dim;
        std::size_t const from_q = n * p.queries * width + offset, from_k = n * p.keys * width + offset;
        detail::HeadGradient t;
        t.q = p.q + from_q;
        t.k = p.k + from_k;
        t.v = p.v + from_k;
        t.dy = p.dy + from_q;
        t.dq = p.dq ? p.dq + from_q : nullptr;
        t.dk = p.dk ? p.dk + from_k : nullptr;
        t.dv = p.dv ? p.dv + from_k : nullptr;
        t.stride = width;
        t.queries = p.queries;
        t.keys = p.keys;
        t.head_dim = p.head_dim;
        t.scale = p.scale;
        t.causal = p.mask.causal;
        t.region = p.mask.regions_of(n, p.keys);
        t.scratch = scratch.data() + worker * scratch.extent(1);
        detail::run_head_gradient(kernels, t);
      });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::WindowAttentionGradient const& p) {
  auto const& kernels = detail::best_host_kernels();
  std::size_t const c = p.windows.c, length = p.windows.length(), tasks = p.windows.count(), gathered = length * c;
  std::size_t const threads = detail::workers(context, tasks);
  auto const scratch = context.template tensor<float>(
      threads, 7 * gathered + detail::head_gradient_scratch(kernels, length, length, p.head_dim));
  detail::for_each_task(context, "kovos::window_attention_gradient", threads, tasks,
                        [&](std::size_t task, std::size_t worker) {
                          float* const buffer = scratch.data() + worker * scratch.extent(1);  // q, k, v, dy, dq, dk, dv
                          float const* const sources[4] = {p.q, p.k, p.v, p.dy};
                          float* const targets[3] = {p.dq, p.dk, p.dv};
                          for (std::size_t i = 0; i < length; ++i) {
                            std::size_t const from = p.windows.source(task, i);
                            for (std::size_t s = 0; s < 4; ++s)
                              std::copy_n(sources[s] + from, c, buffer + s * gathered + i * c);
                          }
                          std::fill_n(buffer + 4 * gathered, 3 * gathered, 0.0f);
                          detail::HeadGradient t;
                          t.stride = c;
                          t.queries = t.keys = length;
                          t.head_dim = p.head_dim;
                          t.scale = p.scale;
                          t.region = p.regions ? p.regions + task % p.windows.per_map() * length : nullptr;
                          t.scratch = buffer + 7 * gathered;
                          for (std::size_t h = 0; h < p.heads; ++h) {
                            float* const at = buffer + h * p.head_dim;
                            t.q = at;
                            t.k = at + gathered;
                            t.v = at + 2 * gathered;
                            t.dy = at + 3 * gathered;
                            t.dq = p.dq ? at + 4 * gathered : nullptr;
                            t.dk = p.dk ? at + 5 * gathered : nullptr;
                            t.dv = p.dv ? at + 6 * gathered : nullptr;
                            detail::run_head_gradient(kernels, t);
                          }
                          for (std::size_t s = 0; s < 3; ++s)
                            if (targets[s])
                              for (std::size_t i = 0; i < length; ++i) {
                                float* const to = targets[s] + p.windows.source(task, i);
                                float const* const from = buffer + (4 + s) * gathered + i * c;
                                for (std::size_t d = 0; d < c; ++d) to[d] += from[d];
                              }
                        });
  return true;
}

}  // namespace engine

}  // namespace kovos
