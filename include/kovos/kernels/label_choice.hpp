// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/label_choice.hpp"
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
  detail::solve(context, problem::Argmax{x.data(), y.data(), count, positions});
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
  detail::solve(context, problem::UpdateArgmax{x.data(), best.data(), label.data(), count, positions, first});
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
  detail::check_resample("resize_bilinear_argmax", h, w, height, width);
  detail::solve(context, problem::ResizeArgmax{x.data(), best.data(), label.data(), count, h, w, height, width, first});
}

}  // namespace kovos
