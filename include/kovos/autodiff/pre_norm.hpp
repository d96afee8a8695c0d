// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/autodiff/elementwise.hpp"
#include "kovos/autodiff/gemm.hpp"
#include "kovos/autodiff/normalization.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/pre_norm.hpp"

namespace kovos {

/// norm_mlp with gradients: layer by layer, not in place.
template <class Exec, Recompute Policy, class V, class W, class B, class T>
V norm_mlp(Tape<Exec, Policy> const& tape, V const& x, NormParameters<W, B> const& norm, LinearMap<T> const& first,
           Activation activation, LinearMap<T> const& second, float epsilon = 1e-5f) {
  detail::check_norm_mlp(x, norm, first, second);
  V const y = tape.template tensor<float>(x.extent(0), x.extent(1));
  detail::norm_mlp_by_layers(tape, x, y, norm, first, activation, second, epsilon);
  return y;
}

}  // namespace kovos
