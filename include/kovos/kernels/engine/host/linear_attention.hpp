// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/linear_attention.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::LinearAttention const& p) {
  auto const& kernels = detail::best_host_kernels();
  std::size_t const width = p.heads * p.head_dim, threads = detail::workers(context, p.positions);
  auto const scratch = context.template tensor<float>(threads, kernels.linear_attention_scratch(p.length, p.head_dim));
  detail::for_each_task(context, "kovos::linear_attention", threads, p.positions,
                        [&](std::size_t position, std::size_t worker) {
                          detail::HostLinearAttention t;
                          t.stride = p.positions * width;
                          t.length = p.length;
                          t.head_dim = p.head_dim;
                          t.repeats = p.repeats;
                          t.epsilon = p.epsilon;
                          t.scratch = scratch.data() + worker * scratch.extent(1);
                          for (std::size_t first = 0; first < width; first += p.head_dim) {
                            std::size_t const at = position * width + first;
                            t.q = p.q + at;
                            t.k = p.k + at;
                            t.v = p.v + at;
                            t.o = p.o + at;
                            if (p.repeats > 0) {
                              t.repeated_key = p.repeated_key + first;
                              t.repeated_value = p.repeated_value + first;
                            }
                            kernels.linear_attention(t);
                          }
                        });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::LinearAttentionGradient const& p) {
  std::size_t const width = p.heads * p.head_dim, d2 = p.head_dim * p.head_dim;
  auto const& kernels = detail::best_host_kernels();
  std::size_t const threads = detail::workers(context, p.positions), dim = p.head_dim;
  std::size_t const size = 2 * p.heads * d2 + d2 + 5 * width;
  auto const scratch = context.template tensor<float>(threads, size);
  detail::for_each_task(
      context, "kovos::linear_attention_gradient", threads, p.positions, [&](std::size_t position, std::size_t worker) {
        float* const m = scratch.data() + worker * size;  // [heads, dim, dim]
        float* const dm = m + p.heads * d2;
        float* const flipped = dm + p.heads * d2;  // [dim, dim]
        float* const z = flipped + d2;
        float* const dz = z + width;
        float* const phi = dz + width;
        float* const g = phi + width;
        float* const row = g + width;
        std::fill_n(m, 2 * p.heads * d2, 0.0f);
        std::fill_n(z, 2 * width, 0.0f);
        auto const at = [&](std::size_t s) { return (s * p.positions + position) * width; };
        auto const features = [&](float const* x, float count) {
          std::copy_n(x, width, phi);
          kernels.elu_plus_one(phi, width);
          if (count != 1)
            for (std::size_t i = 0; i < width; ++i) phi[i] *= count;
        };
        auto const sum_up = [&](float const* key, float const* value, float count) {
          features(key, count);
          for (std::size_t i = 0; i < width; ++i) z[i] += phi[i];
          for (std::size_t h = 0; h < p.heads; ++h)
            kernels.outer_product(m + h * d2, phi + h * dim, value + h * dim, dim, dim);
        };
        for (std::size_t s = 0; s < p.length; ++s) sum_up(p.k + at(s), p.v + at(s), 1);
        if (p.repeats > 0) sum_up(p.repeated_key, p.repeated_value, p.repeats);

        for (std::size_t h = 0; h < p.heads; ++h) {
          for (std::size_t i = 0; i < dim; ++i)
            for (std::size_t j = 0; j < dim; ++j) flipped[j * dim + i] = m[h * d2 + i * dim + j];
          for (std::size_t s = 0; s < p.length; ++s) {
            float const* const query = p.q + at(s) + h * dim;
            float* const f = phi + h * dim;
            std::copy_n(query, dim, f);
            kernels.elu_plus_one(f, dim);
            float denominator = p.epsilon;
            for (std::size_t i = 0; i < dim; ++i) denominator += f[i] * z[h * dim + i];
            float const inverse = 1 / denominator;
            kernels.row_times_matrix(row, f, m + h * d2, dim, dim, inverse);  // the output
            float along = 0;
            for (std::size_t i = 0; i < dim; ++i) {
              g[i] = p.dy[at(s) + h * dim + i] * inverse;
              along += g[i] * row[i];
            }
            kernels.outer_product(dm + h * d2, f, g, dim, dim);
            for (std::size_t i = 0; i < dim; ++i) dz[h * dim + i] -= f[i] * along;
            if (!p.dq) continue;
            kernels.row_times_matrix(row, g, flipped, dim, dim, 1);
            // phi is the exponential or x + 1, so its slope is the feature itself or 1.
            for (std::size_t i = 0; i < dim; ++i)
              p.dq[at(s) + h * dim + i] += (row[i] - z[h * dim + i] * along) * (query[i] > 0 ? 1.0f : f[i]);
          }
        }
        auto const spread = [&](float const* key, float const* value, float count, float* dk, float* dv) {
          features(key, count);
          for (std::size_t h = 0; h < p.heads; ++h) {
            if (dv) {
              kernels.row_times_matrix(row, phi + h * dim, dm + h * d2, dim, dim, 1);
              for (std::size_t i = 0; i < dim; ++i) dv[h * dim + i] += row[i];
            }
            if (!dk) continue;
            for (std::size_t i = 0; i < dim; ++i) {
              float sum = dz[h * dim + i];
              float const* const line = dm + h * d2 + i * dim;
              for (std::size_t j = 0; j < dim; ++j) sum += line[j] * value[h * dim + j];
              dk[h * dim + i] += sum * (key[h * dim + i] > 0 ? count : phi[h * dim + i]);
            }
          }
        };
        for (std::size_t s = 0; s < p.length; ++s)
          spread(p.k + at(s), p.v + at(s), 1, p.dk ? p.dk + at(s) : nullptr, p.dv ? p.dv + at(s) : nullptr);
        if (p.d_repeated_key || p.d_repeated_value)
          spread(p.repeated_key, p.repeated_value, p.repeats,
                 p.d_repeated_key ? p.d_repeated_key + position * width : nullptr,
                 p.d_repeated_value ? p.d_repeated_value + position * width : nullptr);
      });
  return true;
}

}  // namespace kovos::engine
