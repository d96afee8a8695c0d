// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/dtype.hpp"
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

namespace detail {
/// What tells one type of parameters from another.
struct ParameterType {
  struct Values {
    void const* data;
    std::shared_ptr<void const> const& owner;
    bool trained;
  };
  DType dtype;
  std::span<std::size_t const> shape;
  std::size_t size;
  Values (*read)(void const* parameter);
  void (*write)(void* parameter, void const* data, std::shared_ptr<void const> owner, bool trained);
};

template <class T, class Memory, std::size_t... E>
struct ParameterTypeOf {
  using P = Parameter<T, Memory, E...>;
  static constexpr std::array<std::size_t, sizeof...(E)> shape{E...};

  static ParameterType::Values read(void const* parameter) {
    auto const& p = *static_cast<P const*>(parameter);
    return {p.data(), p.owner(), p.is_trained()};
  }
  static void write(void* parameter, void const* data, std::shared_ptr<void const> owner, bool trained) {
    typename P::tensor_type tensor(static_cast<T const*>(data), Extents<E...>{}, std::move(owner));
    if (trained) static_cast<P*>(parameter)->train_in(std::move(tensor));
    else *static_cast<P*>(parameter) = std::move(tensor);
  }
  static constexpr ParameterType type{std::is_same_v<T, float> ? DType::f32 : DType::bf16, shape,
                                      (E * ... * std::size_t{1}), read, write};
};
}  // namespace detail

/// A parameter of any extents and scalar type, with its name and role. Valid while the module is.
class ConstParameterReference {
 public:
  /// parameter: of that type.
  ConstParameterReference(std::string name, detail::ParameterType const& type, void* parameter, ParameterRole role)
      : name_(std::move(name)), role_(role), type_(&type), parameter_(parameter) {}

  std::string const& name() const { return name_; }
  ParameterRole role() const { return role_; }
  DType dtype() const { return type_->dtype; }  ///< f32 or bf16
  std::span<std::size_t const> shape() const { return type_->shape; }
  std::size_t size() const { return type_->size; }  ///< elements
  std::size_t size_in_bytes() const { return size() * size_of(dtype()); }
  void const* data() const { return type_->read(parameter_).data; }
  bool empty() const { return data() == nullptr; }
  std::shared_ptr<void const> const& owner() const { return type_->read(parameter_).owner; }
  bool is_trained() const { return type_->read(parameter_).trained; }

  /// All elements, of the type that dtype() says, in the module's memory. Shares it.
  template <class T, class Memory>
  Tensor<T const, dynamic_extents<1>, Memory> flat() const {
    return {static_cast<T const*>(data()), dynamic_extents<1>{size()}, owner()};
  }

 protected:
  std::string name_;
  ParameterRole role_;
  detail::ParameterType const* type_;
  void* parameter_;
};

/// One that may be given values.
class ParameterReference : public ConstParameterReference {
 public:
  using ConstParameterReference::ConstParameterReference;

  /// Takes over the memory of size() elements of the type that dtype() says; shares it.
  template <class T, class Memory>
  void give(Tensor<T, dynamic_extents<1>, Memory> const& values) const {
    write(values, false);
  }
  /// The same for memory in which an optimiser goes on writing.
  template <class T, class Memory>
  void train_in(Tensor<T, dynamic_extents<1>, Memory> const& values) const {
    write(values, true);
  }

 private:
  template <class Values>
  void write(Values const& values, bool trained) const {
    constexpr DType given = std::is_same_v<typename Values::value_type, float> ? DType::f32 : DType::bf16;
    require<ShapeError>(given == dtype() && values.size() == size(), "[Parameter] ", name_, " takes ", size(),
                        " elements of ", name_of(dtype()), ", got ", values.size(), " of ", name_of(given));
    type_->write(parameter_, values.data(), values.owner(), trained);
  }
};

namespace detail {
/// What modules are visited by: one type, so that each module's `visit` is compiled once for all who ask.
class ParameterCollector {
 public:
  explicit ParameterCollector(std::vector<ParameterReference>& list) : list_(&list) {}

  template <class T, class Memory, std::size_t... E>
  void operator()(std::string name, Parameter<T, Memory, E...> const& parameter, ParameterRole role) {
    add(std::move(name), ParameterTypeOf<T, Memory, E...>::type, &parameter, role);
  }

 private:
  KOVOS_COLD void add(std::string name, ParameterType const& type, void const* parameter, ParameterRole role) {
    list_->emplace_back(std::move(name), type, const_cast<void*>(parameter), role);
  }

  std::vector<ParameterReference>* list_;
};
}  // namespace detail

/// All parameters of a module under their official names, in the order of `visit`. What works on these is compiled once
/// and not for each choice of extents, as with for_each_parameter.
template <class Module>
requires(!std::is_const_v<Module>) std::vector<ParameterReference> parameters_of(Module& network) {
  std::vector<ParameterReference> list;
  detail::ParameterCollector collect(list);
  network.visit(collect, "");
  return list;
}

/// The same of a module that is const.
template <class Module>
std::vector<ConstParameterReference> parameters_of(Module const& network) {
  std::vector<ParameterReference> list;
  detail::ParameterCollector collect(list);
  network.visit(collect, "");
  return {list.begin(), list.end()};
}

/// Says that the parameters of a module do not change any more, so that a context may keep what it makes of them
/// (PackedOperands); without it they are packed again at every product. Leaves out those that are trained.
template <class C, class Module>
void declare_constant(C const& context, Module const& network) {
  for (auto const& parameter : parameters_of(network))
    if (!parameter.is_trained())
      context.packed().declare_constant(parameter.data(), parameter.size_in_bytes(), parameter.owner());
}

/// Number of scalar parameters of a module.
template <class Module>
std::size_t count_parameters(Module const& network) {
  std::size_t count = 0;
  for (auto const& parameter : parameters_of(network)) count += parameter.size();
  return count;
}

}  // namespace kovos
