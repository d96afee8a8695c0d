// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/transposed_convolution.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"

namespace kovos {

/// A transposed convolution (kernel = stride = 2) that doubles a map, a guidance of that size joined to it, and a 3 x 3
/// convolution behind both: what is the same for every sample.
template <class Memory>
struct GuidedUpsampling {
  DynamicTensor<float, 4, Memory> shared;    // [1, 2 H, 2 W, O]: of the guidance, and of the bias of the first
  DynamicTensor<float, 5, Memory> composed;  // [4, O, C, 2, 2]: both convolutions as one
};

/// up: [C, M, 2, 2], bias: [M], weight: [O, M + G, 3, 3], guidance: [1, 2 H, 2 W, G].
/// Throws ShapeError if the extents disagree.
template <class Exec, class U, class B, class W>
GuidedUpsampling<typename Exec::memory_space> guide_upsampling(
    Context<Exec> const& context, U const& up, B const& bias, W const& weight,
    DynamicTensor<float, 4, typename Exec::memory_space> const& guidance) {
  auto const nothing =
      context.template tensor<float>(std::size_t{1}, guidance.extent(1) / 2, guidance.extent(2) / 2, up.extent(0));
  fill(context, nothing, 0.0f);
  return {conv2d_part(context, conv_transpose2d(context, nothing, up, bias), weight, 0, 1,
                      conv2d_part(context, guidance, weight, up.extent(1), 1)),
          compose_upsampling(context, up, weight)};
}

/// relu(group_norm(conv2d(concat(conv_transpose2d(x), guidance), weight))): what is upsampled is never stored, the
/// guidance not convolved again. x: [N, H, W, C], a map or a scaled one -> [N, 2 H, 2 W, O].
template <class Exec, class X, class P>
ScaledMap<typename Exec::memory_space> upsample_guided(Context<Exec> const& context, X const& x,
                                                       GuidedUpsampling<typename Exec::memory_space> const& guided,
                                                       P const& norm) {
  using Scaled = ScaledMap<typename Exec::memory_space>;
  if constexpr (std::is_same_v<X, Scaled>)
    return upsample_conv2d_norm_relu(context, x, guided.composed, guided.shared, norm);
  else return upsample_conv2d_norm_relu(context, Scaled{x, {}}, guided.composed, guided.shared, norm);
}

}  // namespace kovos
