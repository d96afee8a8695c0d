// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/norm_attention.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/pre_norm.hpp"
#include "kovos/kernels/problem/window_block.hpp"
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
  check_norm_attention("window_block", c, block.norm_1, block.maps);
  check_norm_mlp("window_block", c, block.norm_2, block.first, block.second);
  for (auto const* const map : {&block.maps.q, &block.maps.k})
    require<ShapeError>(map->addend.rows <= 1 || map->addend.rows == pixels, "[window_block] the addend has ",
                        map->addend.rows, " rows, expected one, or one for each of ", pixels, " pixels");
}

}  // namespace detail

/// A vector for each pixel of a map as an addend of window_block's queries or keys: in the order in which it reads
/// them, window by window. map: [N, H, W, C] -> [N * H * W, C]; the rows of a sample stay together.
/// Throws ShapeError if window does not divide H and W or shift >= window.
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> window_block_addends(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& map, std::size_t window,
    std::size_t shift) {
  return window_partition(context, map, window, shift)
      .reshape(dynamic_extents<2>(map.extent(0) * map.extent(1) * map.extent(2), map.extent(3)));
}

/// Takes each sample through a block of windows, cut after a cyclic shift by (-shift, -shift) as in window_attention.
/// x: [N, H, W, C], overwritten and returned; the addends of q and k: one row, or [H * W, C] of window_block_addends
/// with the same window and shift, the same for every sample; epsilon: that of both norms. Throws ShapeError if the
/// extents disagree, window does not divide H and W, or shift >= window.
template <class Exec, class Norm, class T>
DynamicTensor<float, 4, typename Exec::memory_space> window_block(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    WindowBlock<Norm, T> const& block, std::size_t window, std::size_t shift, float epsilon = 1e-5f) {
  detail::check_window_block(x, block, window, shift);
  detail::require_engine_for_products(context);
  if (x.size() == 0) return x;
  std::size_t const height = x.extent(1), width = x.extent(2), c = x.extent(3);
  auto const regions = detail::regions_if_shifted(context, height, width, window, shift);
  auto const w1 = detail::as_float(context, block.norm_1.weight), b1 = detail::as_float(context, block.norm_1.bias);
  auto const w2 = detail::as_float(context, block.norm_2.weight), b2 = detail::as_float(context, block.norm_2.bias);
  problem::WindowBlock<T> p;
  p.x = x.data();
  p.windows = {x.extent(0), height, width, c, window, shift};
  p.heads = block.heads;
  p.norm_1 = {w1.data(), b1.data(), epsilon};
  p.maps = block.maps;
  p.norm_2 = {w2.data(), b2.data(), epsilon};
  p.first = block.first;
  p.activation = block.activation;
  p.second = block.second;
  p.scale = detail::attention_scale(c / block.heads);
  p.regions = regions.data();
  detail::solve(context, p);
  return x;
}

}  // namespace kovos
