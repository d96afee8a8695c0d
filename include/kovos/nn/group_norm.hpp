// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/convolution_norm.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// Group normalisation of channels-last maps. weight, bias: [Channels].
template <std::size_t Groups, std::size_t Channels, class T, class Memory>
class GroupNorm {
  static_assert(Groups > 0 && Channels % Groups == 0, "kovos::GroupNorm: Groups must divide Channels");

 public:
  Parameter<T, Memory, Channels> weight;
  Parameter<T, Memory, Channels> bias;

  /// x: [N, H, W, Channels], may be overwritten -> the same extents; with a ReLU behind it if asked.
  template <execution_context C, class V>
  V operator()(C const& context, V const& x, bool relu = false) const {
    return group_norm(context, x, Groups, weight.dynamic(), bias.dynamic(), relu);
  }

  /// For kernels that normalise on the way.
  auto parameters() const { return GroupNormParameters{Groups, weight.dynamic(), bias.dynamic()}; }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::norm_weight);
    f(prefix + "bias", bias, ParameterRole::norm_bias);
  }
};

}  // namespace kovos
