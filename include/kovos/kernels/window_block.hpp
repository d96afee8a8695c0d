// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/norm_attention.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/window.hpp"

namespace kovos {

/// A pre-norm block whose attention stays inside windows: x += out(attention(q(n), k(n), v(n))) with n = norm_1(x),
/// then x += second(activation(first(norm_2(x)))). Norm: NormParameters.
template <class Norm, class T>
struct WindowBlock {
  Norm norm_1;
  AttentionMaps<T> maps;  // the addends of q and k may differ from pixel to pixel: window_block_addends
  std::size_t heads;
  Norm norm_2;
  LinearMap<T> first;
  Activation activation;
  LinearMap<T> second;
};

namespace detail {

template <class V, class Norm, class T>
void check_window_block(V const& x, WindowBlock<Norm, T> const& block, std::size_t window, std::size_t shift) {
  std::size_t const pixels = x.extent(1) * x.extent(2), c = x.extent(3);
  check_window("window_block", x.extent(1), x.extent(2), window, shift);
  check_heads("window_block", c, block.heads);
  for (auto const* const map : {&block.maps.q, &block.maps.k})
    require<ShapeError>(map->addend.rows <= 1 || map->addend.rows == pixels, "[window_block] the addend has ",
                        map->addend.rows, " rows, expected one, or one for each of ", pixels, " pixels");
}

/// window_block, layer by layer over all windows.
template <execution_context C, class V, class Norm, class T>
V window_block_by_layers(C const& context, V const& x, WindowBlock<Norm, T> const& block, std::size_t window,
                         std::size_t shift) {
  auto const rows = x.reshape(dynamic_extents<2>(x.size() / x.extent(3), x.extent(3)));
  auto const [q, k, v] = norm_linear(context, rows, block.norm_1, std::array{block.maps.q, block.maps.k, block.maps.v});
  auto const attended = window_attention(context, q.reshape(x.extents()), k.reshape(x.extents()),
                                         v.reshape(x.extents()), block.heads, window, shift);
  auto const y = context.template tensor<float>(rows.extent(0), rows.extent(1));
  auto e = block.maps.out.epilogue();
  e.residual = as_matrix(rows);
  gemm(context, as_matrix(attended), block.maps.out.weight.transposed(), as_matrix(y), e);
  return norm_mlp(context, y, block.norm_2, block.first, block.activation, block.second).reshape(x.extents());
}

/// Whether window_block takes one window after the other through all of its layers.
template <class Exec>
bool works_by_windows(Context<Exec> const& context) {
  return is_host_execution<Exec> && uses_host_engine(context);
}

/// window_block, window by window: none sees anything of the others, so each goes through all layers on one core, in
/// its cache.
template <class Exec, class V, class Norm, class T>
void window_block_by_windows(Context<Exec> const& context, V const& x, WindowBlock<Norm, T> const& block,
                             std::size_t window, std::size_t shift) {
  for_each_window(
      context, x, window, shift, [&](Context<Exec> const& c, auto const& rows, auto const& regions, std::size_t w) {
        auto const of_window = [&](LinearMap<T> map) {
          if (map.addend.rows <= 1) return map;
          map.addend.rows = rows.extent(0);
          map.addend.data += w * rows.extent(0) * map.addend.row_stride;
          return map;
        };
        AttentionMaps<T> const maps{of_window(block.maps.q), of_window(block.maps.k), block.maps.v, block.maps.out};
        auto const y = norm_attention(c, rows.reshape(dynamic_extents<3>(1, rows.extent(0), rows.extent(1))),
                                      block.norm_1, maps, block.heads, regions);
        return norm_mlp(c, y.reshape(rows.extents()), block.norm_2, block.first, block.activation, block.second);
      });
}

}  // namespace detail

/// A vector for each pixel of a map as an addend of window_block's queries or keys: in the order in which it reads
/// them, row by row or window by window. map: [N, H, W, C] -> [N * H * W, C]; the rows of a sample stay together.
/// Throws ShapeError if window does not divide H and W or shift >= window.
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> window_block_addends(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& map, std::size_t window,
    std::size_t shift) {
  dynamic_extents<2> const rows(map.size() / map.extent(3), map.extent(3));
  if (detail::works_by_windows(context)) return window_partition(context, map, window, shift).reshape(rows);
  return map.reshape(rows);
}

/// Takes each sample through a block of windows, cut after a cyclic shift by (-shift, -shift) as in window_attention.
/// x: [N, H, W, C], overwritten where the context allows it; the addends of q and k: one row, or [H * W, C] of
/// window_block_addends with the same window and shift, the same for every sample -> [N, H, W, C].
/// Throws ShapeError if the extents disagree, window does not divide H and W, or shift >= window.
template <class Exec, class Norm, class T>
DynamicTensor<float, 4, typename Exec::memory_space> window_block(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    WindowBlock<Norm, T> const& block, std::size_t window, std::size_t shift) {
  detail::check_window_block(x, block, window, shift);
  if constexpr (is_host_execution<Exec>)
    if (detail::works_by_windows(context)) {
      detail::window_block_by_windows(context, x, block, window, shift);
      return x;
    }
  return detail::window_block_by_layers(context, x, block, window, shift);
}

}  // namespace kovos
