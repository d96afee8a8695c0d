// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/leading_axis_attention.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::LeadingAxisAttention const& p) {
  std::size_t const width = p.heads * p.head_dim;
  detail::for_each_index(
      context, "kovos::leading_axis_attention", p.length * p.positions * p.heads, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const h = index % p.heads;
        std::size_t const position = index / p.heads % p.positions;
        std::size_t const l = index / p.heads / p.positions;
        float const* const row = p.q + (l * p.positions + position) * width + h * p.head_dim;
        float* const result = p.o + (l * p.positions + position) * width + h * p.head_dim;
        float top = -Kokkos::Experimental::finite_max_v<float>;
        float total = 0;
        for (std::size_t d = 0; d < p.head_dim; ++d) result[d] = 0;
        for (std::size_t s = 0; s <= p.length; ++s) {
          if (s == p.length && p.repeats == 0) break;
          float const* const other =
              (s < p.length ? p.k + (s * p.positions + position) * width : p.repeated_key) + h * p.head_dim;
          float const* const values =
              (s < p.length ? p.v + (s * p.positions + position) * width : p.repeated_value) + h * p.head_dim;
          float score = 0;
          for (std::size_t d = 0; d < p.head_dim; ++d) score += row[d] * other[d];
          score *= p.scale;
          if (score > top) {
            float const shrink = Kokkos::exp(top - score);
            total *= shrink;
            for (std::size_t d = 0; d < p.head_dim; ++d) result[d] *= shrink;
            top = score;
          }
          float const weight = Kokkos::exp(score - top) * (s < p.length ? 1.0f : p.repeats);
          total += weight;
          for (std::size_t d = 0; d < p.head_dim; ++d) result[d] += weight * values[d];
        }
        for (std::size_t d = 0; d < p.head_dim; ++d) result[d] /= total;
      });
}

/// One position and head at a time.
template <class Exec>
void run(Portable, Context<Exec> const& context, problem::LeadingAxisAttentionGradient const& p) {
  std::size_t const width = p.heads * p.head_dim;
  detail::for_each_index(
      context, "kovos::leading_axis_attention_gradient", p.positions * p.heads, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const position = index / p.heads, h = index % p.heads, dim = p.head_dim;
        std::size_t const keys = p.length + (p.repeats > 0 ? 1 : 0);
        for (std::size_t l = 0; l < p.length; ++l) {
          std::size_t const at = (l * p.positions + position) * width + h * dim;
          auto const offset = [&](std::size_t s) { return (s * p.positions + position) * width + h * dim; };
          auto const dot = [&](float const* a, float const* b) {
            float sum = 0;
            for (std::size_t d = 0; d < dim; ++d) sum += a[d] * b[d];
            return sum;
          };
          auto const key = [&](std::size_t s) { return s < p.length ? p.k + offset(s) : p.repeated_key + h * dim; };
          auto const value = [&](std::size_t s) { return s < p.length ? p.v + offset(s) : p.repeated_value + h * dim; };
          float top = -Kokkos::Experimental::finite_max_v<float>;
          for (std::size_t s = 0; s < keys; ++s) {
            float const score = p.scale * dot(p.q + at, key(s));
            top = score > top ? score : top;
          }
          float total = 0, mean = 0;
          for (std::size_t s = 0; s < keys; ++s) {
            float const e = Kokkos::exp(p.scale * dot(p.q + at, key(s)) - top) * (s < p.length ? 1.0f : p.repeats);
            total += e;
            mean += e * dot(p.dy + at, value(s));
          }
          mean /= total;
          for (std::size_t s = 0; s < keys; ++s) {
            bool const real = s < p.length;
            float const weight = Kokkos::exp(p.scale * dot(p.q + at, key(s)) - top) * (real ? 1.0f : p.repeats) / total;
            float const ds = weight * (dot(p.dy + at, value(s)) - mean) * p.scale;
            float* const dk = real ? (p.dk ? p.dk + offset(s) : nullptr)
                                   : (p.d_repeated_key ? p.d_repeated_key + position * width + h * dim : nullptr);
            float* const dv = real ? (p.dv ? p.dv + offset(s) : nullptr)
                                   : (p.d_repeated_value ? p.d_repeated_value + position * width + h * dim : nullptr);
            for (std::size_t d = 0; d < dim; ++d) {
              if (p.dq) p.dq[at + d] += ds * key(s)[d];
              if (dk) dk[d] += ds * p.q[at + d];
              if (dv) dv[d] += weight * p.dy[at + d];
            }
          }
        }
      });
}

}  // namespace kovos::engine
