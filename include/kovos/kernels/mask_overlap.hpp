// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/mask_overlap.hpp"

namespace kovos {

/// Which of several overlapping masks has a position: the n with the largest scores[n] sigmoid(masks[n, p]), the first
/// one on ties. masks: [N, P] logits, scores: [N] -> [P]; -1 - n where sigmoid(masks[n, p]) of this n is below a half.
/// Throws ShapeError if there are no masks or N differs.
template <class Exec>
DynamicTensor<std::int32_t, 1, typename Exec::memory_space> mask_owner(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& masks,
    DynamicTensor<float, 1, typename Exec::memory_space> const& scores) {
  std::size_t const count = masks.extent(0), positions = masks.extent(1);
  require<ShapeError>(count > 0, "[mask_owner] there are no masks");
  require_extent("mask_owner", "scores", scores.extent(0), count);
  auto owner = context.template tensor<std::int32_t>(positions);
  detail::solve(context, problem::MaskOwner{masks.data(), scores.data(), owner.data(), count, positions});
  return owner;
}

/// What a mask of logits covers.
struct MaskExtent {
  std::size_t positive = 0;       ///< positions with a logit above 0
  std::size_t at_least_half = 0;  ///< positions whose sigmoid is a half or more; a logit of 0 counts here only
  double probability = 0;         ///< sum of the sigmoid over the positive positions
};

/// The extent of each mask. masks: [N, P] -> N, on the host.
template <class Exec>
std::vector<MaskExtent> mask_extents(Context<Exec> const& context,
                                     DynamicTensor<float, 2, typename Exec::memory_space> const& masks) {
  std::size_t const count = masks.extent(0), positions = masks.extent(1);
  auto const numbers = context.template tensor<std::int32_t>(count, std::size_t{2});
  auto const sums = context.template tensor<double>(count);
  detail::solve(context, problem::MaskExtents{masks.data(), numbers.data(), sums.data(), count, positions});
  auto const host_numbers = to_host(context, numbers);
  auto const host_sums = to_host(context, sums);
  std::vector<MaskExtent> result(count);
  for (std::size_t n = 0; n < count; ++n)
    result[n] = {static_cast<std::size_t>(host_numbers(n, 0)), static_cast<std::size_t>(host_numbers(n, 1)),
                 host_sums(n)};
  return result;
}

}  // namespace kovos
