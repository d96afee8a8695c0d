// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// y = exp(x - max) / sum(exp(x - max)) over the last axis. x: [..., C] -> [..., C].
template <class Exec, class Shape>
Tensor<float, Shape, typename Exec::memory_space> softmax(Context<Exec> const& context,
                                                          Tensor<float, Shape, typename Exec::memory_space> const& x) {
  auto y = context.workspace().template tensor<float>(x.extents());
  if (x.size() == 0) return y;
  std::size_t const c = x.extent(Shape::rank() - 1);
  auto const* const from = x.data();
  auto* const to = y.data();
  detail::for_each_index(
      context, "kovos::softmax", x.size() / c, KOKKOS_LAMBDA(std::size_t row) {
        float const* const p = from + row * c;
        float top = p[0];
        for (std::size_t i = 1; i < c; ++i) top = p[i] > top ? p[i] : top;
        float sum = 0;
        for (std::size_t i = 0; i < c; ++i) {
          float const e = Kokkos::exp(p[i] - top);
          to[row * c + i] = e;
          sum += e;
        }
        for (std::size_t i = 0; i < c; ++i) to[row * c + i] /= sum;
      });
  return y;
}

}  // namespace kovos
