// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/autodiff/convolution.hpp"
#include "kovos/autodiff/normalization.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/guided_upsampling.hpp"

namespace kovos {

/// What upsample_guided works from in a tape: parameters and guidance as they are, so that gradients reach them.
template <class U, class B, class W, class Memory>
struct GuidedUpsamplingInTape {
  U up;
  B bias;
  W weight;
  DynamicTensor<float, 4, Memory> guidance;
};

/// guide_upsampling with gradients.
template <class Exec, Recompute Policy, class U, class B, class W>
GuidedUpsamplingInTape<U, B, W, typename Exec::memory_space> guide_upsampling(
    Tape<Exec, Policy> const&, U const& up, B const& bias, W const& weight,
    DynamicTensor<float, 4, typename Exec::memory_space> const& guidance) {
  return {up, bias, weight, guidance};
}

/// conv2d_norm_relu with gradients.
template <class Exec, Recompute Policy, class W, class P>
DynamicTensor<float, 4, typename Exec::memory_space> conv2d_norm_relu(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
    P const& norm) {
  TensorView<float const, dynamic_extents<1>, typename Exec::memory_space> const no_bias;
  return group_norm(tape, conv2d(tape, x, weight, no_bias, 1, weight.extent(2) / 2), norm.groups, norm.weight,
                    norm.bias, true, norm.epsilon);
}

/// upsample_guided with gradients, step by step.
template <class Exec, Recompute Policy, class G, class P>
DynamicTensor<float, 4, typename Exec::memory_space> upsample_guided(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x, G const& guided,
    P const& norm) {
  return conv2d_norm_relu(tape, conv_transpose2d(tape, x, guided.up, guided.bias, guided.guidance), guided.weight,
                          norm);
}

/// In a tape nothing is left to be scaled.
template <class Exec, Recompute Policy>
DynamicTensor<float, 4, typename Exec::memory_space> apply_scaling(
    Tape<Exec, Policy> const&, DynamicTensor<float, 4, typename Exec::memory_space> const& x) {
  return x;
}

}  // namespace kovos
