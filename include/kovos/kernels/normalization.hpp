// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

namespace detail {
/// A float copy of a short vector of parameters, or the vector itself; nothing of an empty one.
template <class Exec, class P>
DynamicTensor<float, 1, typename Exec::memory_space> as_float(Context<Exec> const& context, P const& p) {
  DynamicTensor<float, 1, typename Exec::memory_space> wide;
  if constexpr (std::is_same_v<typename P::value_type, float>) {
    wide = {const_cast<float*>(p.data()), dynamic_extents<1>(p.size()), nullptr};
  } else if (p.data() != nullptr) {
    wide = context.template tensor<float>(p.size());
    auto* const to = wide.data();
    auto const* const from = p.data();
    for_each_index(
        context, "kovos::as_float", p.size(), KOKKOS_LAMBDA(std::size_t i) { to[i] = static_cast<float>(from[i]); });
  }
  return wide;
}
}  // namespace detail

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias over the last axis, with the biased variance.
/// x: [..., C], weight, bias: [C] -> [..., C]. Ba, Kiros, Hinton 2016; epsilon 1e-5 as CLIP.
/// Throws ShapeError if the extents disagree.
template <class Exec, class Shape, class W, class B>
Tensor<float, Shape, typename Exec::memory_space> layer_norm(Context<Exec> const& context,
                                                             Tensor<float, Shape, typename Exec::memory_space> const& x,
                                                             W const& weight, B const& bias, float epsilon = 1e-5f) {
  std::size_t const c = x.extent(Shape::rank() - 1);
  require_extent("layer_norm", "weight", weight.size(), c);
  require_extent("layer_norm", "bias", bias.size(), c);
  auto y = context.workspace().template tensor<float>(x.extents());
  if (x.size() == 0) return y;
  auto const w = detail::as_float(context, weight);
  auto const b = detail::as_float(context, bias);
  std::size_t const rows = x.size() / c;
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      std::size_t const chunk = std::max<std::size_t>(1, 16384 / c);
      std::size_t const tasks = (rows + chunk - 1) / chunk;
      auto const& kernels = detail::best_host_kernels();
      detail::for_each_task(context, "kovos::layer_norm", detail::workers(context, tasks), tasks,
                            [&](std::size_t task, std::size_t) {
                              std::size_t const first = task * chunk;
                              kernels.layer_norm(x.data() + first * c, y.data() + first * c, w.data(), b.data(),
                                                 std::min(chunk, rows - first), c, epsilon);
                            });
      return y;
    }
#endif
  auto const* const from = x.data();
  auto* const to = y.data();
  auto const* const scale = w.data();
  auto const* const shift = b.data();
  detail::for_each_index(
      context, "kovos::layer_norm", rows, KOKKOS_LAMBDA(std::size_t row) {
        float const* const p = from + row * c;
        float sum = 0;
        for (std::size_t i = 0; i < c; ++i) sum += p[i];
        float const mean = sum / static_cast<float>(c);
        float square = 0;
        for (std::size_t i = 0; i < c; ++i) square += (p[i] - mean) * (p[i] - mean);
        float const inverse = 1.0f / Kokkos::sqrt(square / static_cast<float>(c) + epsilon);
        for (std::size_t i = 0; i < c; ++i) to[row * c + i] = (p[i] - mean) * inverse * scale[i] + shift[i];
      });
  return y;
}

/// Group normalisation of channels-last maps: mean and biased variance over all pixels and the C / groups channels of a
/// group, per sample; then weight, bias and, if asked, ReLU. Overwrites x and returns it.
/// x: [N, H, W, C], weight, bias: [C] -> [N, H, W, C]. Wu, He 2018; epsilon 1e-5 as PyTorch.
/// Throws ShapeError if the extents disagree or groups does not divide C.
template <class Exec, class W, class B>
DynamicTensor<float, 4, typename Exec::memory_space> group_norm(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t groups,
    W const& weight, B const& bias, bool relu = false, float epsilon = 1e-5f) {
  std::size_t const c = x.extent(3);
  std::size_t const pixels = x.extent(1) * x.extent(2);
  require<ShapeError>(groups > 0 && c % groups == 0, "[group_norm] ", groups, " groups do not divide ", c, " channels");
  require_extent("group_norm", "weight", weight.size(), c);
  require_extent("group_norm", "bias", bias.size(), c);
  if (x.size() == 0) return x;
  auto const w = detail::as_float(context, weight);
  auto const b = detail::as_float(context, bias);
  std::size_t const width = c / groups;
  float const count = static_cast<float>(pixels * width);
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      auto const& kernels = detail::best_host_kernels();
      std::size_t const threads = detail::workers(context, x.extent(0));
      auto const scratch = context.template tensor<float>(threads, 3 * c);
      auto const totals = context.template tensor<double>(threads, c);
      detail::for_each_task(context, "kovos::group_norm", threads, x.extent(0), [&](std::size_t n, std::size_t worker) {
        float* const data = x.data() + n * pixels * c;
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
        reduce([&](float const* p, std::size_t rows) { kernels.channel_sums(p, rows, c, row_sum); });
        for (std::size_t i = 0; i < c; ++i) shift[i] = static_cast<float>(total[i]);
        reduce([&](float const* p, std::size_t rows) { kernels.channel_squares(p, rows, c, shift, row_sum); });
        for (std::size_t i = 0; i < c; ++i) {
          scale[i] = w(i) / std::sqrt(static_cast<float>(total[i]) + epsilon);
          shift[i] = b(i) - shift[i] * scale[i];
        }
        kernels.scale_shift(data, data, pixels, c, scale, shift, relu);
      });
      return x;
    }
#endif
  auto* const data = x.data();
  auto const* const scale = w.data();
  auto const* const shift = b.data();
  detail::for_each_index(
      context, "kovos::group_norm", x.extent(0) * groups, KOKKOS_LAMBDA(std::size_t index) {
        float* const p = data + index / groups * pixels * c + index % groups * width;
        double sum = 0;
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t j = 0; j < width; ++j) sum += static_cast<double>(p[i * c + j]);
        float const mean = static_cast<float>(sum / static_cast<double>(count));
        double square = 0;
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t j = 0; j < width; ++j) {
            double const d = static_cast<double>(p[i * c + j] - mean);
            square += d * d;
          }
        float const inverse = 1.0f / Kokkos::sqrt(static_cast<float>(square) / count + epsilon);
        for (std::size_t i = 0; i < pixels; ++i)
          for (std::size_t j = 0; j < width; ++j) {
            std::size_t const channel = index % groups * width + j;
            float const y = (p[i * c + j] - mean) * inverse * scale[channel] + shift[channel];
            p[i * c + j] = relu && y < 0 ? 0 : y;
          }
      });
  return x;
}

/// y = x / max(norm(x), epsilon) over the last axis. x: [..., C] -> [..., C]. epsilon 1e-12 as torch's normalize.
template <class Exec, class Shape>
Tensor<float, Shape, typename Exec::memory_space> l2_normalize(
    Context<Exec> const& context, Tensor<float, Shape, typename Exec::memory_space> const& x, float epsilon = 1e-12f) {
  auto y = context.workspace().template tensor<float>(x.extents());
  if (x.size() == 0) return y;
  std::size_t const c = x.extent(Shape::rank() - 1);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::l2_normalize", x.size() / c, KOKKOS_LAMBDA(std::size_t row) {
        float square = 0;
        for (std::size_t i = 0; i < c; ++i) square += from[row * c + i] * from[row * c + i];
        float const norm = Kokkos::sqrt(square);
        float const inverse = 1.0f / (norm > epsilon ? norm : epsilon);
        for (std::size_t i = 0; i < c; ++i) to[row * c + i] = from[row * c + i] * inverse;
      });
  return y;
}

}  // namespace kovos
