// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/pooling.hpp"

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
  auto y = context.template tensor<float>(n, height / k, width / k, c);
  detail::solve(context, problem::AveragePool{x.data(), y.data(), n, height, width, c, k});
  return y;
}

}  // namespace kovos
