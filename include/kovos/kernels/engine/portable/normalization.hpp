// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/normalization.hpp"
#include "kovos/kernels/problem/sums.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::LayerNorm const& p) {
  detail::for_each_index(
      context, "kovos::layer_norm", p.rows, KOKKOS_LAMBDA(std::size_t row) {
        float const* const x = p.x + row * p.c;
        float sum = 0;
        for (std::size_t i = 0; i < p.c; ++i) sum += x[i];
        float const mean = sum / static_cast<float>(p.c);
        float square = 0;
        for (std::size_t i = 0; i < p.c; ++i) square += (x[i] - mean) * (x[i] - mean);
        float const inverse = 1.0f / Kokkos::sqrt(square / static_cast<float>(p.c) + p.epsilon);
        for (std::size_t i = 0; i < p.c; ++i) p.y[row * p.c + i] = (x[i] - mean) * inverse * p.weight[i] + p.bias[i];
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::LayerNormGradient const& p) {
  std::size_t const count = problem::row_parts(p.rows), run = (p.rows + count - 1) / count;
  auto const parts = context.template tensor<float>(2, count, p.c);  // of dw, then of db
  auto* const to = parts.data();
  auto const statistics = context.template tensor<float>(p.rows, 2);
  auto* const stat = statistics.data();
  detail::for_each_index(
      context, "kovos::layer_norm_gradient", p.rows, KOKKOS_LAMBDA(std::size_t row) {
        float const* const from = p.x + row * p.c;
        float const* const d = p.dy + row * p.c;
        float sum = 0;
        for (std::size_t i = 0; i < p.c; ++i) sum += from[i];
        float const mean = sum / static_cast<float>(p.c);
        float square = 0;
        for (std::size_t i = 0; i < p.c; ++i) square += (from[i] - mean) * (from[i] - mean);
        float const inverse = 1.0f / Kokkos::sqrt(square / static_cast<float>(p.c) + p.epsilon);
        stat[2 * row] = mean;
        stat[2 * row + 1] = inverse;
        if (!p.dx) return;
        float g1 = 0, g2 = 0;
        for (std::size_t i = 0; i < p.c; ++i) {
          float const g = d[i] * p.weight[i];
          g1 += g;
          g2 += g * (from[i] - mean) * inverse;
        }
        g1 /= static_cast<float>(p.c);
        g2 /= static_cast<float>(p.c);
        for (std::size_t i = 0; i < p.c; ++i)
          p.dx[row * p.c + i] += inverse * (d[i] * p.weight[i] - g1 - (from[i] - mean) * inverse * g2);
      });
  detail::for_each_index(
      context, "kovos::layer_norm_gradient parameters", count * p.c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % p.c, first = index / p.c * run;
        float w = 0, b = 0;
        for (std::size_t row = first; row < first + run && row < p.rows; ++row) {
          w += p.dy[row * p.c + i] * (p.x[row * p.c + i] - stat[2 * row]) * stat[2 * row + 1];
          b += p.dy[row * p.c + i];
        }
        to[index] = w;
        to[count * p.c + index] = b;
      });
  if (p.dw) detail::solve(context, problem::AddParts{to, count, p.c, p.dw});
  if (p.db) detail::solve(context, problem::AddParts{to + count * p.c, count, p.c, p.db});
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::GroupNorm const& p) {
  std::size_t const width = p.c / p.groups;
  float const count = static_cast<float>(p.pixels * width);
  detail::for_each_index(
      context, "kovos::group_norm", p.n * p.groups, KOKKOS_LAMBDA(std::size_t index) {
        float* const x = p.x + index / p.groups * p.pixels * p.c + index % p.groups * width;
        double sum = 0;
        for (std::size_t i = 0; i < p.pixels; ++i)
          for (std::size_t j = 0; j < width; ++j) sum += static_cast<double>(x[i * p.c + j]);
        float const mean = static_cast<float>(sum / static_cast<double>(count));
        double square = 0;
        for (std::size_t i = 0; i < p.pixels; ++i)
          for (std::size_t j = 0; j < width; ++j) {
            double const d = static_cast<double>(x[i * p.c + j] - mean);
            square += d * d;
          }
        float const inverse = 1.0f / Kokkos::sqrt(static_cast<float>(square) / count + p.epsilon);
        for (std::size_t i = 0; i < p.pixels; ++i)
          for (std::size_t j = 0; j < width; ++j) {
            std::size_t const channel = index % p.groups * width + j;
            float const y = (x[i * p.c + j] - mean) * inverse * p.weight[channel] + p.bias[channel];
            x[i * p.c + j] = p.relu && y < 0 ? 0 : y;
          }
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::GroupNormGradient const& p) {
  std::size_t const width = p.c / p.groups;
  double const count = static_cast<double>(p.pixels * width);
  auto const parts = context.template tensor<float>(2, p.n, p.c);  // of dw, then of db, per sample
  auto* const to = parts.data();
  detail::for_each_index(
      context, "kovos::group_norm_gradient", p.n * p.groups, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / p.groups, group = index % p.groups;
        std::size_t const base = sample * p.pixels * p.c + group * width;
        double sum = 0;
        for (std::size_t q = 0; q < p.pixels; ++q)
          for (std::size_t j = 0; j < width; ++j) sum += static_cast<double>(p.x[base + q * p.c + j]);
        double const mean = sum / count;
        double square = 0;
        for (std::size_t q = 0; q < p.pixels; ++q)
          for (std::size_t j = 0; j < width; ++j) {
            double const d = static_cast<double>(p.x[base + q * p.c + j]) - mean;
            square += d * d;
          }
        double const inverse = 1 / Kokkos::sqrt(square / count + static_cast<double>(p.epsilon));
        double g1 = 0, g2 = 0;
        for (std::size_t j = 0; j < width; ++j) {
          double w = 0, b = 0;
          for (std::size_t q = 0; q < p.pixels; ++q) {
            std::size_t const i = base + q * p.c + j;
            if (p.relu && !(p.y[i] > 0)) continue;
            w += static_cast<double>(p.dy[i]) * (static_cast<double>(p.x[i]) - mean) * inverse;
            b += static_cast<double>(p.dy[i]);
          }
          std::size_t const channel = group * width + j;
          to[sample * p.c + channel] = static_cast<float>(w);
          to[(p.n + sample) * p.c + channel] = static_cast<float>(b);
          g1 += b * static_cast<double>(p.weight[channel]);
          g2 += w * static_cast<double>(p.weight[channel]);
        }
        if (!p.dx) return;
        g1 /= count;
        g2 /= count;
        for (std::size_t q = 0; q < p.pixels; ++q)
          for (std::size_t j = 0; j < width; ++j) {
            std::size_t const i = base + q * p.c + j;
            double const d = p.relu && !(p.y[i] > 0) ? 0.0 : static_cast<double>(p.dy[i]);
            p.dx[i] += static_cast<float>(inverse * (d * static_cast<double>(p.weight[group * width + j]) - g1 -
                                                     (static_cast<double>(p.x[i]) - mean) * inverse * g2));
          }
      });
  if (p.dw) detail::solve(context, problem::AddParts{to, p.n, p.c, p.dw});
  if (p.db) detail::solve(context, problem::AddParts{to + p.n * p.c, p.n, p.c, p.db});
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::L2Normalize const& p) {
  detail::for_each_index(
      context, "kovos::l2_normalize", p.rows, KOKKOS_LAMBDA(std::size_t row) {
        float square = 0;
        for (std::size_t i = 0; i < p.c; ++i) square += p.x[row * p.c + i] * p.x[row * p.c + i];
        float const norm = Kokkos::sqrt(square);
        float const inverse = 1.0f / (norm > p.epsilon ? norm : p.epsilon);
        for (std::size_t i = 0; i < p.c; ++i) p.y[row * p.c + i] = p.x[row * p.c + i] * inverse;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::L2NormalizeGradient const& p) {
  detail::for_each_index(
      context, "kovos::l2_normalize_gradient", p.rows, KOKKOS_LAMBDA(std::size_t row) {
        float square = 0, along = 0;
        for (std::size_t i = row * p.c; i < (row + 1) * p.c; ++i) {
          square += p.x[i] * p.x[i];
          along += p.y[i] * p.dy[i];
        }
        float const norm = Kokkos::sqrt(square);
        if (!(norm > p.epsilon)) along = 0;  // the divisor is the constant p.epsilon
        float const inverse = 1.0f / (norm > p.epsilon ? norm : p.epsilon);
        for (std::size_t i = row * p.c; i < (row + 1) * p.c; ++i) p.dx[i] += (p.dy[i] - p.y[i] * along) * inverse;
      });
}

}  // namespace kovos::engine
