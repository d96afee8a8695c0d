// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/select.hpp"

namespace kovos {

/// Means of non-overlapping k x k blocks. x: [N, H, W, C] -> [N, H / k, W / k, C]; k = 1 returns x itself.
/// Throws ShapeError if k does not divide H and W.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> average_pool2d(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t k) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  require<ShapeError>(k > 0 && height % k == 0 && width % k == 0, "[average_pool2d] blocks of ", k, " x ", k,
                      " do not tile a map of ", height, " x ", width);
  if (k == 1) return x;
  auto y = context.template tensor<float>(n, height / k, width / k, c);
  auto const* const from = x.data();
  auto* const to = y.data();
  float const factor = 1.0f / static_cast<float>(k * k);
  detail::for_each_index(
      context, "kovos::average_pool2d", y.size(), KOKKOS_LAMBDA(std::size_t index) {
        std::size_t const channel = index % c;
        std::size_t const column = index / c % (width / k);
        std::size_t const row = index / c / (width / k);  // over all samples: k divides height
        float sum = 0;
        for (std::size_t i = 0; i < k; ++i)
          for (std::size_t j = 0; j < k; ++j) sum += from[((row * k + i) * width + column * k + j) * c + channel];
        to[index] = sum * factor;
      });
  return y;
}

}  // namespace kovos
