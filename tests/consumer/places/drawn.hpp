// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kovos/io/named_tensors.hpp"
#include "kovos/nn/parameter.hpp"

namespace places {

/// Drawn values for all parameters of a module.
template <class Module>
kovos::NamedTensors drawn() {
  kovos::NamedTensors file;
  std::mt19937 generator(1);
  auto const add = [&]<class Memory, std::size_t... E>(std::string const& name,
                                                       kovos::Parameter<float, Memory, E...> const& parameter,
                                                       kovos::ParameterRole role) {
    auto const values = std::make_shared<std::vector<float>>(parameter.extents().size());
    std::normal_distribution<float> normal(role == kovos::ParameterRole::norm_weight ? 1.0f : 0.0f, 0.1f);
    for (auto& value : *values) value = normal(generator);
    kovos::TensorBytes tensor;
    tensor.shape = {E...};
    tensor.bytes = std::as_bytes(std::span(*values));
    tensor.owner = values;
    file.tensors.emplace(name, tensor);
  };
  Module const module{};
  kovos::for_each_parameter(module, add);
  return file;
}

}  // namespace places
