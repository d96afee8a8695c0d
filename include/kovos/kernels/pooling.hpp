// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// Means of non-overlapping k x k blocks; rows and columns that do not fill a block are dropped, as torch's AvgPool2d
/// does. x: [N, H, W, C] -> [N, floor(H / k), floor(W / k), C]; k = 1 returns x itself.
/// Throws ShapeError if not even one block fits.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> average_pool2d(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t k) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  require<ShapeError>(k > 0 && k <= height && k <= width, "[average_pool2d] blocks of ", k, " x ", k,
                      " do not fit a map of ", height, " x ", width);
  if (k == 1) return x;
  std::size_t const rows = height / k, columns = width / k;
  auto y = context.template tensor<float>(n, rows, columns, c);
  auto const* const from = x.data();
  auto* const to = y.data();
  float const factor = 1.0f / static_cast<float>(k * k);
  detail::for_each_index(
      context, "kovos::average_pool2d", y.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const channel = index % c;
        std::size_t const column = index / c % columns;
        std::size_t const row = index / c / columns % rows;
        std::size_t const first = index / c / columns / rows * height + row * k;  // over the rows of all samples
        float sum = 0;
        for (std::size_t i = 0; i < k; ++i)
          for (std::size_t j = 0; j < k; ++j) sum += from[((first + i) * width + column * k + j) * c + channel];
        to[index] = sum * factor;
      });
  return y;
}

}  // namespace kovos
