// expect: kovos::gemm: the result matrix must be writable
// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/gemm.hpp"

void use(kovos::Context<> const& context, kovos::Matrix<float const> const& a) { kovos::gemm(context, a, a, a); }
