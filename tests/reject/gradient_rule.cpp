// expect: kovos::softmax has no gradient rule; run it in tape.context() where nothing watched flows through it
// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/rules.hpp"
#include "kovos/kernels/softmax.hpp"

auto use(kovos::Tape<> const& tape, kovos::DynamicTensor<float, 2> const& x,
         kovos::DynamicTensor<float, 1> const& gradient) {
  tape.watch(x, gradient);
  return kovos::softmax(tape, x);
}
