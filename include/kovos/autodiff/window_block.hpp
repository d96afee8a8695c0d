// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/attention.hpp"
#include "kovos/autodiff/gemm.hpp"
#include "kovos/autodiff/pre_norm.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/window_block.hpp"

namespace kovos {

/// In a tape blocks of windows are read row by row.
template <class Exec, Recompute Policy>
DynamicTensor<float, 2, typename Exec::memory_space> window_block_addends(
    Tape<Exec, Policy> const&, DynamicTensor<float, 4, typename Exec::memory_space> const& map, std::size_t,
    std::size_t) {
  return map.reshape(dynamic_extents<2>(map.size() / map.extent(3), map.extent(3)));
}

/// window_block with gradients: layer by layer, not in place.
template <class Exec, Recompute Policy, class Norm, class T>
DynamicTensor<float, 4, typename Exec::memory_space> window_block(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    WindowBlock<Norm, T> const& block, std::size_t window, std::size_t shift) {
  detail::check_window_block(x, block, window, shift);
  return detail::window_block_by_layers(tape, x, block, window, shift);
}

}  // namespace kovos
