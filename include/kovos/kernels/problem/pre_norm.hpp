// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/problem/linear_map.hpp"

namespace kovos::problem {

/// The layer normalisation that a block begins with. weight, bias: one for each channel.
struct Norm {
  float const* weight = nullptr;
  float const* bias = nullptr;
  float epsilon = 0;
};

/// y[i] = maps[i](norm(x)). x: [rows, c], y[i]: [rows, Out of maps[i]]. T: what weights consist of, float or bf16. The
/// lists are on the host and read before run returns.
template <class T>
struct NormLinear {
  float const* x = nullptr;
  std::size_t rows = 0, c = 0;
  Norm norm;
  std::span<LinearMap<T> const> maps;
  std::span<float* const> y;
};

/// x += second(activation(first(norm(x)))). x: [rows, c].
template <class T>
struct NormMlp {
  float* x = nullptr;
  std::size_t rows = 0, c = 0;
  Norm norm;
  LinearMap<T> first;
  Activation activation = Activation::none;
  LinearMap<T> second;
};

}  // namespace kovos::problem
