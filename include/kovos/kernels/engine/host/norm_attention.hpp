// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/host/gemm.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/host/norm_operand.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"

namespace kovos {

namespace detail {

inline void run_attention_kernel(HostKernels const& kernels, HostAttention const& t) { kernels.attention(t); }
inline void run_attention_kernel(HostBf16Kernels const& kernels, HostBf16Attention const& t) {
  kernels.attention_of_bf16(t);
}

/// A sequence goes through all steps before the next one begins: queries, keys and values of a head or a few stay in
/// the first-level cache, in bf16 already as bf16.
template <class E, class Kernels, class Exec, class T>
void norm_attention_host(Context<Exec> const& context, Kernels const& kernels, problem::NormAttention<T> const& p) {
  std::size_t const length = p.length, c = p.c, head_dim = c / p.heads, width = kernels.columns;
  std::size_t const stride = operand_stride<E>(c), panel = c * width;
  // So many heads at a time that they fill whole panels.
  std::size_t const filling = width / std::gcd(width, head_dim);
  std::size_t const group = p.heads % filling == 0 ? filling : p.heads, columns = group * head_dim;
  std::array const parts{p.maps.q, p.maps.k, p.maps.v};
  std::array<DynamicTensor<E, 1, typename Exec::memory_space>, 3> packed;
  for (std::size_t i = 0; i < 3; ++i) packed[i] = packed_map<E>(context, parts[i], length, width);
  auto const packed_out = packed_map<E>(context, p.maps.out, length, width);

  std::size_t const threads = workers(context, p.batch);
  auto const scratch = context.template tensor<E>(threads, length * (2 * stride + 3 * columns));
  auto const floats =
      context.template tensor<float>(threads, norm_lines * c + kernels.attention_scratch(length, head_dim));
  for_each_task(context, "kovos::norm_attention", threads, p.batch, [&](std::size_t n, std::size_t worker) {
    float* const rows = p.x + n * length * c;
    float* const lines = floats.data() + worker * floats.extent(1);
    E* const operand = scratch.data() + worker * scratch.extent(1);
    E* const attended = operand + length * stride;
    E* const of_group = attended + length * stride;  // q, k, v
    norm_into<E>(kernels, p.norm, rows, length, c, operand, stride, lines);

    HostProduct<E> g;
    g.rows = length;
    g.first_row = n * length;
    g.segment_length = c;
    HostSoftmaxAttention<E> t;
    t.q_stride = t.k_stride = t.v_stride = columns;
    t.o_stride = stride;
    t.queries = t.keys = length;
    t.head_dim = head_dim;
    t.scale = p.scale;
    t.causal = p.mask.causal;
    t.region = p.mask.regions_of(n, length);
    t.scratch = lines + norm_lines * c;
    for (std::size_t first = 0; first < c; first += columns) {
      g.a = operand;
      g.a_stride = stride;
      g.columns = g.c_stride = columns;
      for (std::size_t i = 0; i < 3; ++i) {
        E* const to = of_group + i * length * columns;
        if constexpr (std::is_same_v<E, float>) g.c = to;
        else g.c_bf16 = to;
        g.packed_b = packed[i].data() + first / width * panel;
        g.epilogue = host_epilogue(parts[i].epilogue());
        if (g.epilogue.addend) g.epilogue.addend += first;
        kernels.gemm(g);
      }
      for (std::size_t h = 0; h < group; ++h) {
        t.q = of_group + h * head_dim;
        t.k = t.q + length * columns;
        t.v = t.k + length * columns;
        t.o = attended + first + h * head_dim;
        run_attention_kernel(kernels, t);
      }
    }

    g.a = attended;
    g.a_stride = stride;
    g.packed_b = packed_out.data();
    g.columns = g.c_stride = c;
    g.c = rows;
    g.c_bf16 = nullptr;
    g.epilogue = host_epilogue(p.maps.out.epilogue());
    g.epilogue.residual = rows;
    g.epilogue.residual_stride = c;
    kernels.gemm(g);
  });
}

}  // namespace detail

namespace engine {

/// Heads of an odd width would not fit into pairs of bf16.
template <class Exec, class T>
requires(is_host_execution<Exec>&& is_model_scalar<T>) bool run(Host, Context<Exec> const& context,
                                                                problem::NormAttention<T> const& p) {
  if (p.c / p.heads % 2 != 0) return false;
  if (auto const* const bf16 = detail::bf16_kernels(context))
    detail::norm_attention_host<std::uint16_t>(context, *bf16, p);
  else detail::norm_attention_host<float>(context, detail::best_host_kernels(), p);
  return true;
}

}  // namespace engine

}  // namespace kovos
