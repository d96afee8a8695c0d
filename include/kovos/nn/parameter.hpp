// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/core/tensor.hpp"

namespace kovos {

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
void visit_list(Modules& modules, F& f, std::string const& prefix) {
  std::size_t i = 0;
  for (auto& module : modules) module.visit(f, prefix + std::to_string(i++) + ".");
}

/// Says that the parameters of a module do not change any more, so that a context may keep what it makes of them
/// (PackedOperands); without it they are packed again at every product. Leaves out those that are trained.
template <class C, class Module>
void declare_constant(C const& context, Module& network) {
  auto const declare = [&](std::string const&, auto const& parameter) {
    if (parameter.is_trained()) return;
    context.packed().declare_constant(parameter.data(), parameter.size() * sizeof(*parameter.data()),
                                      parameter.owner());
  };
  network.visit(declare, "");
}

/// Number of scalar parameters of a module. Every module has `visit(f, prefix)`, which calls f(name, parameter) for
/// each of its parameters under its official name.
template <class Module>
std::size_t count_parameters(Module network) {
  std::size_t count = 0;
  auto add = [&](std::string const&, auto& parameter) { count += parameter.extents().size(); };
  network.visit(add, "");
  return count;
}

}  // namespace kovos
