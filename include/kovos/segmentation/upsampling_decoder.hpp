// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"
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

  /// x: [N, H, W, In] -> [N, H, W, Out].
  template <execution_context C, class V>
  V operator()(C const& context, V const& x) const {
    auto const y = norm_1(context, conv_0(context, x), true);
    return norm_4(context, conv_3(context, y), true);
  }

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
    return conv(context, up(context, x, guidance));
  }

  /// What is the same for every sample.
  struct Prepared {
    DynamicTensor<float, 4, Memory> shared;  // [1, 2 H, 2 W, Out]: of the guidance, and of the bias of `up`
    DynamicTensor<float, 5, Memory> weight;  // `up` and the convolution behind it as one
  };

  /// guidance: [1, 2 H, 2 W, Guide].
  template <execution_context C, class V>
  Prepared prepare(C const& context, V const& guidance) const {
    auto const first = conv.conv_0.weight.dynamic();
    auto const nothing =
        context.template tensor<float>(std::size_t{1}, guidance.extent(1) / 2, guidance.extent(2) / 2, In);
    fill(context, nothing, 0.0f);
    return {
        conv2d_part(context, up(context, nothing), first, 0, 1, conv2d_part(context, guidance, first, In - Guide, 1)),
        compose_upsampling(context, up.weight.dynamic(), first)};
  }

  /// The same result from what was prepared: what is upsampled is never stored, the guidance not convolved again.
  template <execution_context C>
  ScaledMap<Memory> with_prepared(C const& context, ScaledMap<Memory> const& x, Prepared const& prepared) const {
    auto const y = upsample_conv2d_norm_relu(context, x, prepared.weight, prepared.shared, conv.norm_1.parameters());
    return conv2d_norm_relu(context, y, conv.conv_3.weight.dynamic(), conv.norm_4.parameters());
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    up.visit(f, prefix + "up.");
    conv.visit(f, prefix + "conv.");
  }
};

}  // namespace kovos
