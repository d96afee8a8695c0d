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

/// d activation(z) / dz.
template <class T>
KOKKOS_INLINE_FUNCTION T activation_slope(T z, Activation activation) {
  switch (activation) {
    case Activation::none:
      return T(1);
    case Activation::relu:
      return z > T(0) ? T(1) : T(0);
    case Activation::gelu:
      return T(0.5) * (T(1) + Kokkos::erf(z * T(0.70710678118654752440))) +
             z * T(0.39894228040143267794) * Kokkos::exp(T(-0.5) * z * z);
    case Activation::quick_gelu: {
      T const s = T(1) / (T(1) + Kokkos::exp(T(-1.702) * z));
      return s * (T(1) + T(1.702) * z * (T(1) - s));
    }
    case Activation::sigmoid: {
      T const s = T(1) / (T(1) + Kokkos::exp(-z));
      return s * (T(1) - s);
    }
  }
  return T(1);
}

}  // namespace kovos::detail
