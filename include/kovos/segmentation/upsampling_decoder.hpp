// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
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
  void visit(F& f, std::string const& prefix) {
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

  template <class F>
  void visit(F& f, std::string const& prefix) {
    up.visit(f, prefix + "up.");
    conv.visit(f, prefix + "conv.");
  }
};

}  // namespace kovos
