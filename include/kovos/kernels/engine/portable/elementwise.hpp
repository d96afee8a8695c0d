// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos::engine {

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::Widen<T> const& p) {
  detail::for_each_index(
      context, "kovos::widen", p.count, KOKKOS_LAMBDA(std::size_t i) { p.y[i] = static_cast<float>(p.x[i]); });
}

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::Activate<T> const& p) {
  detail::for_each_index(
      context, "kovos::activate", p.count, KOKKOS_LAMBDA(std::size_t i) {
        p.x[i] = static_cast<T>(detail::activated(static_cast<accumulate_t<T>>(p.x[i]), p.activation));
      });
}

}  // namespace kovos::engine
