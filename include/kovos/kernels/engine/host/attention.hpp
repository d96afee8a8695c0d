// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos {

namespace detail {

/// Softmax attention of one head in the precision of a context.
struct HostAttentionKernel {
  void (*run)(HostAttention const&);
  std::size_t (*scratch)(std::size_t keys, std::size_t head_dim);  // floats
};

template <class Exec>
HostAttentionKernel attention_kernel(Context<Exec> const& context) {
  if (auto const* const bf16 = bf16_kernels(context)) return {bf16->attention, bf16->attention_scratch};
  return {best_host_kernels().attention, best_host_kernels().attention_scratch};
}

}  // namespace detail

namespace engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::Attention const& p) {
  auto const kernel = detail::attention_kernel(context);
  std::size_t const width = p.heads * p.head_dim, tasks = p.batch * p.heads;
  std::size_t const threads = detail::workers(context, tasks);
  auto const scratch = context.template tensor<float>(threads, kernel.scratch(p.keys, p.head_dim));
  detail::for_each_task(context, "kovos::attention", threads, tasks, [&](std::size_t task, std::size_t worker) {
    std::size_t const n = task / p.heads, offset = task % p.heads * p.head_dim;
    detail::HostAttention t;
    t.q = p.q + n * p.queries * width + offset;
    t.k = p.k + n * p.keys * width + offset;
    t.v = p.v + n * p.keys * width + offset;
    t.o = p.o + n * p.queries * width + offset;
    t.q_stride = t.k_stride = t.v_stride = t.o_stride = width;
    t.queries = p.queries;
    t.keys = p.keys;
    t.head_dim = p.head_dim;
    t.scale = p.scale;
    t.causal = p.mask.causal;
    t.region = p.mask.regions_of(n, p.keys);
    t.scratch = scratch.data() + worker * scratch.extent(1);
    kernel.run(t);
  });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::WindowAttention const& p) {
  auto const kernel = detail::attention_kernel(context);
  std::size_t const c = p.windows.c, length = p.windows.length(), tasks = p.windows.count(), gathered = length * c;
  std::size_t const threads = detail::workers(context, tasks);
  auto const scratch = context.template tensor<float>(threads, 4 * gathered + kernel.scratch(length, p.head_dim));
  detail::for_each_task(context, "kovos::window_attention", threads, tasks, [&](std::size_t task, std::size_t worker) {
    float* const buffer = scratch.data() + worker * scratch.extent(1);  // q, k, v
    float* const out = buffer + 3 * gathered;
    float const* const sources[3] = {p.q, p.k, p.v};
    for (std::size_t i = 0; i < length; ++i) {
      std::size_t const from = p.windows.source(task, i);
      for (std::size_t s = 0; s < 3; ++s) std::copy_n(sources[s] + from, c, buffer + s * gathered + i * c);
    }
    detail::HostAttention t;
    t.q_stride = t.k_stride = t.v_stride = t.o_stride = c;
    t.queries = t.keys = length;
    t.head_dim = p.head_dim;
    t.scale = p.scale;
    t.region = p.regions ? p.regions + task % p.windows.per_map() * length : nullptr;
    t.scratch = out + gathered;
    for (std::size_t h = 0; h < p.heads; ++h) {
      t.q = buffer + h * p.head_dim;
      t.k = t.q + gathered;
      t.v = t.k + gathered;
      t.o = out + h * p.head_dim;
      kernel.run(t);
    }
    for (std::size_t i = 0; i < length; ++i) std::copy_n(out + i * c, c, p.o + p.windows.source(task, i));
  });
  return true;
}

}  // namespace engine

}  // namespace kovos
