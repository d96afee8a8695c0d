// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/window.hpp"

namespace kovos {

namespace detail {

#ifdef KOVOS_HOST_ENGINE
/// One head of attention's gradient on the host; rows of all operands are `stride` floats apart.
struct HostAttentionGradient {
  float const *q, *k, *v, *dy;  // [queries, head_dim], [keys, head_dim] twice, [queries, head_dim]
  float *dq, *dk, *dv;          // added to; nullptr where nobody asks
  std::size_t stride;
  std::size_t queries, keys, head_dim;
  float scale;
  bool causal;
  std::uint8_t const* region;  // [keys] or nullptr
  float* scratch;              // attention_gradient_scratch floats
};

inline std::size_t attention_gradient_scratch(HostKernels const& kernels, std::size_t queries, std::size_t keys,
                                              std::size_t head_dim) {
  std::size_t const width = kernels.columns;
  auto const round = [width](std::size_t n) { return (n + width - 1) / width * width; };
  return 2 * (queries + 16) * (keys + 16) + std::max(queries, keys) * head_dim +
         std::max(round(keys) * head_dim, round(head_dim) * std::max(queries, keys)) + 64;
}

inline void attention_gradient(HostKernels const& kernels, HostAttentionGradient const& t) {
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
#endif  // KOVOS_HOST_ENGINE

/// Attention's gradient by plain loops: a pass over queries for the sums of the softmax and dq, one over keys for dk
/// and dv. dq, dk, dv are added to; nullptr where nobody asks.
template <class Exec>
void attention_gradient_portable(Context<Exec> const& context, float const* q, float const* k, float const* v,
                                 float const* dy, float* dq, float* dk, float* dv, std::size_t batch,
                                 std::size_t queries, std::size_t keys, std::size_t heads, std::size_t head_dim,
                                 float scale, bool causal, std::uint8_t const* regions, std::size_t region_period) {
  std::size_t const width = heads * head_dim;
  auto const statistics = context.template tensor<float>(batch * heads * queries, 2);  // log of the sum, mean of dp
  auto* const stat = statistics.data();
  for_each_index(
      context, "kovos::attention_gradient queries", batch * heads * queries, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % queries, h = index / queries % heads, n = index / queries / heads;
        std::size_t const here = (n * queries + i) * width + h * head_dim;
        std::uint8_t const* const region = regions ? regions + n % region_period * keys : nullptr;
        std::size_t const last = causal ? i + 1 : keys;
        auto const score = [&](std::size_t j) {
          float const* const key = k + (n * keys + j) * width + h * head_dim;
          float s = 0;
          for (std::size_t d = 0; d < head_dim; ++d) s += q[here + d] * key[d];
          return s * scale + (region && region[i] != region[j] ? window_mask : 0.0f);
        };
        auto const slope = [&](std::size_t j) {
          float const* const value = v + (n * keys + j) * width + h * head_dim;
          float s = 0;
          for (std::size_t d = 0; d < head_dim; ++d) s += dy[here + d] * value[d];
          return s;
        };
        float top = -Kokkos::Experimental::finite_max_v<float>;
        for (std::size_t j = 0; j < last; ++j) {
          float const s = score(j);
          top = s > top ? s : top;
        }
        float total = 0, mean = 0;
        for (std::size_t j = 0; j < last; ++j) {
          float const p = Kokkos::exp(score(j) - top);
          total += p;
          mean += p * slope(j);
        }
        mean /= total;
        stat[2 * index] = top + Kokkos::log(total);
        stat[2 * index + 1] = mean;
        if (!dq) return;
        for (std::size_t j = 0; j < last; ++j) {
          float const ds = Kokkos::exp(score(j) - stat[2 * index]) * (slope(j) - mean) * scale;
          float const* const key = k + (n * keys + j) * width + h * head_dim;
          for (std::size_t d = 0; d < head_dim; ++d) dq[here + d] += ds * key[d];
        }
      });
  if (!dk && !dv) return;
  for_each_index(
      context, "kovos::attention_gradient keys", batch * heads * keys, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const j = index % keys, h = index / keys % heads, n = index / keys / heads;
        std::size_t const here = (n * keys + j) * width + h * head_dim;
        std::uint8_t const* const region = regions ? regions + n % region_period * keys : nullptr;
        for (std::size_t i = causal ? j : 0; i < queries; ++i) {
          std::size_t const there = (n * queries + i) * width + h * head_dim;
          float const* const s = stat + 2 * ((n * heads + h) * queries + i);
          float score = 0, slope = 0;
          for (std::size_t d = 0; d < head_dim; ++d) {
            score += q[there + d] * k[here + d];
            slope += dy[there + d] * v[here + d];
          }
          score = score * scale + (region && region[i] != region[j] ? window_mask : 0.0f);
          float const p = Kokkos::exp(score - s[0]);
          if (dv)
            for (std::size_t d = 0; d < head_dim; ++d) dv[here + d] += p * dy[there + d];
          if (dk)
            for (std::size_t d = 0; d < head_dim; ++d) dk[here + d] += p * (slope - s[1]) * scale * q[there + d];
        }
      });
}

template <class Exec>
void attention_gradient(Context<Exec> const& context, float const* q, float const* k, float const* v, float const* dy,
                        float* dq, float* dk, float* dv, std::size_t batch, std::size_t queries, std::size_t keys,
                        std::size_t heads, std::size_t head_dim, float scale, bool causal) {
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      std::size_t const width = heads * head_dim, tasks = batch * heads, threads = workers(context, tasks);
      auto const scratch =
          context.template tensor<float>(threads, attention_gradient_scratch(kernels, queries, keys, head_dim));
      for_each_task(context, "kovos::attention_gradient", threads, tasks, [&](std::size_t task, std::size_t worker) {
        std::size_t const from_q = task / heads * queries * width + task % heads * head_dim;
        std::size_t const from_k = task / heads * keys * width + task % heads * head_dim;
        attention_gradient(kernels, HostAttentionGradient{
                                        q + from_q, k + from_k, v + from_k, dy + from_q, dq ? dq + from_q : nullptr,
                                        dk ? dk + from_k : nullptr, dv ? dv + from_k : nullptr, width, queries, keys,
                                        head_dim, scale, causal, nullptr, scratch.data() + worker * scratch.extent(1)});
      });
      return;
    }
#endif
  attention_gradient_portable(context, q, k, v, dy, dq, dk, dv, batch, queries, keys, heads, head_dim, scale, causal,
                              nullptr, 1);
}

/// g += the map whose windows are x. x: [N * windows, window * window, C], g: [N, H, W, C].
template <class Exec>
void add_windows(Context<Exec> const& context, float const* x, std::size_t n, std::size_t height, std::size_t width,
                 std::size_t c, std::size_t window, std::size_t shift, float* g) {
  std::size_t const length = window * window, windows = height * width / length;
  for_each_index(
      context, "kovos::add_windows", n * windows * length, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / (windows * length);
        std::size_t const pixel = window_pixel(index / length % windows, index % length, height, width, window, shift);
        for (std::size_t i = 0; i < c; ++i) g[(sample * height * width + pixel) * c + i] += x[index * c + i];
      });
}

template <class Exec>
void window_attention_gradient(Context<Exec> const& context,
                               DynamicTensor<float, 4, typename Exec::memory_space> const& q,
                               DynamicTensor<float, 4, typename Exec::memory_space> const& k,
                               DynamicTensor<float, 4, typename Exec::memory_space> const& v, float* dy, float* dq,
                               float* dk, float* dv, std::size_t heads, std::size_t window, std::size_t shift) {
  using Map = DynamicTensor<float, 4, typename Exec::memory_space>;
  std::size_t const n = q.extent(0), height = q.extent(1), width = q.extent(2), depth = q.extent(3);
  std::size_t const length = window * window, windows = height * width / length, head_dim = depth / heads;
  float const scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  auto const regions = window_regions(context, height, width, window, shift);
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      std::size_t const tasks = n * windows, threads = workers(context, tasks), gathered = length * depth;
      auto const scratch = context.template tensor<float>(
          threads, 7 * gathered + attention_gradient_scratch(kernels, length, length, head_dim));
      for_each_task(
          context, "kovos::window_attention_gradient", threads, tasks, [&](std::size_t task, std::size_t worker) {
            std::size_t const w = task % windows;
            float* const buffer = scratch.data() + worker * scratch.extent(1);
            float const* const sources[4] = {q.data(), k.data(), v.data(), dy};
            float* const targets[3] = {dq, dk, dv};
            auto const pixel = [&](std::size_t position) {
              return (task / windows * height * width + window_pixel(w, position, height, width, window, shift)) *
                     depth;
            };
            for (std::size_t i = 0; i < length; ++i)
              for (std::size_t s = 0; s < 4; ++s)
                std::copy_n(sources[s] + pixel(i), depth, buffer + s * gathered + i * depth);
            std::fill_n(buffer + 4 * gathered, 3 * gathered, 0.0f);
            for (std::size_t h = 0; h < heads; ++h) {
              float* const at = buffer + h * head_dim;
              attention_gradient(
                  kernels,
                  HostAttentionGradient{at, at + gathered, at + 2 * gathered, at + 3 * gathered,
                                        dq ? at + 4 * gathered : nullptr, dk ? at + 5 * gathered : nullptr,
                                        dv ? at + 6 * gathered : nullptr, depth, length, length, head_dim, scale, false,
                                        shift ? regions.data() + w * length : nullptr, buffer + 7 * gathered});
            }
            for (std::size_t s = 0; s < 3; ++s)
              if (targets[s])
                for (std::size_t i = 0; i < length; ++i) {
                  float* const to = targets[s] + pixel(i);
                  float const* const from = buffer + (4 + s) * gathered + i * depth;
                  for (std::size_t d = 0; d < depth; ++d) to[d] += from[d];
                }
          });
      return;
    }
#endif
  auto const qw = window_partition(context, q, window, shift), kw = window_partition(context, k, window, shift),
             vw = window_partition(context, v, window, shift),
             dyw = window_partition(context, Map(dy, q.extents(), nullptr), window, shift);
  auto const zeros = [&](float* wanted) {
    auto x = context.template tensor<float>(wanted ? n * windows : 0, length, depth);
    if (wanted) fill(context, x, 0.0f);
    return x;
  };
  auto const gq = zeros(dq), gk = zeros(dk), gv = zeros(dv);
  attention_gradient_portable(context, qw.data(), kw.data(), vw.data(), dyw.data(), gq.data(), gk.data(), gv.data(),
                              n * windows, length, length, heads, head_dim, scale, false,
                              shift ? regions.data() : nullptr, windows);
  if (dq) add_windows(context, gq.data(), n, height, width, depth, window, shift, dq);
  if (dk) add_windows(context, gk.data(), n, height, width, depth, window, shift, dk);
  if (dv) add_windows(context, gv.data(), n, height, width, depth, window, shift, dv);
}

}  // namespace detail

/// attention with gradients; the probabilities are computed again from q and k instead of being kept.
template <class Exec, Recompute Policy>
auto attention(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
               DynamicTensor<float, 3, typename Exec::memory_space> const& k,
               DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads, bool causal = false,
               float scale = 0) {
  auto const y = tape.adopt(attention(tape.context(), q, k, v, heads, causal, scale));
  auto const dq = tape.gradient_of(q.data()), dk = tape.gradient_of(k.data()), dv = tape.gradient_of(v.data());
  tape.record(y.data(), {dq, dk, dv}, {q.data(), k.data(), v.data()}, [=](auto const& t, float* dy) {
    std::size_t const head_dim = q.extent(2) / heads;
    auto const& context = t.context();
    detail::attention_gradient(context, q.data(), k.data(), v.data(), dy, detail::wanted(dq, context),
                               detail::wanted(dk, context), detail::wanted(dv, context), q.extent(0), q.extent(1),
                               k.extent(1), heads, head_dim,
                               scale == 0 ? 1.0f / std::sqrt(static_cast<float>(head_dim)) : scale, causal);
  });
  return y;
}

/// window_attention with gradients, as above.
template <class Exec, Recompute Policy>
auto window_attention(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& q,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& k,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& v, std::size_t heads,
                      std::size_t window, std::size_t shift) {
  auto const y = tape.adopt(window_attention(tape.context(), q, k, v, heads, window, shift));
  auto const dq = tape.gradient_of(q.data()), dk = tape.gradient_of(k.data()), dv = tape.gradient_of(v.data());
  tape.record(y.data(), {dq, dk, dv}, {q.data(), k.data(), v.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    detail::window_attention_gradient(context, q, k, v, dy, detail::wanted(dq, context), detail::wanted(dk, context),
                                      detail::wanted(dv, context), heads, window, shift);
  });
  return y;
}

}  // namespace kovos
