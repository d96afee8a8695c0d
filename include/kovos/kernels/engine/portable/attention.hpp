// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos {

namespace detail {

/// The windows of a map. -> [windows, pixels, C].
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> cut_windows(Context<Exec> const& context,
                                                                 problem::Windows const& windows, float const* map) {
  auto to = context.template tensor<float>(windows.count(), windows.length(), windows.c);
  solve(context, problem::CutWindows{windows, map, to.data()});
  return to;
}

/// Where the gradient of the windows is summed up, or nothing where nobody asks. -> [windows or 0, pixels, C].
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> zero_windows(Context<Exec> const& context,
                                                                  problem::Windows const& windows, bool wanted) {
  auto x = context.template tensor<float>(wanted ? windows.count() : 0, windows.length(), windows.c);
  auto* const to = x.data();
  for_each_index(
      context, "kovos::fill", x.size(), KOKKOS_LAMBDA(std::size_t i) { to[i] = 0; });
  return x;
}

}  // namespace detail

namespace engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::Attention const& p) {
  std::size_t const width = p.heads * p.head_dim;
  detail::for_each_index(
      context, "kovos::attention", p.batch * p.heads * p.queries, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % p.queries;
        std::size_t const h = index / p.queries % p.heads;
        std::size_t const n = index / p.queries / p.heads;
        float const* const query = p.q + (n * p.queries + i) * width + h * p.head_dim;
        float* const out = p.o + (n * p.queries + i) * width + h * p.head_dim;
        std::uint8_t const* const region = p.mask.regions_of(n, p.keys);
        std::size_t const last = p.mask.causal ? i + 1 : p.keys;
        // Online softmax: the running maximum rescales what was summed before.
        float top = -Kokkos::Experimental::finite_max_v<float>;
        float total = 0;
        for (std::size_t d = 0; d < p.head_dim; ++d) out[d] = 0;
        for (std::size_t j = 0; j < last; ++j) {
          float const* const key = p.k + (n * p.keys + j) * width + h * p.head_dim;
          float const* const value = p.v + (n * p.keys + j) * width + h * p.head_dim;
          float score = 0;
          for (std::size_t d = 0; d < p.head_dim; ++d) score += query[d] * key[d];
          score = score * p.scale + (region && region[i] != region[j] ? window_mask : 0.0f);
          if (score > top) {
            float const shrink = Kokkos::exp(top - score);
            total *= shrink;
            for (std::size_t d = 0; d < p.head_dim; ++d) out[d] *= shrink;
            top = score;
          }
          float const weight = Kokkos::exp(score - top);
          total += weight;
          for (std::size_t d = 0; d < p.head_dim; ++d) out[d] += weight * value[d];
        }
        for (std::size_t d = 0; d < p.head_dim; ++d) out[d] /= total;
      });
}

/// A pass over queries for the sums of the softmax and dq, one over keys for dk and dv.
template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AttentionGradient const& p) {
  std::size_t const width = p.heads * p.head_dim;
  auto const statistics = context.template tensor<float>(p.batch * p.heads * p.queries, 2);
  auto* const stat = statistics.data();  // log of the sum, mean of dp
  detail::for_each_index(
      context, "kovos::attention_gradient queries", p.batch * p.heads * p.queries, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % p.queries, h = index / p.queries % p.heads, n = index / p.queries / p.heads;
        std::size_t const here = (n * p.queries + i) * width + h * p.head_dim;
        std::uint8_t const* const region = p.mask.regions_of(n, p.keys);
        std::size_t const last = p.mask.causal ? i + 1 : p.keys;
        auto const score = [&](std::size_t j) {
          float const* const key = p.k + (n * p.keys + j) * width + h * p.head_dim;
          float s = 0;
          for (std::size_t d = 0; d < p.head_dim; ++d) s += p.q[here + d] * key[d];
          return s * p.scale + (region && region[i] != region[j] ? window_mask : 0.0f);
        };
        auto const slope = [&](std::size_t j) {
          float const* const value = p.v + (n * p.keys + j) * width + h * p.head_dim;
          float s = 0;
          for (std::size_t d = 0; d < p.head_dim; ++d) s += p.dy[here + d] * value[d];
          return s;
        };
        float top = -Kokkos::Experimental::finite_max_v<float>;
        for (std::size_t j = 0; j < last; ++j) {
          float const s = score(j);
          top = s > top ? s : top;
        }
        float total = 0, mean = 0;
        for (std::size_t j = 0; j < last; ++j) {
          float const e = Kokkos::exp(score(j) - top);
          total += e;
          mean += e * slope(j);
        }
        mean /= total;
        stat[2 * index] = top + Kokkos::log(total);
        stat[2 * index + 1] = mean;
        if (!p.dq) return;
        for (std::size_t j = 0; j < last; ++j) {
          float const ds = Kokkos::exp(score(j) - stat[2 * index]) * (slope(j) - mean) * p.scale;
          float const* const key = p.k + (n * p.keys + j) * width + h * p.head_dim;
          for (std::size_t d = 0; d < p.head_dim; ++d) p.dq[here + d] += ds * key[d];
        }
      });
  if (!p.dk && !p.dv) return;
  detail::for_each_index(
      context, "kovos::attention_gradient keys", p.batch * p.heads * p.keys, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const j = index % p.keys, h = index / p.keys % p.heads, n = index / p.keys / p.heads;
        std::size_t const here = (n * p.keys + j) * width + h * p.head_dim;
        std::uint8_t const* const region = p.mask.regions_of(n, p.keys);
        for (std::size_t i = p.mask.causal ? j : 0; i < p.queries; ++i) {
          std::size_t const there = (n * p.queries + i) * width + h * p.head_dim;
          float const* const s = stat + 2 * ((n * p.heads + h) * p.queries + i);
          float score = 0, slope = 0;
          for (std::size_t d = 0; d < p.head_dim; ++d) {
            score += p.q[there + d] * p.k[here + d];
            slope += p.dy[there + d] * p.v[here + d];
          }
          score = score * p.scale + (region && region[i] != region[j] ? window_mask : 0.0f);
          float const weight = Kokkos::exp(score - s[0]);
          if (p.dv)
            for (std::size_t d = 0; d < p.head_dim; ++d) p.dv[here + d] += weight * p.dy[there + d];
          if (p.dk)
            for (std::size_t d = 0; d < p.head_dim; ++d)
              p.dk[here + d] += weight * (slope - s[1]) * p.scale * p.q[there + d];
        }
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::WindowAttention const& p) {
  std::size_t const count = p.windows.count(), length = p.windows.length();
  auto const q = detail::cut_windows(context, p.windows, p.q);
  auto const k = detail::cut_windows(context, p.windows, p.k);
  auto const v = detail::cut_windows(context, p.windows, p.v);
  auto const o = context.template tensor<float>(count, length, p.windows.c);
  problem::AttentionMask const mask{false, p.regions, p.windows.per_map()};
  detail::solve(context, problem::Attention{q.data(), k.data(), v.data(), o.data(), count, length, length, p.heads,
                                            p.head_dim, p.scale, mask});
  detail::solve(context, problem::JoinWindows{p.windows, o.data(), p.o});
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::WindowAttentionGradient const& p) {
  std::size_t const count = p.windows.count(), length = p.windows.length();
  auto const q = detail::cut_windows(context, p.windows, p.q);
  auto const k = detail::cut_windows(context, p.windows, p.k);
  auto const v = detail::cut_windows(context, p.windows, p.v);
  auto const dy = detail::cut_windows(context, p.windows, p.dy);
  auto const dq = detail::zero_windows(context, p.windows, p.dq != nullptr);
  auto const dk = detail::zero_windows(context, p.windows, p.dk != nullptr);
  auto const dv = detail::zero_windows(context, p.windows, p.dv != nullptr);
  problem::AttentionMask const mask{false, p.regions, p.windows.per_map()};
  detail::solve(context,
                problem::AttentionGradient{q.data(), k.data(), v.data(), dy.data(), dq.data(), dk.data(), dv.data(),
                                           count, length, length, p.heads, p.head_dim, p.scale, mask});
  if (p.dq) detail::solve(context, problem::AddWindows{p.windows, dq.data(), p.dq});
  if (p.dk) detail::solve(context, problem::AddWindows{p.windows, dk.data(), p.dk});
  if (p.dv) detail::solve(context, problem::AddWindows{p.windows, dv.data(), p.dv});
}

}  // namespace engine

}  // namespace kovos
