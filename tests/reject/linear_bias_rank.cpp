// expect: kovos::linear: bias must be a vector [Out]
// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/gemm.hpp"

void use(kovos::Context<> const& context, kovos::DynamicTensor<float, 2> const& x,
         kovos::DynamicTensor<float, 2> const& weight) {
  kovos::linear(context, x, weight, weight);
}
