// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/normalization.hpp"
#include "kovos/kernels/problem/sums.hpp"

namespace kovos::engine {

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::LayerNorm const& p) {
  std::size_t const chunk = std::max<std::size_t>(1, 16384 / p.c);
  std::size_t const tasks = (p.rows + chunk - 1) / chunk;
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::layer_norm", detail::workers(context, tasks), tasks,
                        [&](std::size_t task, std::size_t) {
                          std::size_t const first = task * chunk;
                          kernels.layer_norm(p.x + first * p.c, p.y + first * p.c, p.weight, p.bias,
                                             std::min(chunk, p.rows - first), p.c, p.epsilon);
                        });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::LayerNormGradient const& p) {
  std::size_t const rows = p.rows, c = p.c;
  std::size_t const count = problem::row_parts(rows), run = (rows + count - 1) / count;
  auto const parts = context.template tensor<float>(2, count, c);  // of dw, then of db
  auto* const to = parts.data();
  auto const& kernels = detail::best_host_kernels();
  detail::for_each_task(context, "kovos::layer_norm_gradient", detail::workers(context, rows * c < 8192 ? 1 : count),
                        count, [&](std::size_t part, std::size_t) {
                          std::size_t const first = std::min(rows, part * run), last = std::min(rows, first + run);
                          float* const w = to + part * c;
                          float* const b = to + (count + part) * c;
                          std::fill_n(w, c, 0.0f);
                          std::fill_n(b, c, 0.0f);
                          kernels.layer_norm_gradient(p.x + first * c, p.dy + first * c, p.weight,
                                                      p.dx ? p.dx + first * c : nullptr, w, b, last - first, c,
                                                      p.epsilon);
                        });
  if (p.dw) detail::solve(context, problem::AddParts{to, count, c, p.dw});
  if (p.db) detail::solve(context, problem::AddParts{to + count * c, count, c, p.db});
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::GroupNorm const& p) {
  std::size_t const c = p.c, pixels = p.pixels, groups = p.groups, width = c / groups;
  float const count = static_cast<float>(pixels * width);
  auto const& kernels = detail::best_host_kernels();
  std::size_t const threads = detail::workers(context, p.n);
  auto const scratch = context.template tensor<float>(threads, 3 * c);
  auto const totals = context.template tensor<double>(threads, c);
  detail::for_each_task(context, "kovos::group_norm", threads, p.n, [&](std::size_t sample, std::size_t worker) {
    float* const data = p.x + sample * pixels * c;
    float* const row_sum = scratch.data() + worker * 3 * c;
    float* const scale = row_sum + c;
    float* const shift = scale + c;
    double* const total = totals.data() + worker * c;
    // Short runs in float, their totals in double.
    std::size_t const run = 64;
    auto const reduce = [&](auto const& kernel) {
      std::fill_n(total, c, 0.0);
      for (std::size_t first = 0; first < pixels; first += run) {
        std::fill_n(row_sum, c, 0.0f);
        kernel(data + first * c, std::min(run, pixels - first));
        for (std::size_t i = 0; i < c; ++i) total[i] += static_cast<double>(row_sum[i]);
      }
      for (std::size_t g = 0; g < groups; ++g) {
        double sum = 0;
        for (std::size_t i = 0; i < width; ++i) sum += total[g * width + i];
        for (std::size_t i = 0; i < width; ++i) total[g * width + i] = sum / static_cast<double>(count);
      }
    };
    reduce([&](float const* x, std::size_t rows) { kernels.channel_sums(x, rows, c, row_sum); });
    for (std::size_t i = 0; i < c; ++i) shift[i] = static_cast<float>(total[i]);
    reduce([&](float const* x, std::size_t rows) { kernels.channel_squares(x, rows, c, shift, row_sum); });
    for (std::size_t i = 0; i < c; ++i) {
      scale[i] = p.weight[i] / std::sqrt(static_cast<float>(total[i]) + p.epsilon);
      shift[i] = p.bias[i] - shift[i] * scale[i];
    }
    kernels.scale_shift(data, data, pixels, c, scale, shift, p.relu);
  });
  return true;
}

template <class Exec>
requires is_host_execution<Exec>
bool run(Host, Context<Exec> const& context, problem::GroupNormGradient const& p) {
  std::size_t const n = p.n, pixels = p.pixels, c = p.c, groups = p.groups, width = c / groups;
  double const count = static_cast<double>(pixels * width);
  auto const parts = context.template tensor<float>(2, n, c);  // of dw, then of db, per sample
  auto* const to = parts.data();
  auto const& kernels = detail::best_host_kernels();
  std::size_t const threads = detail::workers(context, n);
  auto const scratch = context.template tensor<float>(threads, 6 * c);
  detail::for_each_task(context, "kovos::group_norm_gradient", threads, n, [&](std::size_t sample, std::size_t worker) {
    float const* const xs = p.x + sample * pixels * c;
    float const* const ys = p.y + sample * pixels * c;
    float const* const ds = p.dy + sample * pixels * c;
    float* const mean = scratch.data() + worker * 6 * c;
    float* const inverse = mean + c;
    float* const sums = inverse + c;    // of a run
    float* const squares = sums + c;    // of a run
    float* const factor = squares + c;  // of x^
    float* const offset = factor + c;
    auto const group_means = [&](float* values, double divisor) {
      for (std::size_t g = 0; g < groups; ++g) {
        double sum = 0;
        for (std::size_t i = 0; i < width; ++i) sum += static_cast<double>(values[g * width + i]);
        std::fill_n(values + g * width, width, static_cast<float>(sum / divisor));
      }
    };
    std::fill_n(mean, 2 * c, 0.0f);
    kernels.channel_sums(xs, pixels, c, mean);
    group_means(mean, count);
    kernels.channel_squares(xs, pixels, c, mean, inverse);
    group_means(inverse, count);
    for (std::size_t i = 0; i < c; ++i) inverse[i] = 1 / std::sqrt(inverse[i] + p.epsilon);
    float* const w = to + sample * c;
    float* const b = to + (n + sample) * c;
    std::fill_n(w, c, 0.0f);
    std::fill_n(b, c, 0.0f);
    kernels.group_norm_sums(xs, ys, ds, pixels, c, mean, p.relu, w, b);
    for (std::size_t i = 0; i < c; ++i) w[i] *= inverse[i];
    if (!p.dx) return;
    for (std::size_t i = 0; i < c; ++i) {
      offset[i] = b[i] * p.weight[i];
      factor[i] = w[i] * p.weight[i];
    }
    group_means(offset, count);
    group_means(factor, count);
    // dx += inverse (weight dy - offset - (x - mean) inverse factor), a linear form of dy and x.
    for (std::size_t i = 0; i < c; ++i) {
      float const slope = inverse[i] * inverse[i] * factor[i];
      sums[i] = inverse[i] * p.weight[i];
      squares[i] = -slope;
      offset[i] = -inverse[i] * offset[i] + mean[i] * slope;
    }
    kernels.group_norm_gradient(xs, ys, ds, pixels, c, sums, squares, offset, p.relu, p.dx + sample * pixels * c);
  });
  if (p.dw) detail::solve(context, problem::AddParts{to, n, c, p.dw});
  if (p.db) detail::solve(context, problem::AddParts{to + n * c, n, c, p.db});
  return true;
}

}  // namespace kovos::engine
