// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/nn/parameter.hpp"

namespace kovos {

/// y = x weight^T + bias. weight: [Out, In] stored as T, bias: [Out] always fp32.
template <std::size_t In, std::size_t Out, class T, class Memory>
class Linear {
  static_assert(In > 0 && Out > 0, "kovos::Linear: In and Out must be positive");

 public:
  Parameter<T, Memory, Out, In> weight;
  Parameter<float, Memory, Out> bias;

  /// x: [..., In] -> [..., Out]; then the activation, then the residual [..., Out] if given.
  template <execution_context C, class V>
  auto operator()(C const& context, V const& x, Activation activation = Activation::none,
                  Matrix<float const> residual = {}) const {
    return linear(context, x, weight.dynamic(), bias.dynamic(), activation, residual);
  }

  /// For kernels that apply several layers at once.
  LinearMap<T> map() const { return {{weight.data(), Out, In, In, 1}, {bias.data(), 1, Out, Out, 1}}; }

  /// What starts the layer otherwise than PyTorch's default says so by other roles.
  template <class F>
  void visit(F& f, std::string const& prefix, ParameterRole weight_role = ParameterRole::weight,
             ParameterRole bias_role = ParameterRole::bias) const {
    f(prefix + "weight", weight, weight_role);
    f(prefix + "bias", bias, bias_role);
  }
};

/// A linear layer over the concatenation of x and a guidance that is the same for many rows of x:
/// y = concat(x, guidance) weight^T + bias = x W_x^T + (guidance W_g^T + bias).
/// The bracket is computed once per guidance row (CAT-Seg's appearance and text guidance; exact up to rounding).
/// weight: [Out, In + Guide], x first; bias: [Out].
template <std::size_t In, std::size_t Guide, std::size_t Out, class T, class Memory>
class GuidedLinear {
 public:
  Parameter<T, Memory, Out, In + Guide> weight;
  Parameter<float, Memory, Out> bias;

  /// guidance: [R, Guide] -> [R, Out], the part of the result that does not depend on x.
  template <execution_context C, class V>
  auto project_guidance(C const& context, V const& guidance) const {
    auto y = context.template tensor<float>(guidance.extent(0), Out);
    Epilogue epilogue;
    epilogue.addend = {bias.data(), 1, Out, Out, 1};
    gemm(context, as_matrix(guidance), Matrix<T const>{weight.data() + In, Out, Guide, In + Guide, 1}.transposed(),
         as_matrix(y), epilogue);
    return y;
  }

  /// x: [M, In], projected: [R, Out] of project_guidance -> [M, Out]; row m is guided by row (m / divisor) % R.
  template <execution_context C, class V, class G>
  auto operator()(C const& context, V const& x, G const& projected, std::size_t divisor = 1) const {
    auto y = context.template tensor<float>(x.extent(0), Out);
    auto const linear_map = map(projected, divisor);
    gemm(context, as_matrix(x), linear_map.weight.transposed(), as_matrix(y), linear_map.epilogue());
    return y;
  }

  /// For kernels that apply several layers at once; projected and divisor as above.
  template <class G>
  LinearMap<T> map(G const& projected, std::size_t divisor = 1) const {
    return {{weight.data(), Out, In, In + Guide, 1}, {projected.data(), projected.extent(0), Out, Out, 1}, divisor};
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "weight", weight, ParameterRole::weight);
    f(prefix + "bias", bias, ParameterRole::bias);
  }
};

}  // namespace kovos
