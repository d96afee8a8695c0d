// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/guided_upsampling.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/conv_transpose2d.hpp"
#include "kovos/nn/group_norm.hpp"

namespace kovos {

/// Twice { 3 x 3 convolution without bias, group normalisation in groups of 16 channels, ReLU }; a PyTorch Sequential
/// under the key `double_conv`.
template <std::size_t In, std::size_t Out, class T, class Memory>
class DoubleConv {
 public:
  Conv2d<In, Out, 3, T, Memory, false> conv_0;
  GroupNorm<Out / 16, Out, T, Memory> norm_1;
  Conv2d<Out, Out, 3, T, Memory, false> conv_3;
  GroupNorm<Out / 16, Out, T, Memory> norm_4;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    conv_0.visit(f, prefix + "double_conv.0.");
    norm_1.visit(f, prefix + "double_conv.1.");
    conv_3.visit(f, prefix + "double_conv.3.");
    norm_4.visit(f, prefix + "double_conv.4.");
  }
};

/// One step of the decoder: doubles the side, joins the guidance of that resolution, convolves twice.
template <std::size_t In, std::size_t Out, std::size_t Guide, class T, class Memory>
class Up {
 public:
  ConvTranspose2d<In, In - Guide, 2, T, Memory> up;
  DoubleConv<In, Out, T, Memory> conv;

  /// x: [N, H, W, In], guidance: [1, 2 H, 2 W, Guide] -> [N, 2 H, 2 W, Out].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, V const& guidance) const {
    return apply_scaling(context, from_prepared(context, x, prepare(context, guidance)));
  }

  /// What is the same for every sample. guidance: [1, 2 H, 2 W, Guide].
  template <execution_context C, class V>
  auto prepare(C const& context, V const& guidance) const {
    return guide_upsampling(context, up.weight.dynamic(), up.bias.dynamic(), conv.conv_0.weight.dynamic(), guidance);
  }

  /// The same from what was prepared. The result may be a ScaledMap, as x may.
  template <execution_context C, class V, class P>
  auto from_prepared(C const& context, V const& x, P const& prepared) const {
    auto const y = upsample_guided(context, x, prepared, conv.norm_1.parameters());
    return conv2d_norm_relu(context, y, conv.conv_3.weight.dynamic(), conv.norm_4.parameters());
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    up.visit(f, prefix + "up.");
    conv.visit(f, prefix + "conv.");
  }
};

}  // namespace kovos
