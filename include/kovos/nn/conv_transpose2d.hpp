// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/transposed_convolution.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// Transposed 2-D convolution with stride = Kernel of channels-last maps.
/// weight: [In, Out, Kernel, Kernel], bias: [Out].
template <std::size_t In, std::size_t Out, std::size_t Kernel, class T, class Memory>
class ConvTranspose2d {
 public:
  Parameter<T, Memory, In, Out, Kernel, Kernel> weight;
  Parameter<T, Memory, Out> bias;

  /// x: [N, H, W, In] -> [N, Kernel H, Kernel W, Out + G], the guidance [N', Kernel H, Kernel W, G] following the
  /// Out channels if given.
  template <execution_context C, class V>
  auto operator()(C const& context, V const& x, V const& guidance = {}) const {
    return conv_transpose2d(context, x, weight.dynamic(), bias.dynamic(), guidance);
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::weight);
    f(prefix + "bias", bias, ParameterRole::bias);
  }
};

}  // namespace kovos
