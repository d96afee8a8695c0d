// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/normalization.hpp"

namespace kovos {

namespace detail {

/// dx += (g - mean(g) - x^ mean(g x^)) / deviation with g = dy weight and x^ the normalised row; dw += dy x^, db += dy.
/// x, dy: [rows, c]; dx, dw, db may be nullptr.
template <class Exec>
void layer_norm_gradient(Context<Exec> const& context, float const* x, float const* weight, float const* dy,
                         std::size_t rows, std::size_t c, float epsilon, float* dx, float* dw, float* db) {
  std::size_t const count = row_parts(rows), run = (rows + count - 1) / count;
  auto const parts = context.template tensor<float>(2, count, c);  // of dw, then of db
  auto* const to = parts.data();
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      for_each_task(context, "kovos::layer_norm_gradient", workers(context, rows * c < 8192 ? 1 : count), count,
                    [&](std::size_t part, std::size_t) {
                      std::size_t const first = std::min(rows, part * run), last = std::min(rows, first + run);
                      float* const w = to + part * c;
                      float* const b = to + (count + part) * c;
                      std::fill_n(w, c, 0.0f);
                      std::fill_n(b, c, 0.0f);
                      kernels.layer_norm_gradient(x + first * c, dy + first * c, weight, dx ? dx + first * c : nullptr,
                                                  w, b, last - first, c, epsilon);
                    });
      if (dw) add_parts(context, to, count, c, dw);
      if (db) add_parts(context, to + count * c, count, c, db);
      return;
    }
#endif
  auto const statistics = context.template tensor<float>(rows, 2);
  auto* const stat = statistics.data();
  for_each_index(
      context, "kovos::layer_norm_gradient", rows, KOKKOS_LAMBDA(std::size_t row) {
        float const* const p = x + row * c;
        float const* const d = dy + row * c;
        float sum = 0;
        for (std::size_t i = 0; i < c; ++i) sum += p[i];
        float const mean = sum / static_cast<float>(c);
        float square = 0;
        for (std::size_t i = 0; i < c; ++i) square += (p[i] - mean) * (p[i] - mean);
        float const inverse = 1.0f / Kokkos::sqrt(square / static_cast<float>(c) + epsilon);
        stat[2 * row] = mean;
        stat[2 * row + 1] = inverse;
        if (!dx) return;
        float g1 = 0, g2 = 0;
        for (std::size_t i = 0; i < c; ++i) {
          float const g = d[i] * weight[i];
          g1 += g;
          g2 += g * (p[i] - mean) * inverse;
        }
        g1 /= static_cast<float>(c);
        g2 /= static_cast<float>(c);
        for (std::size_t i = 0; i < c; ++i)
          dx[row * c + i] += inverse * (d[i] * weight[i] - g1 - (p[i] - mean) * inverse * g2);
      });
  for_each_index(
      context, "kovos::layer_norm_gradient parameters", count * c, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index % c, first = index / c * run;
        float w = 0, b = 0;
        for (std::size_t row = first; row < first + run && row < rows; ++row) {
          w += dy[row * c + i] * (x[row * c + i] - stat[2 * row]) * stat[2 * row + 1];
          b += dy[row * c + i];
        }
        to[index] = w;
        to[count * c + index] = b;
      });
  if (dw) add_parts(context, to, count, c, dw);
  if (db) add_parts(context, to + count * c, count, c, db);
}

/// The same for groups of channels; y is the result after the ReLU, if there is one, whose zeros pass nothing back.
/// x, y, dy: [n, pixels, c].
template <class Exec>
void group_norm_gradient(Context<Exec> const& context, float const* x, float const* y, float const* weight,
                         float const* dy, std::size_t n, std::size_t pixels, std::size_t c, std::size_t groups,
                         bool relu, float epsilon, float* dx, float* dw, float* db) {
  std::size_t const width = c / groups;
  double const count = static_cast<double>(pixels * width);
  auto const parts = context.template tensor<float>(2, n, c);  // of dw, then of db, per sample
  auto* const to = parts.data();
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context)) {
      auto const& kernels = best_host_kernels();
      std::size_t const threads = workers(context, n);
      auto const scratch = context.template tensor<float>(threads, 6 * c);
      for_each_task(context, "kovos::group_norm_gradient", threads, n, [&](std::size_t sample, std::size_t worker) {
        float const* const xs = x + sample * pixels * c;
        float const* const ys = y + sample * pixels * c;
        float const* const ds = dy + sample * pixels * c;
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
        for (std::size_t i = 0; i < c; ++i) inverse[i] = 1 / std::sqrt(inverse[i] + epsilon);
        float* const w = to + sample * c;
        float* const b = to + (n + sample) * c;
        std::fill_n(w, c, 0.0f);
        std::fill_n(b, c, 0.0f);
        kernels.group_norm_sums(xs, ys, ds, pixels, c, mean, relu, w, b);
        for (std::size_t i = 0; i < c; ++i) w[i] *= inverse[i];
        if (!dx) return;
        for (std::size_t i = 0; i < c; ++i) {
          offset[i] = b[i] * weight[i];
          factor[i] = w[i] * weight[i];
        }
        group_means(offset, count);
        group_means(factor, count);
        // dx += inverse (weight dy - offset - (x - mean) inverse factor), a linear form of dy and x.
        for (std::size_t i = 0; i < c; ++i) {
          float const slope = inverse[i] * inverse[i] * factor[i];
          sums[i] = inverse[i] * weight[i];
          squares[i] = -slope;
          offset[i] = -inverse[i] * offset[i] + mean[i] * slope;
        }
        kernels.group_norm_gradient(xs, ys, ds, pixels, c, sums, squares, offset, relu, dx + sample * pixels * c);
      });
      if (dw) add_parts(context, to, n, c, dw);
      if (db) add_parts(context, to + n * c, n, c, db);
      return;
    }
#endif
  for_each_index(
      context, "kovos::group_norm_gradient", n * groups, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const sample = index / groups, group = index % groups;
        std::size_t const base = sample * pixels * c + group * width;
        double sum = 0;
        for (std::size_t p = 0; p < pixels; ++p)
          for (std::size_t j = 0; j < width; ++j) sum += static_cast<double>(x[base + p * c + j]);
        double const mean = sum / count;
        double square = 0;
        for (std::size_t p = 0; p < pixels; ++p)
          for (std::size_t j = 0; j < width; ++j) {
            double const d = static_cast<double>(x[base + p * c + j]) - mean;
            square += d * d;
          }
        double const inverse = 1 / Kokkos::sqrt(square / count + static_cast<double>(epsilon));
        double g1 = 0, g2 = 0;
        for (std::size_t j = 0; j < width; ++j) {
          double w = 0, b = 0;
          for (std::size_t p = 0; p < pixels; ++p) {
            std::size_t const i = base + p * c + j;
            if (relu && !(y[i] > 0)) continue;
            w += static_cast<double>(dy[i]) * (static_cast<double>(x[i]) - mean) * inverse;
            b += static_cast<double>(dy[i]);
          }
          std::size_t const channel = group * width + j;
          to[sample * c + channel] = static_cast<float>(w);
          to[(n + sample) * c + channel] = static_cast<float>(b);
          g1 += b * static_cast<double>(weight[channel]);
          g2 += w * static_cast<double>(weight[channel]);
        }
        if (!dx) return;
        g1 /= count;
        g2 /= count;
        for (std::size_t p = 0; p < pixels; ++p)
          for (std::size_t j = 0; j < width; ++j) {
            std::size_t const i = base + p * c + j;
            double const d = relu && !(y[i] > 0) ? 0.0 : static_cast<double>(dy[i]);
            dx[i] += static_cast<float>(inverse * (d * static_cast<double>(weight[group * width + j]) - g1 -
                                                   (static_cast<double>(x[i]) - mean) * inverse * g2));
          }
      });
  if (dw) add_parts(context, to, n, c, dw);
  if (db) add_parts(context, to + n * c, n, c, db);
}

/// dx += (dy - y (y dy)) / norm(x), where y = x / norm(x). x, y, dy: [rows, c].
template <class Exec>
void l2_normalize_gradient(Context<Exec> const& context, float const* x, float const* y, float const* dy,
                           std::size_t rows, std::size_t c, float epsilon, float* dx) {
  for_each_index(
      context, "kovos::l2_normalize_gradient", rows, KOKKOS_LAMBDA(std::size_t row) {
        float square = 0, along = 0;
        for (std::size_t i = row * c; i < (row + 1) * c; ++i) {
          square += x[i] * x[i];
          along += y[i] * dy[i];
        }
        float const norm = Kokkos::sqrt(square);
        if (!(norm > epsilon)) along = 0;  // the divisor is the constant epsilon
        float const inverse = 1.0f / (norm > epsilon ? norm : epsilon);
        for (std::size_t i = row * c; i < (row + 1) * c; ++i) dx[i] += (dy[i] - y[i] * along) * inverse;
      });
}

}  // namespace detail

/// layer_norm with gradients.
template <class Exec, Recompute Policy, class Shape, class W, class B>
auto layer_norm(Tape<Exec, Policy> const& tape, Tensor<float, Shape, typename Exec::memory_space> const& x,
                W const& weight, B const& bias, float epsilon = 1e-5f) {
  auto const y = tape.adopt(layer_norm(tape.context(), x, weight, bias, epsilon));
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data());
  tape.record(y.data(), {dx, dw, db}, {x.data(), weight.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    std::size_t const c = x.extent(Shape::rank() - 1);
    auto const w = detail::as_float(context, weight);
    detail::layer_norm_gradient(context, x.data(), w.data(), dy, x.size() / c, c, epsilon, detail::wanted(dx, context),
                                detail::wanted(dw, context), detail::wanted(db, context));
  });
  return y;
}

/// group_norm with gradients; x is kept, not overwritten.
template <class Exec, Recompute Policy, class W, class B>
auto group_norm(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                std::size_t groups, W const& weight, B const& bias, bool relu = false, float epsilon = 1e-5f) {
  auto const y =
      tape.adopt(group_norm(tape.context(), copy_of(tape.context(), x), groups, weight, bias, relu, epsilon));
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data());
  tape.record(y.data(), {dx, dw, db}, {x.data(), y.data(), weight.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    auto const w = detail::as_float(context, weight);
    detail::group_norm_gradient(context, x.data(), y.data(), w.data(), dy, x.extent(0), x.extent(1) * x.extent(2),
                                x.extent(3), groups, relu, epsilon, detail::wanted(dx, context),
                                detail::wanted(dw, context), detail::wanted(db, context));
  });
  return y;
}

/// l2_normalize with gradients.
template <class Exec, Recompute Policy, class Shape>
auto l2_normalize(Tape<Exec, Policy> const& tape, Tensor<float, Shape, typename Exec::memory_space> const& x,
                  float epsilon = 1e-12f) {
  auto const y = tape.adopt(l2_normalize(tape.context(), x, epsilon));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {x.data(), y.data()}, [=](auto const& t, float* dy) {
    std::size_t const c = x.extent(Shape::rank() - 1);
    detail::l2_normalize_gradient(t.context(), x.data(), y.data(), dy, x.size() / c, c, epsilon,
                                  dx.accumulate(t.context()));
  });
  return y;
}

}  // namespace kovos
