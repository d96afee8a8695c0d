// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/transpose.hpp"

namespace kovos {

/// The cosine between every pixel's image feature and every word's text feature (CAT-Seg equation 1; its code calls it
/// correlation). image_features: [N, H, W, D] of N views, text_features: [T, P, D] with P prompt templates ->
/// [N * T, H, W, P]. Neither needs to be normalised. Throws ShapeError if D differs.
template <execution_context C>
DynamicTensor<float, 4, typename C::memory_space> cost_volume(
    C const& context, DynamicTensor<float, 4, typename C::memory_space> const& image_features,
    DynamicTensor<float, 3, typename C::memory_space> const& text_features) {
  std::size_t const views = image_features.extent(0), height = image_features.extent(1),
                    width = image_features.extent(2), depth = image_features.extent(3), pixels = height * width;
  std::size_t const classes = text_features.extent(0), templates = text_features.extent(1);
  require_extent("cost_volume", "text_features.extent(2)", text_features.extent(2), depth);
  auto const words = l2_normalize(context, text_features.reshape(dynamic_extents<2>(classes * templates, depth)));
  auto const features = l2_normalize(context, image_features.reshape(dynamic_extents<2>(views * pixels, depth)));
  auto const cosines = context.template tensor<float>(views * classes * templates, pixels);
  for (std::size_t n = 0; n < views; ++n)
    gemm(context, as_matrix(words), as_matrix(features.slice(n * pixels, pixels)).transposed(),
         as_matrix(cosines.slice(n * words.extent(0), words.extent(0))));
  dynamic_extents<4> const maps(views * classes, height, width, templates);
  if (templates == 1) return cosines.reshape(maps);
  return permute(context, cosines.reshape(dynamic_extents<3>(views * classes, templates, pixels)), {0, 2, 1})
      .reshape(maps);
}

/// The same of one view. image_features: [H, W, D] -> [T, H, W, P].
template <execution_context C>
DynamicTensor<float, 4, typename C::memory_space> cost_volume(
    C const& context, DynamicTensor<float, 3, typename C::memory_space> const& image_features,
    DynamicTensor<float, 3, typename C::memory_space> const& text_features) {
  dynamic_extents<4> const view(1, image_features.extent(0), image_features.extent(1), image_features.extent(2));
  return cost_volume(context, image_features.reshape(view), text_features);
}

}  // namespace kovos
