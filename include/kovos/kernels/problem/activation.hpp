// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/problem/gemm.hpp"

namespace kovos::problem {

/// c = activation(z) + residual. z: contiguous, as large as c; the residual may be c itself, or have no data.
struct ActivateInto {
  float const* z = nullptr;
  Matrix<float> c;
  Activation activation = Activation::none;
  Matrix<float const> residual;
};

/// dz = dy activation'(z). z, dz: contiguous [rows, columns], dy: rows of dy_stride floats.
struct ActivationGradient {
  float const* z = nullptr;
  float const* dy = nullptr;
  float* dz = nullptr;
  std::size_t rows = 0, columns = 0, dy_stride = 0;
  Activation activation = Activation::none;
};

}  // namespace kovos::problem
