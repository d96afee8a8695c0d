// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos::detail {

/// The portable definition of each Activation.
template <class T>
KOKKOS_INLINE_FUNCTION T activated(T x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x < T(0) ? T(0) : x;
    case Activation::gelu:
      return T(0.5) * x * (T(1) + Kokkos::erf(x * T(0.70710678118654752440)));
    case Activation::quick_gelu:
      return x / (T(1) + Kokkos::exp(T(-1.702) * x));
    case Activation::sigmoid:
      return T(1) / (T(1) + Kokkos::exp(-x));
  }
  return x;
}

}  // namespace kovos::detail
