// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// Layer normalisation over the last axis. weight, bias: [Dim].
template <std::size_t Dim, class T, class Memory>
class LayerNorm {
 public:
  Parameter<T, Memory, Dim> weight;
  Parameter<T, Memory, Dim> bias;

  /// x: [..., Dim] -> the same extents.
  template <execution_context C, class V>
  auto operator()(C const& context, V const& x) const {
    return layer_norm(context, x, weight.dynamic(), bias.dynamic());
  }

  /// For kernels that normalise on the way.
  auto parameters() const { return NormParameters{weight.dynamic(), bias.dynamic()}; }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::norm_weight);
    f(prefix + "bias", bias, ParameterRole::norm_bias);
  }
};

}  // namespace kovos
