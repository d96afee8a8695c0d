// expect: kovos::conv2d: weight must be [O, C, kh, kw]
// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/convolution.hpp"

void use(kovos::Context<> const& context, kovos::DynamicTensor<float, 4> const& x,
         kovos::DynamicTensor<float, 2> const& weight, kovos::DynamicTensor<float, 1> const& bias) {
  kovos::conv2d(context, x, weight, bias);
}
