// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/transpose.hpp"

namespace kovos::engine {

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::Permute<T> const& p) {
  detail::for_each_index(
      context, "kovos::permute", p.size, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t rest = index, from = 0;
        for (std::size_t i = p.axes; i-- > 0;) {
          from += rest % p.extents[i] * p.strides[i];
          rest /= p.extents[i];
        }
        p.y[index] = p.x[from];
      });
}

}  // namespace kovos::engine
