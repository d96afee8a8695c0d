// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/normalization.hpp"

namespace kovos {

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias over the last axis, with the biased variance.
/// x: [..., C], weight, bias: [C] -> [..., C]. Ba, Kiros, Hinton 2016; epsilon 1e-5 as CLIP.
/// Throws ShapeError if the extents disagree.
template <class Exec, class Shape, class W, class B>
Tensor<float, Shape, typename Exec::memory_space> layer_norm(Context<Exec> const& context,
                                                             Tensor<float, Shape, typename Exec::memory_space> const& x,
                                                             W const& weight, B const& bias, float epsilon = 1e-5f) {
  std::size_t const c = x.extent(Shape::rank() - 1);
  require_extent("layer_norm", "weight", weight.size(), c);
  require_extent("layer_norm", "bias", bias.size(), c);
  auto y = context.workspace().template tensor<float>(x.extents());
  if (x.size() == 0) return y;
  auto const w = detail::as_float(context, weight);
  auto const b = detail::as_float(context, bias);
  detail::solve(context, problem::LayerNorm{x.data(), y.data(), w.data(), b.data(), x.size() / c, c, epsilon});
  return y;
}

/// Group normalisation of channels-last maps: mean and biased variance over all pixels and the C / groups channels of a
/// group, per sample; then weight, bias and, if asked, ReLU. Overwrites x and returns it.
/// x: [N, H, W, C], weight, bias: [C] -> [N, H, W, C]. Wu, He 2018; epsilon 1e-5 as PyTorch.
/// Throws ShapeError if the extents disagree or groups does not divide C.
template <class Exec, class W, class B>
DynamicTensor<float, 4, typename Exec::memory_space> group_norm(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t groups,
    W const& weight, B const& bias, bool relu = false, float epsilon = 1e-5f) {
  std::size_t const c = x.extent(3);
  std::size_t const pixels = x.extent(1) * x.extent(2);
  require<ShapeError>(groups > 0 && c % groups == 0, "[group_norm] ", groups, " groups do not divide ", c, " channels");
  require_extent("group_norm", "weight", weight.size(), c);
  require_extent("group_norm", "bias", bias.size(), c);
  if (x.size() == 0) return x;
  auto const w = detail::as_float(context, weight);
  auto const b = detail::as_float(context, bias);
  detail::solve(context,
                problem::GroupNorm{x.data(), w.data(), b.data(), x.extent(0), pixels, c, groups, relu, epsilon});
  return x;
}

/// y = x / max(norm(x), epsilon) over the last axis. x: [..., C] -> [..., C]. epsilon 1e-12 as torch's normalize.
template <class Exec, class Shape>
Tensor<float, Shape, typename Exec::memory_space> l2_normalize(
    Context<Exec> const& context, Tensor<float, Shape, typename Exec::memory_space> const& x, float epsilon = 1e-12f) {
  auto y = context.workspace().template tensor<float>(x.extents());
  if (x.size() == 0) return y;
  std::size_t const c = x.extent(Shape::rank() - 1);
  detail::solve(context, problem::L2Normalize{x.data(), y.data(), x.size() / c, c, epsilon});
  return y;
}

}  // namespace kovos
