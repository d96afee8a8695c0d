// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/problem/gemm.hpp"

namespace kovos {

/// y = x weight^T + addend[(row / row_divisor) % addend.rows]: a linear layer, whose bias may differ from row to row.
template <class T>
struct LinearMap {
  Matrix<T const> weight;      // [Out, In]
  Matrix<float const> addend;  // [R, Out]; a bias is one row
  std::size_t row_divisor = 1;

  Epilogue epilogue() const {
    Epilogue e;
    e.addend = addend;
    e.row_divisor = row_divisor;
    return e;
  }
};

}  // namespace kovos
