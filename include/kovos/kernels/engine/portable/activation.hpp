// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/portable/activated.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/problem/activation.hpp"

namespace kovos::engine {

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ActivateInto const& p) {
  auto const c = p.c;
  auto const residual = p.residual;
  detail::for_each_index(
      context, "kovos::activate_into", c.rows * c.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / c.columns, j = index % c.columns;
        float const r = residual.data ? residual.data[i * residual.row_stride + j * residual.column_stride] : 0.0f;
        c.data[i * c.row_stride + j * c.column_stride] = detail::activated(p.z[index], p.activation) + r;
      });
}

template <class Exec>
void run(Portable, Context<Exec> const& context, problem::ActivationGradient const& p) {
  detail::for_each_index(
      context, "kovos::activation_gradient", p.rows * p.columns, KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const i = index / p.columns, j = index % p.columns;
        p.dz[index] = p.dy[i * p.dy_stride + j] * detail::activation_slope(p.z[index], p.activation);
      });
}

}  // namespace kovos::engine
