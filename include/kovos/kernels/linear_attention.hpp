// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// Keys and values that stand `count` times at the end of every sequence: CAT-Seg's padding classes, which are all
/// equal. key, value: [D] each; their contribution is added in closed form, never materialised.
template <class Memory>
struct RepeatedKey {
  std::size_t count = 0;
  DynamicTensor<float, 1, Memory> key;
  DynamicTensor<float, 1, Memory> value;
};

/// Linear attention along the leading axis with the feature map phi(x) = elu(x) + 1 (Katharopoulos et al. 2020, as
/// CAT-Seg's ClassAggregation): for each position and head
/// o_l = phi(q_l) (sum_s phi(k_s) v_s^T) / (phi(q_l) . sum_s phi(k_s) + 1e-6).
/// q, k, v: [S, P, D] with S the sequence (classes), P positions -> [S, P, D].
/// Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> linear_attention(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  std::size_t const length = q.extent(0), positions = q.extent(1), width = q.extent(2);
  detail::check_heads("linear_attention", width, heads);
  require<ShapeError>(q.extents() == k.extents() && q.extents() == v.extents(), "[linear_attention] q is ", q.extents(),
                      ", k is ", k.extents(), ", v is ", v.extents());
  if (padding.count > 0) {
    require_extent("linear_attention", "padding.key", padding.key.size(), width);
    require_extent("linear_attention", "padding.value", padding.value.size(), width);
  }
  std::size_t const head_dim = width / heads;
  auto o = context.template tensor<float>(length, positions, width);
  if (o.size() == 0) return o;
  constexpr float epsilon = 1e-6f;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      auto const& kernels = detail::best_host_kernels();
      std::size_t const threads = detail::workers(context, positions);
      auto const scratch = context.template tensor<float>(threads, kernels.linear_attention_scratch(length, head_dim));
      detail::for_each_task(context, "kovos::linear_attention", threads, positions,
                            [&](std::size_t p, std::size_t worker) {
                              detail::HostLinearAttention t;
                              t.stride = positions * width;
                              t.length = length;
                              t.head_dim = head_dim;
                              t.repeats = static_cast<float>(padding.count);
                              t.epsilon = epsilon;
                              t.scratch = scratch.data() + worker * scratch.extent(1);
                              for (std::size_t first = 0; first < width; first += head_dim) {
                                std::size_t const at = p * width + first;
                                t.q = q.data() + at;
                                t.k = k.data() + at;
                                t.v = v.data() + at;
                                t.o = o.data() + at;
                                if (padding.count > 0) {
                                  t.repeated_key = padding.key.data() + first;
                                  t.repeated_value = padding.value.data() + first;
                                }
                                kernels.linear_attention(t);
                              }
                            });
      return o;
    }
#endif
  auto const state = context.template tensor<float>(positions * heads, head_dim * head_dim);
  auto const sums = context.template tensor<float>(positions * heads, head_dim);
  auto const* const query = q.data();
  auto const* const key = k.data();
  auto const* const value = v.data();
  auto const* const padding_key = padding.key.data();
  auto const* const padding_value = padding.value.data();
  auto* const out = o.data();
  auto* const m = state.data();
  auto* const sum = sums.data();
  float const repeats = static_cast<float>(padding.count);
  detail::for_each_index(
      context, "kovos::linear_attention sums", positions * width, KOKKOS_LAMBDA(std::size_t index) {
        // One row of the state: feature i of head h at position p.
        std::size_t const p = index / width;
        std::size_t const feature = index % width;
        std::size_t const h = feature / head_dim;
        float* const row = m + index * head_dim;
        float total = 0;
        for (std::size_t d = 0; d < head_dim; ++d) row[d] = 0;
        for (std::size_t s = 0; s <= length; ++s) {
          if (s == length && repeats == 0) break;
          float const x = s < length ? key[(s * positions + p) * width + feature] : padding_key[feature];
          float const weight = (x > 0 ? x + 1 : Kokkos::exp(x)) * (s < length ? 1.0f : repeats);
          float const* const values = (s < length ? value + (s * positions + p) * width : padding_value) + h * head_dim;
          total += weight;
          for (std::size_t d = 0; d < head_dim; ++d) row[d] += weight * values[d];
        }
        sum[index] = total;
      });
  detail::for_each_index(
      context, "kovos::linear_attention", o.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const d = index % head_dim;
        std::size_t const h = index % width / head_dim;
        std::size_t const p = index / width % positions;
        float const* const row = query + index - d;
        float const* const matrix = m + (p * heads + h) * head_dim * head_dim;
        float numerator = 0;
        float denominator = epsilon;
        for (std::size_t i = 0; i < head_dim; ++i) {
          float const x = row[i];
          float const f = x > 0 ? x + 1 : Kokkos::exp(x);
          numerator += f * matrix[i * head_dim + d];
          denominator += f * sum[(p * heads + h) * head_dim + i];
        }
        out[index] = numerator / denominator;
      });
  return o;
}

/// Softmax attention along the leading axis, the "full" alternative to linear_attention: scores are scaled by
/// 1 / sqrt(D / heads); a repeated key counts `count` times in the softmax.
/// q, k, v: [S, P, D] -> [S, P, D]. Throws ShapeError if the extents disagree or heads does not divide D.
template <class Exec>
DynamicTensor<float, 3, typename Exec::memory_space> leading_axis_attention(
    Context<Exec> const& context, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
    RepeatedKey<typename Exec::memory_space> const& padding = {}) {
  std::size_t const length = q.extent(0), positions = q.extent(1), width = q.extent(2);
  detail::check_heads("leading_axis_attention", width, heads);
  require<ShapeError>(q.extents() == k.extents() && q.extents() == v.extents(), "[leading_axis_attention] q is ",
                      q.extents(), ", k is ", k.extents(), ", v is ", v.extents());
  if (padding.count > 0) {
    require_extent("leading_axis_attention", "padding.key", padding.key.size(), width);
    require_extent("leading_axis_attention", "padding.value", padding.value.size(), width);
  }
  std::size_t const head_dim = width / heads;
  auto o = context.template tensor<float>(length, positions, width);
  float const scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  float const repeats = static_cast<float>(padding.count);
  auto const* const query = q.data();
  auto const* const key = k.data();
  auto const* const value = v.data();
  auto const* const padding_key = padding.key.data();
  auto const* const padding_value = padding.value.data();
  auto* const out = o.data();
  detail::for_each_index(
      context, "kovos::leading_axis_attention", length * positions * heads, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const h = index % heads;
        std::size_t const p = index / heads % positions;
        std::size_t const l = index / heads / positions;
        float const* const row = query + (l * positions + p) * width + h * head_dim;
        float* const result = out + (l * positions + p) * width + h * head_dim;
        float top = -Kokkos::Experimental::finite_max_v<float>;
        float total = 0;
        for (std::size_t d = 0; d < head_dim; ++d) result[d] = 0;
        for (std::size_t s = 0; s <= length; ++s) {
          if (s == length && repeats == 0) break;
          float const* const other = (s < length ? key + (s * positions + p) * width : padding_key) + h * head_dim;
          float const* const values = (s < length ? value + (s * positions + p) * width : padding_value) + h * head_dim;
          float score = 0;
          for (std::size_t d = 0; d < head_dim; ++d) score += row[d] * other[d];
          score *= scale;
          if (score > top) {
            float const shrink = Kokkos::exp(top - score);
            total *= shrink;
            for (std::size_t d = 0; d < head_dim; ++d) result[d] *= shrink;
            top = score;
          }
          float const weight = Kokkos::exp(score - top) * (s < length ? 1.0f : repeats);
          total += weight;
          for (std::size_t d = 0; d < head_dim; ++d) result[d] += weight * values[d];
        }
        for (std::size_t d = 0; d < head_dim; ++d) result[d] /= total;
      });
  return o;
}

}  // namespace kovos
