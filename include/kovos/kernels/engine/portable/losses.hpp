// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/losses.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::SigmoidCrossEntropy const& p) {
  detail::for_each_index(
      context, "kovos::sigmoid_cross_entropy", p.rows, KOKKOS_LAMBDA(std::size_t row) {
        auto const target = static_cast<std::int32_t>(p.first + row * p.run / p.pixels);
        std::size_t const offset = row * p.run % p.pixels;
        double sum = 0;
        for (std::size_t i = 0; i < p.run; ++i) {
          float& x = p.z[row * p.run + i];
          float const y = p.labels[offset + i] == target ? 1.0f : 0.0f;
          float const e = Kokkos::exp(x < 0 ? x : -x);
          sum += static_cast<double>((x > 0 ? x : 0.0f) - x * y + Kokkos::log1p(e));
          x = (x < 0 ? e : 1.0f) / (1.0f + e) - y;
        }
        p.losses[row] = sum;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ContrastiveLoss const& p) {
  std::size_t const n = p.flip ? p.pairs.columns : p.pairs.rows, m = p.flip ? p.pairs.rows : p.pairs.columns;
  double const share = 0.5 * p.weight / static_cast<double>(p.pairs.count);
  detail::for_each_index(
      context, "kovos::contrastive_loss", n, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const start = p.flip ? i : i * p.pairs.columns, stride = p.flip ? p.pairs.columns : 1;
        auto const is_pair = [&](std::size_t j) {
          return p.pairs.pairs ? p.pairs.pairs[start + j * stride] != 0 : i == j;
        };
        float const factor = Kokkos::exp(*p.scale);
        float top = p.c[start];
        for (std::size_t j = 1; j < m; ++j) top = p.c[start + j * stride] > top ? p.c[start + j * stride] : top;
        auto const power = [&](std::size_t j) {
          return static_cast<double>(Kokkos::exp(factor * (p.c[start + j * stride] - top)));
        };
        double others = 0;
        for (std::size_t j = 0; j < m; ++j) others += is_pair(j) ? 0.0 : power(j);
        double loss = 0, inverse = 0;  // sum over pairs of 1 / total
        for (std::size_t j = 0; j < m; ++j) {
          if (!is_pair(j)) continue;
          double const total = others + power(j);
          inverse += 1 / total;
          loss += Kokkos::log(total) - static_cast<double>(factor * (p.c[start + j * stride] - top));
        }
        double slope = 0;
        for (std::size_t j = 0; j < m; ++j) {
          double const own = power(j);
          double const by_logit = is_pair(j) ? own / (others + own) - 1 : own * inverse;
          double const d = share * by_logit * static_cast<double>(factor);
          p.dc[start + j * stride] += static_cast<float>(d);
          slope += d * static_cast<double>(p.c[start + j * stride]);
        }
        p.losses[i] = share * loss;
        p.slopes[i] = slope;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::SoftMaximum const& p) {
  detail::for_each_index(
      context, "kovos::soft_maximum", p.runs, KOKKOS_LAMBDA(std::size_t r) {
        float* const run = p.x + r * p.count;
        float top = run[0];
        for (std::size_t i = 1; i < p.count; ++i) top = run[i] > top ? run[i] : top;
        float total = 0;
        for (std::size_t i = 0; i < p.count; ++i) total += run[i] = Kokkos::exp(p.sharpness * (run[i] - top));
        for (std::size_t i = 0; i < p.count; ++i) run[i] /= total;
        p.y[r] = top + Kokkos::log(total / static_cast<float>(p.count)) / p.sharpness;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ScaleShares const& p) {
  detail::for_each_index(
      context, "kovos::soft_maximum_gradient", p.size,
      KOKKOS_LAMBDA(std::size_t i) { p.shares[i] *= p.slopes[i / p.count]; });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::AddScaled const& p) {
  detail::for_each_index(
      context, "kovos::scale", p.size, KOKKOS_LAMBDA(std::size_t i) { p.y[i] += *p.factor * p.x[i]; });
}

}  // namespace kovos::engine
