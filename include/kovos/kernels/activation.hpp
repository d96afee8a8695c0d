// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

namespace detail {
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
}  // namespace detail

/// x = activation(x), elementwise, in place. Asynchronous on the context's instance.
template <class Exec, class T, class Shape>
void activate(Context<Exec> const& context, Tensor<T, Shape, typename Exec::memory_space> const& x,
              Activation activation) {
#ifdef KOVOS_HOST_ENGINE
  if constexpr (std::is_same_v<T, float> && is_host_execution<Exec>)
    if (detail::uses_host_engine(context)) {
      std::size_t const chunk = 16384;
      std::size_t const tasks = (x.size() + chunk - 1) / chunk;
      auto const& kernels = detail::best_host_kernels();
      detail::for_each_task(context, "kovos::activate", detail::workers(context, tasks), tasks,
                            [&](std::size_t task, std::size_t) {
                              std::size_t const first = task * chunk;
                              kernels.activate(x.data() + first, std::min(chunk, x.size() - first), activation);
                            });
      return;
    }
#endif
  auto* const data = x.data();
  detail::for_each_index(
      context, "kovos::activate", x.size(), KOKKOS_LAMBDA(std::size_t i) {
        data[i] = static_cast<T>(detail::activated(static_cast<accumulate_t<T>>(data[i]), activation));
      });
}

}  // namespace kovos
