// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/engine/select.hpp"

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
  auto const* const from = masks.data();
  auto const* const factor = scores.data();
  auto* const to = owner.data();
  detail::for_each_index(
      context, "kovos::mask_owner", positions, KOKKOS_LAMBDA(std::size_t p) {
        std::size_t best = 0;
        float inside = detail::activated(from[p], Activation::sigmoid);
        float top = factor[0] * inside;
        for (std::size_t n = 1; n < count; ++n) {
          float const probability = detail::activated(from[n * positions + p], Activation::sigmoid);
          float const value = factor[n] * probability;
          if (value > top) {
            top = value;
            inside = probability;
            best = n;
          }
        }
        auto const number = static_cast<std::int32_t>(best);
        to[p] = inside >= 0.5f ? number : -1 - number;
      });
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
  // Sums of short runs, so that a device has enough to do and little is lost by adding floats.
  std::size_t const run = 1024, runs = (positions + run - 1) / run;
  auto const numbers = context.template tensor<std::int32_t>(count * runs, std::size_t{2});
  auto const sums = context.template tensor<float>(count * runs);
  auto const* const from = masks.data();
  auto* const number = numbers.data();
  auto* const sum = sums.data();
  detail::for_each_index(
      context, "kovos::mask_extents", count * runs, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const first = i % runs * run, last = first + run < positions ? first + run : positions;
        float const* const mask = from + i / runs * positions;
        std::int32_t positive = 0, half = 0;
        float total = 0;
        for (std::size_t p = first; p < last; ++p) {
          float const probability = detail::activated(mask[p], Activation::sigmoid);
          if (mask[p] > 0) {
            ++positive;
            total += probability;
          }
          if (probability >= 0.5f) ++half;
        }
        number[2 * i] = positive;
        number[2 * i + 1] = half;
        sum[i] = total;
      });
  auto const host_numbers = to_host(context, numbers);
  auto const host_sums = to_host(context, sums);
  std::vector<MaskExtent> result(count);
  for (std::size_t i = 0; i < count * runs; ++i) {
    auto& extent = result[i / runs];
    extent.positive += static_cast<std::size_t>(host_numbers(i, 0));
    extent.at_least_half += static_cast<std::size_t>(host_numbers(i, 1));
    extent.probability += static_cast<double>(host_sums(i));
  }
  return result;
}

}  // namespace kovos
