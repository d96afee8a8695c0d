// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// 2-D convolution of channels-last maps. weight: [Out, In, Kernel, Kernel], bias: [Out] unless Bias is false.
template <std::size_t In, std::size_t Out, std::size_t Kernel, class T, class Memory, bool Bias = true,
          std::size_t Stride = 1, std::size_t Padding = (Stride == 1 ? Kernel / 2 : 0)>
class Conv2d {
 public:
  Parameter<T, Memory, Out, In, Kernel, Kernel> weight;
  Parameter<T, Memory, Out> bias;

  /// x: [N, H, W, In] -> [N, H', W', Out].
  template <execution_context C, class V>
  auto operator()(C const& context, V const& x, Activation activation = Activation::none) const {
    return conv2d(context, x, weight.dynamic(), bias.dynamic(), Stride, Padding, activation);
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::weight);
    if constexpr (Bias) f(prefix + "bias", bias, ParameterRole::bias);
  }
};

}  // namespace kovos
