// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/nn/linear.hpp"

namespace kovos::test {

/// Two linear layers, 4 -> 6 -> 16, and a parameter that rules can freeze.
template <class T = float, class Exec = Kokkos::DefaultExecutionSpace>
struct ToyNetwork {
  using Memory = typename Exec::memory_space;

  Linear<4, 6, T, Memory> fc1;
  Linear<6, 16, float, Memory> fc2;
  Parameter<float, Memory, 3> frozen;

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    fc1.visit(f, prefix + "fc1.");
    fc2.visit(f, prefix + "fc2.");
    f(prefix + "frozen", frozen, ParameterRole::weight);
  }
};

/// Gives every parameter of a network the values start, start + step, ... through all of them.
template <class Exec, class Network>
void count_up(Context<Exec> const& context, Network& network, float start, float step) {
  std::size_t count = 0;
  auto give = [&]<class T, class M, std::size_t... E>(std::string const&, Parameter<T, M, E...>& parameter) {
    Tensor<T, Extents<E...>> host{Extents<E...>{}};
    for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = T(start + step * static_cast<float>(count++));
    parameter = to_device(context, Tensor<T const, Extents<E...>>(host.data(), host.extents(), host.owner()));
  };
  for_each_parameter(network, give);
}

/// The values of a flat array from `offset`.
template <class Exec, class Flat>
std::vector<float> part(Context<Exec> const& context, Flat const& flat, std::size_t offset, std::size_t size) {
  auto const host = to_host(context, flat);
  return {host.data() + offset, host.data() + offset + size};
}
template <class Exec, class Flat>
std::vector<float> all(Context<Exec> const& context, Flat const& flat) {
  return part(context, flat, 0, flat.size());
}

/// Writes numbers into a flat array from `offset`.
template <class Exec, class Flat>
void put(Context<Exec> const& context, Flat const& flat, std::size_t offset, std::vector<float> const& values) {
  Tensor<float, dynamic_extents<1>> host(dynamic_extents<1>{values.size()});
  for (std::size_t i = 0; i < values.size(); ++i) host.data()[i] = values[i];
  assign(context, flat.slice(offset, values.size()), to_device(context, host));
  context.fence();
}

}  // namespace kovos::test
