// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/transpose.hpp"

namespace kovos {

/// The cosine between every pixel's image feature and every word's text feature (CAT-Seg equation 1; its code calls it
/// correlation). image_features: [H, W, D], text_features: [T, P, D] with P prompt templates -> [T, H, W, P].
/// Neither needs to be normalised. Throws ShapeError if D differs.
template <execution_context C>
auto cost_volume(C const& context, DynamicTensor<float, 3, typename C::memory_space> const& image_features,
                 DynamicTensor<float, 3, typename C::memory_space> const& text_features) {
  std::size_t const height = image_features.extent(0), width = image_features.extent(1),
                    depth = image_features.extent(2);
  std::size_t const classes = text_features.extent(0), templates = text_features.extent(1);
  require_extent("cost_volume", "text_features.extent(2)", text_features.extent(2), depth);
  auto const cosine = cosine_similarity(context, text_features.reshape(dynamic_extents<2>(classes * templates, depth)),
                                        image_features.reshape(dynamic_extents<2>(height * width, depth)));
  if (templates == 1) return cosine.reshape(dynamic_extents<4>(classes, height, width, 1));
  return permute(context, cosine.reshape(dynamic_extents<3>(classes, templates, height * width)), {0, 2, 1})
      .reshape(dynamic_extents<4>(classes, height, width, templates));
}

}  // namespace kovos
