// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/resample.hpp"

namespace kovos {

/// Index of the largest element along the leading axis, the first one on ties. x: [T, P] -> [P].
/// Throws ShapeError if T is 0.
template <class Exec>
DynamicTensor<std::int32_t, 1, typename Exec::memory_space> argmax(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x) {
  std::size_t const count = x.extent(0), positions = x.extent(1);
  require<ShapeError>(count > 0, "[argmax] there is nothing to choose from");
  auto y = context.template tensor<std::int32_t>(positions);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::argmax", positions, KOKKOS_LAMBDA(std::size_t p) {
        std::size_t best = 0;
        for (std::size_t t = 1; t < count; ++t)
          if (from[t * positions + p] > from[best * positions + p]) best = t;
        to[p] = static_cast<std::int32_t>(best);
      });
  return y;
}

/// One step of an argmax over tiles of the leading axis: where x[t, p] exceeds best[p], best[p] = x[t, p] and
/// label[p] = first + t. x: [T, P], best, label: [P]. Ties keep the earlier label, so tiles are given in order.
/// Throws ShapeError if P differs.
template <class Exec>
void update_argmax(Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x,
                   std::size_t first, DynamicTensor<float, 1, typename Exec::memory_space> const& best,
                   DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& label) {
  std::size_t const count = x.extent(0), positions = x.extent(1);
  require_extent("update_argmax", "best", best.extent(0), positions);
  require_extent("update_argmax", "label", label.extent(0), positions);
  auto const* const from = x.data();
  auto* const top = best.data();
  auto* const which = label.data();
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      // So many positions that best and label stay in the first-level cache while rows pass.
      std::size_t const run = 2048, tasks = (positions + run - 1) / run;
      auto const& kernels = detail::best_host_kernels();
      detail::for_each_task(
          context, "kovos::update_argmax", detail::workers(context, tasks), tasks, [&](std::size_t task, std::size_t) {
            std::size_t const p = task * run, size = std::min(run, positions - p);
            for (std::size_t t = 0; t < count; ++t) {
              float const* const row = from + t * positions + p;
              kernels.blend_argmax(row, row, 0, size, top + p, which + p, static_cast<std::int32_t>(first + t));
            }
          });
      return;
    }
#endif
  detail::for_each_index(
      context, "kovos::update_argmax", positions, KOKKOS_LAMBDA(std::size_t p) {
        for (std::size_t t = 0; t < count; ++t)
          if (from[t * positions + p] > top[p]) {
            top[p] = from[t * positions + p];
            which[p] = static_cast<std::int32_t>(first + t);
          }
      });
}

/// update_argmax of maps that are resized first, without the resized maps in memory: a step of the running argmax that
/// labels the pixels of a picture. x: [T, h, w, 1], best, label: [height * width]. Throws ShapeError if the extents
/// disagree.
template <class Exec>
void resize_bilinear_argmax(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                            std::size_t height, std::size_t width, std::size_t first,
                            DynamicTensor<float, 1, typename Exec::memory_space> const& best,
                            DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& label) {
  std::size_t const count = x.extent(0), h = x.extent(1), w = x.extent(2), pixels = height * width;
  require_extent("resize_bilinear_argmax", "x.extent(3)", x.extent(3), 1);
  require_extent("resize_bilinear_argmax", "best", best.extent(0), pixels);
  require_extent("resize_bilinear_argmax", "label", label.extent(0), pixels);
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      detail::check_resample("resize_bilinear_argmax", h, w, height, width);
      // Bands of rows whose best and label stay in the second-level cache while the maps pass.
      std::size_t const band = std::clamp<std::size_t>(32768 / width, 1, height), bands = (height + band - 1) / band;
      detail::BilinearRows const rows(context, h, w, 1, height, width, Alignment::half_pixel, bands);
      auto const& kernels = detail::best_host_kernels();
      detail::for_each_task(
          context, "kovos::resize_bilinear_argmax", rows.threads, bands, [&](std::size_t task, std::size_t worker) {
            for (std::size_t t = 0; t < count; ++t)
              rows.visit(worker, x.data() + t * h * w, task * band, std::min((task + 1) * band, height),
                         [&](std::size_t row, float const* top, float const* bottom, float weight) {
                           kernels.blend_argmax(top, bottom, weight, width, best.data() + row * width,
                                                label.data() + row * width, static_cast<std::int32_t>(first + t));
                         });
          });
      return;
    }
#endif
  auto const resized = resize_bilinear(context, x, height, width);
  update_argmax(context, resized.reshape(dynamic_extents<2>(count, pixels)), first, best, label);
}

/// Largest element of each row. x: [N, C] -> [N]. Throws ShapeError if C is 0.
template <class Exec>
DynamicTensor<float, 1, typename Exec::memory_space> row_maximum(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x) {
  std::size_t const c = x.extent(1);
  require<ShapeError>(c > 0, "[row_maximum] rows are empty");
  auto y = context.template tensor<float>(x.extent(0));
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::row_maximum", x.extent(0), KOKKOS_LAMBDA(std::size_t row) {
        float top = from[row * c];
        for (std::size_t i = 1; i < c; ++i) top = from[row * c + i] > top ? from[row * c + i] : top;
        to[row] = top;
      });
  return y;
}

/// Indices of the k largest of the values, ascending by index; on ties the smaller index wins, NaN comes last. Host.
/// Throws ShapeError if there are fewer than k values.
inline std::vector<std::size_t> top_k(float const* values, std::size_t count, std::size_t k) {
  require<ShapeError>(k <= count, "[top_k] ", k, " of only ", count, " values asked for");
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto const before = [&](std::size_t a, std::size_t b) {
    float const x = values[a], y = values[b];
    if (x > y || x < y) return x > y;
    // Equal, or one of them is NaN: without an order among those the selection could run off its ends.
    return (x != x) != (y != y) ? y != y : a < b;
  };
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(), before);
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace kovos
