// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/pre_norm.hpp"

namespace kovos {

/// Queries, keys and values as linear maps of the same rows, and the map behind the attention between them.
template <class T>
struct AttentionMaps {
  LinearMap<T> q, k, v;  // [C, C] each
  LinearMap<T> out;      // [C, C]
};

namespace detail {

#ifdef KOVOS_HOST_ENGINE

inline void run_attention_kernel(HostKernels const& kernels, HostAttention const& t) { kernels.attention(t); }
inline void run_attention_kernel(HostBf16Kernels const& kernels, HostBf16Attention const& t) {
  kernels.attention_of_bf16(t);
}

/// A sequence goes through all steps before the next one begins: queries, keys and values of a head or a few stay in
/// the first-level cache, in bf16 already as bf16.
template <class E, class Kernels, class Exec, class W, class B, class T>
void norm_attention_host(Context<Exec> const& context, Kernels const& kernels,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& x, W const& weight, B const& bias,
                         AttentionMaps<T> const& maps, std::size_t heads, std::uint8_t const* regions,
                         std::size_t region_period, float epsilon) {
  std::size_t const length = x.extent(1), c = x.extent(2), head_dim = c / heads, width = kernels.columns;
  std::size_t const stride = operand_stride<E>(c), panel = c * width;
  // So many heads at a time that they fill whole panels.
  std::size_t const filling = width / std::gcd(width, head_dim);
  std::size_t const group = heads % filling == 0 ? filling : heads, columns = group * head_dim;
  std::array const parts{maps.q, maps.k, maps.v};
  Matrix<float> const like{nullptr, length, c, c, 1};
  std::array<DynamicTensor<E, 1, typename Exec::memory_space>, 3> packed;
  for (std::size_t i = 0; i < 3; ++i) packed[i] = packed_map<E>(context, parts[i], like, width);
  auto const packed_out = packed_map<E>(context, maps.out, like, width);

  std::size_t const threads = workers(context, x.extent(0));
  auto const scratch = context.template tensor<E>(threads, length * (2 * stride + 3 * columns));
  auto const floats =
      context.template tensor<float>(threads, norm_lines * c + kernels.attention_scratch(length, head_dim));
  for_each_task(context, "kovos::norm_attention", threads, x.extent(0), [&](std::size_t n, std::size_t worker) {
    float* const rows = x.data() + n * length * c;
    float* const lines = floats.data() + worker * floats.extent(1);
    E* const operand = scratch.data() + worker * scratch.extent(1);
    E* const attended = operand + length * stride;
    E* const of_group = attended + length * stride;  // q, k, v
    norm_into<E>(kernels, rows, length, c, weight.data(), bias.data(), epsilon, operand, stride, lines);

    HostProduct<E> g;
    g.rows = length;
    g.first_row = n * length;
    g.segment_length = c;
    HostSoftmaxAttention<E> t;
    t.q_stride = t.k_stride = t.v_stride = columns;
    t.o_stride = stride;
    t.queries = t.keys = length;
    t.head_dim = head_dim;
    t.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    if (regions) t.region = regions + n % region_period * length;
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
    g.epilogue = host_epilogue(maps.out.epilogue());
    g.epilogue.residual = rows;
    g.epilogue.residual_stride = c;
    kernels.gemm(g);
  });
}

#endif  // KOVOS_HOST_ENGINE

}  // namespace detail

/// x + out(attention(q(n), k(n), v(n))) with n = layer_norm(x): the first half of a pre-norm block, for sequences.
/// x: [N, L, C], overwritten where the context allows it -> [N, L, C]; scores are scaled by 1 / sqrt(C / heads).
/// regions: [R, L], as in attention_in_regions, or empty. Where sequences are few and the threads many, norm_linear and
/// attention share out the work better. Throws ShapeError if the extents disagree or heads does not divide C.
template <class Exec, class W, class B, class T>
auto norm_attention(Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& x,
                    NormParameters<W, B> const& norm, AttentionMaps<T> const& maps, std::size_t heads,
                    DynamicTensor<std::uint8_t, 2, typename Exec::memory_space> const& regions = {},
                    float epsilon = 1e-5f) {
  std::size_t const length = x.extent(1), c = x.extent(2);
  detail::check_heads("norm_attention", c, heads);
  detail::check_norm("norm_attention", c, norm);
  for (auto const* const map : {&maps.q, &maps.k, &maps.v, &maps.out}) {
    require_extent("norm_attention", "the columns of a weight", map->weight.columns, c);
    require_extent("norm_attention", "the rows of a weight", map->weight.rows, c);
  }
  if (!regions.empty()) require_extent("norm_attention", "regions.extent(1)", regions.extent(1), length);
  if (x.size() == 0) return x;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context) && c / heads % 2 == 0) {
      auto const weight = detail::as_float(context, norm.weight);
      auto const bias = detail::as_float(context, norm.bias);
      std::size_t const period = regions.empty() ? 1 : regions.extent(0);
      if (auto const* const half = detail::bf16_kernels(context))
        detail::norm_attention_host<std::uint16_t>(context, *half, x, weight, bias, maps, heads, regions.data(), period,
                                                   epsilon);
      else
        detail::norm_attention_host<float>(context, detail::best_host_kernels(), x, weight, bias, maps, heads,
                                           regions.data(), period, epsilon);
      return x;
    }
#endif
  auto const rows = x.reshape(dynamic_extents<2>(x.size() / c, c));
  auto const [q, k, v] = norm_linear(context, rows, norm, std::array{maps.q, maps.k, maps.v}, epsilon);
  auto const attended = attention_in_regions(context, q.reshape(x.extents()), k.reshape(x.extents()),
                                             v.reshape(x.extents()), heads, regions);
  auto e = maps.out.epilogue();
  e.residual = as_matrix(x);
  gemm(context, as_matrix(attended), maps.out.weight.transposed(), as_matrix(x), e);
  return x;
}

}  // namespace kovos
