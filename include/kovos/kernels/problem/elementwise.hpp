// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos::problem {

/// y[i] = x[i] as float for i < count. T: float or bf16.
template <class T>
struct Widen {
  T const* x = nullptr;
  float* y = nullptr;
  std::size_t count = 0;
};

/// x[i] = activation(x[i]) for i < count.
template <class T>
struct Activate {
  T* x = nullptr;
  std::size_t count = 0;
  Activation activation = Activation::none;
};

}  // namespace kovos::problem
