// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/problem/convolution.hpp"

namespace kovos {

namespace detail {

/// The problem of a convolution of x, without its result; the caller adds what else it has.
template <class Exec, class W>
problem::Convolution<typename W::value_type> convolution_of(
    DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight, std::size_t stride,
    std::size_t padding) {
  problem::Convolution<typename W::value_type> p;
  auto& s = p.shape;
  s.n = x.extent(0), s.height = x.extent(1), s.width = x.extent(2), s.c = x.extent(3);
  s.out_c = weight.extent(0), s.weight_c = weight.extent(1), s.kh = weight.extent(2), s.kw = weight.extent(3);
  s.stride = stride, s.padding = padding;
  require<ShapeError>(stride > 0, "[conv2d] the stride must be positive");
  require<ShapeError>(s.height + 2 * padding >= s.kh && s.width + 2 * padding >= s.kw, "[conv2d] a kernel of ", s.kh,
                      " x ", s.kw, " does not fit a map of ", s.height, " x ", s.width, " with padding ", padding);
  s.out_h = (s.height + 2 * padding - s.kh) / stride + 1;
  s.out_w = (s.width + 2 * padding - s.kw) / stride + 1;
  p.x = x.data();
  p.weight = weight.data();
  return p;
}

template <class Exec, class W>
DynamicTensor<float, 4, typename Exec::memory_space> convolve(Context<Exec> const& context, problem::Convolution<W> p) {
  auto y = context.template tensor<float>(p.shape.n, p.shape.out_h, p.shape.out_w, p.shape.out_c);
  p.y = y.data();
  if (y.size() > 0) solve(context, p);
  return y;
}

}  // namespace detail

/// 2-D convolution (cross-correlation, as PyTorch) of channels-last maps with zero padding.
/// x: [N, H, W, C], weight: [O, C, kh, kw], bias: [O] or empty -> [N, H', W', O] with
/// H' = (H + 2 padding - kh) / stride + 1. Throws ShapeError if the extents disagree or the kernel does not fit.
template <class Exec, class W, class B>
DynamicTensor<float, 4, typename Exec::memory_space> conv2d(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
    B const& bias, std::size_t stride = 1, std::size_t padding = 0, Activation activation = Activation::none) {
  static_assert(W::rank() == 4, "kovos::conv2d: weight must be [O, C, kh, kw]");
  require_extent("conv2d", "the last extent of x", x.extent(3), weight.extent(1));
  if (bias.data() != nullptr) require_extent("conv2d", "bias", bias.size(), weight.extent(0));
  auto const offset = detail::as_float(context, bias);
  auto p = detail::convolution_of<Exec>(x, weight, stride, padding);
  p.bias = offset.data();
  p.activation = activation;
  return detail::convolve(context, p);
}

/// What some of the input channels contribute to a convolution without bias: those of the weight from first_channel on.
/// shared: what the other channels contributed, the same for all samples, or empty. With the two a guidance that many
/// samples share is convolved once. x: [N, H, W, C'], weight: [O, C, kh, kw], shared: [1, H', W', O] ->
/// [N, H', W', O]. Throws ShapeError if the extents disagree.
template <class Exec, class W>
DynamicTensor<float, 4, typename Exec::memory_space> conv2d_part(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
    std::size_t first_channel, std::size_t padding,
    DynamicTensor<float, 4, typename Exec::memory_space> const& shared = {}) {
  static_assert(W::rank() == 4, "kovos::conv2d_part: weight must be [O, C, kh, kw]");
  require<ShapeError>(first_channel + x.extent(3) <= weight.extent(1), "[conv2d_part] ", x.extent(3), " channels from ",
                      first_channel, " on leave the weight's ", weight.extent(1));
  if (!shared.empty()) {
    require_extent("conv2d_part", "shared.extent(0)", shared.extent(0), 1);
    require_extent("conv2d_part", "shared.extent(1)", shared.extent(1),
                   x.extent(1) + 2 * padding + 1 - weight.extent(2));
    require_extent("conv2d_part", "shared.extent(2)", shared.extent(2),
                   x.extent(2) + 2 * padding + 1 - weight.extent(3));
    require_extent("conv2d_part", "shared.extent(3)", shared.extent(3), weight.extent(0));
  }
  auto p = detail::convolution_of<Exec>(x, weight, 1, padding);
  p.shape.first_channel = first_channel;
  p.shared = shared.data();
  return detail::convolve(context, p);
}

}  // namespace kovos
