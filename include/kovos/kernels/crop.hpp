// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/crop.hpp"

namespace kovos {

/// The height x width pixels whose corner is (top, left); what lies outside x is zero.
/// x: [N, H, W, C] -> [N, height, width, C].
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> crop(Context<Exec> const& context,
                                                          DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                                                          std::size_t top, std::size_t left, std::size_t height,
                                                          std::size_t width) {
  auto y = context.template tensor<float>(x.extent(0), height, width, x.extent(3));
  detail::solve(context, problem::Crop{x.data(), y.data(), x.extent(0), x.extent(1), x.extent(2), x.extent(3), top,
                                       left, height, width});
  return y;
}

}  // namespace kovos
