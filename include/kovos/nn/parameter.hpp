// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/tensor.hpp"

namespace kovos {

/// What a parameter is to its layer. What it starts from and whether it decays follow from this, never from its name.
enum class ParameterRole : std::uint8_t {
  weight,            ///< of a linear layer or a convolution; all axes but the first are what PyTorch calls fan-in
  bias,              ///< of such a layer, visited after its weight
  attention_weight,  ///< inside a pre-norm transformer block of CLIP: queries, keys, values
  hidden_weight,     ///< there: into the hidden layer of the perceptron
  residual_weight,   ///< there: what is added to the block's input
  block_bias,        ///< there: of all of these
  projection,        ///< a matrix [In, Out] that has no bias
  norm_weight,       ///< factor of a normalisation
  norm_bias,         ///< addend of a normalisation
  running_mean,      ///< of a batch normalisation: measured, not trained
  running_variance,  ///< likewise
  embedding,         ///< a table of vectors, one for each token of text
  word_positions,    ///< added to these
  patch_positions,   ///< added to the patches of a picture and to the class token
  class_token,       ///< a vector beside the patches
  padding,           ///< a vector in the place of classes that there are not
  logit_scale,       ///< the logarithm of CLIP's inverse temperature
};

/// Whether it is a matrix that inputs are multiplied by.
constexpr bool is_matrix(ParameterRole role) {
  using enum ParameterRole;
  return role == weight || role == attention_weight || role == hidden_weight || role == residual_weight ||
         role == projection;
}
constexpr bool is_norm(ParameterRole role) {
  return role == ParameterRole::norm_weight || role == ParameterRole::norm_bias;
}
/// Whether it is measured while others are trained.
constexpr bool is_statistic(ParameterRole role) {
  return role == ParameterRole::running_mean || role == ParameterRole::running_variance;
}

/// A named tensor of a layer with the extents of the official checkpoint, read-only during inference. Empty until a
/// checkpoint is loaded. T is the storage type (float or bf16).
template <class T, class Memory, std::size_t... E>
class Parameter : public Tensor<T const, Extents<E...>, Memory> {
  static_assert(is_model_scalar<T>, "kovos::Parameter: the scalar type must be float or kovos::bf16");

 public:
  using tensor_type = Tensor<T const, Extents<E...>, Memory>;

  Parameter() = default;

  /// Takes over the memory of a tensor of the same extents; shares it, copies nothing.
  Parameter& operator=(tensor_type value) {
    static_cast<tensor_type&>(*this) = std::move(value);
    trained_ = false;
    return *this;
  }

  /// The same for memory in which an optimiser goes on writing: no context keeps what it makes of it.
  void train_in(tensor_type value) {
    *this = std::move(value);
    trained_ = true;
  }
  bool is_trained() const { return trained_; }

 private:
  bool trained_ = false;
};

/// The modules of a `ModuleList`, visited as "0.", "1.", ... as PyTorch names them.
template <class Modules, class F>
void visit_list(Modules const& modules, F& f, std::string const& prefix) {
  std::size_t i = 0;
  for (auto const& element : modules) element.visit(f, prefix + std::to_string(i++) + ".");
}

/// f(name, parameter, role), or f(name, parameter), for each parameter of a module under its official name; those of a
/// module that is not const may be given values. Every module has `visit(f, prefix) const`, which calls f(name,
/// parameter, role) for its parameters, members of its own, and visits the modules inside it.
template <class Module, class F>
void for_each_parameter(Module& network, F&& f) {
  auto give = [&]<class T, class Memory, std::size_t... E>(
                  std::string const& name, Parameter<T, Memory, E...> const& parameter, ParameterRole role) {
    // Members of an object that is not const are not.
    using P = std::conditional_t<std::is_const_v<Module>, Parameter<T, Memory, E...> const, Parameter<T, Memory, E...>>;
    auto& own = const_cast<P&>(parameter);
    if constexpr (std::is_invocable_v<F&, std::string const&, P&, ParameterRole>) f(name, own, role);
    else f(name, own);
  };
  network.visit(give, "");
}

/// Says that the parameters of a module do not change any more, so that a context may keep what it makes of them
/// (PackedOperands); without it they are packed again at every product. Leaves out those that are trained.
template <class C, class Module>
void declare_constant(C const& context, Module const& network) {
  for_each_parameter(network, [&](std::string const&, auto const& parameter) {
    if (parameter.is_trained()) return;
    context.packed().declare_constant(parameter.data(), parameter.size() * sizeof(*parameter.data()),
                                      parameter.owner());
  });
}

/// Number of scalar parameters of a module.
template <class Module>
std::size_t count_parameters(Module const& network) {
  std::size_t count = 0;
  for_each_parameter(network, [&](std::string const&, auto const& parameter) { count += parameter.extents().size(); });
  return count;
}

}  // namespace kovos
