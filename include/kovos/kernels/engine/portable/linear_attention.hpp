// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/linear_attention.hpp"

namespace kovos {

namespace detail {

KOKKOS_INLINE_FUNCTION float elu_feature(float x) { return x > 0 ? x + 1 : Kokkos::exp(x); }
KOKKOS_INLINE_FUNCTION float elu_feature_slope(float x) { return x > 0 ? 1.0f : Kokkos::exp(x); }

}  // namespace detail

namespace engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::LinearAttention const& p) {
  std::size_t const width = p.heads * p.head_dim;
  auto const state = context.template tensor<float>(p.positions * p.heads, p.head_dim * p.head_dim);
  auto const sums = context.template tensor<float>(p.positions * p.heads, p.head_dim);
  auto* const m = state.data();
  auto* const sum = sums.data();
  detail::for_each_index(
      context, "kovos::linear_attention sums", p.positions * width, KOKKOS_LAMBDA(std::size_t index) {
        // One row of the state: feature i of head h at this position.
        std::size_t const position = index / width;
        std::size_t const feature = index % width;
        std::size_t const h = feature / p.head_dim;
        float* const row = m + index * p.head_dim;
        float total = 0;
        for (std::size_t d = 0; d < p.head_dim; ++d) row[d] = 0;
        for (std::size_t s = 0; s <= p.length; ++s) {
          if (s == p.length && p.repeats == 0) break;
          float const x = s < p.length ? p.k[(s * p.positions + position) * width + feature] : p.repeated_key[feature];
          float const weight = (x > 0 ? x + 1 : Kokkos::exp(x)) * (s < p.length ? 1.0f : p.repeats);
          float const* const values =
              (s < p.length ? p.v + (s * p.positions + position) * width : p.repeated_value) + h * p.head_dim;
          total += weight;
          for (std::size_t d = 0; d < p.head_dim; ++d) row[d] += weight * values[d];
        }
        sum[index] = total;
      });
  detail::for_each_index(
      context, "kovos::linear_attention", p.length * p.positions * width, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const d = index % p.head_dim;
        std::size_t const h = index % width / p.head_dim;
        std::size_t const position = index / width % p.positions;
        float const* const row = p.q + index - d;
        float const* const matrix = m + (position * p.heads + h) * p.head_dim * p.head_dim;
        float numerator = 0;
        float denominator = p.epsilon;
        for (std::size_t i = 0; i < p.head_dim; ++i) {
          float const x = row[i];
          float const f = x > 0 ? x + 1 : Kokkos::exp(x);
          numerator += f * matrix[i * p.head_dim + d];
          denominator += f * sum[(position * p.heads + h) * p.head_dim + i];
        }
        p.o[index] = numerator / denominator;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::LinearAttentionGradient const& p) {
  std::size_t const width = p.heads * p.head_dim, d2 = p.head_dim * p.head_dim;
  auto const state = context.template tensor<float>(p.positions * p.heads, 2 * d2 + 2 * p.head_dim);
  auto* const states = state.data();
  std::size_t const stride = state.extent(1);
  detail::for_each_index(
      context, "kovos::linear_attention_gradient", p.positions * p.heads, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const position = index / p.heads, h = index % p.heads, dim = p.head_dim;
        float* const m = states + index * stride;
        float* const dm = m + d2;
        float* const z = dm + d2;
        float* const dz = z + dim;
        for (std::size_t i = 0; i < stride; ++i) m[i] = 0;
        for (std::size_t s = 0; s <= p.length; ++s) {
          if (s == p.length && p.repeats == 0) break;
          std::size_t const at = (s * p.positions + position) * width + h * dim;
          float const* const key = s < p.length ? p.k + at : p.repeated_key + h * dim;
          float const* const value = s < p.length ? p.v + at : p.repeated_value + h * dim;
          for (std::size_t i = 0; i < dim; ++i) {
            float const f = detail::elu_feature(key[i]) * (s < p.length ? 1.0f : p.repeats);
            z[i] += f;
            for (std::size_t j = 0; j < dim; ++j) m[i * dim + j] += f * value[j];
          }
        }
        for (std::size_t s = 0; s < p.length; ++s) {
          std::size_t const at = (s * p.positions + position) * width + h * dim;
          float const* const query = p.q + at;
          float denominator = p.epsilon;
          for (std::size_t i = 0; i < dim; ++i) denominator += detail::elu_feature(query[i]) * z[i];
          float along = 0;
          for (std::size_t j = 0; j < dim; ++j) {
            float o = 0;
            for (std::size_t i = 0; i < dim; ++i) o += detail::elu_feature(query[i]) * m[i * dim + j];
            along += p.dy[at + j] * o;
          }
          along /= denominator * denominator;
          for (std::size_t i = 0; i < dim; ++i) {
            float const f = detail::elu_feature(query[i]);
            float slope = 0;
            for (std::size_t j = 0; j < dim; ++j) {
              float const g = p.dy[at + j] / denominator;
              dm[i * dim + j] += f * g;
              slope += m[i * dim + j] * g;
            }
            dz[i] -= f * along;
            if (p.dq) p.dq[at + i] += (slope - z[i] * along) * detail::elu_feature_slope(query[i]);
          }
        }
        for (std::size_t s = 0; s <= p.length; ++s) {
          bool const real = s < p.length;
          if (!real && p.repeats == 0) break;
          std::size_t const at = (s * p.positions + position) * width + h * dim;
          float const* const key = real ? p.k + at : p.repeated_key + h * dim;
          float const* const value = real ? p.v + at : p.repeated_value + h * dim;
          float* const dk = real ? (p.dk ? p.dk + at : nullptr)
                                 : (p.d_repeated_key ? p.d_repeated_key + position * width + h * dim : nullptr);
          float* const dv = real ? (p.dv ? p.dv + at : nullptr)
                                 : (p.d_repeated_value ? p.d_repeated_value + position * width + h * dim : nullptr);
          float const count = real ? 1.0f : p.repeats;
          for (std::size_t i = 0; i < dim; ++i) {
            float sum = dz[i];
            float const f = detail::elu_feature(key[i]) * count;
            for (std::size_t j = 0; j < dim; ++j) {
              sum += dm[i * dim + j] * value[j];
              if (dv) dv[j] += dm[i * dim + j] * f;
            }
            if (dk) dk[i] += sum * detail::elu_feature_slope(key[i]) * count;
          }
        }
      });
}

}  // namespace engine

}  // namespace kovos
