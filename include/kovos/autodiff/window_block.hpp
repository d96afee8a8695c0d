// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>

#include "kovos/autodiff/attention.hpp"
#include "kovos/autodiff/gemm.hpp"
#include "kovos/autodiff/pre_norm.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/window_block.hpp"

namespace kovos {

/// In a tape blocks of windows are read row by row.
template <class Exec, Recompute Policy>
DynamicTensor<float, 2, typename Exec::memory_space> window_block_addends(
    Tape<Exec, Policy> const&, DynamicTensor<float, 4, typename Exec::memory_space> const& map, std::size_t,
    std::size_t) {
  return map.reshape(dynamic_extents<2>(map.size() / map.extent(3), map.extent(3)));
}

/// window_block with gradients: layer by layer; x is kept, not overwritten.
template <class Exec, Recompute Policy, class Norm, class T>
DynamicTensor<float, 4, typename Exec::memory_space> window_block(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    WindowBlock<Norm, T> const& block, std::size_t window, std::size_t shift, float epsilon = 1e-5f) {
  detail::check_window_block(x, block, window, shift);
  auto const rows = x.reshape(dynamic_extents<2>(x.size() / x.extent(3), x.extent(3)));
  auto const [q, k, v] =
      norm_linear(tape, rows, block.norm_1, std::array{block.maps.q, block.maps.k, block.maps.v}, epsilon);
  auto const attended = window_attention(tape, q.reshape(x.extents()), k.reshape(x.extents()), v.reshape(x.extents()),
                                         block.heads, window, shift);
  auto const y = tape.template tensor<float>(rows.extent(0), rows.extent(1));
  auto e = block.maps.out.epilogue();
  e.residual = as_matrix(rows);
  gemm(tape, as_matrix(attended), block.maps.out.weight.transposed(), as_matrix(y), e);
  return norm_mlp(tape, y, block.norm_2, block.first, block.activation, block.second, epsilon).reshape(x.extents());
}

}  // namespace kovos
