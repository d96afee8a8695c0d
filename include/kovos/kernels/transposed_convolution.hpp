// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/problem/transposed_convolution.hpp"

namespace kovos {

/// Transposed 2-D convolution whose stride equals its kernel, of channels-last maps: every input pixel becomes a k x k
/// block. x: [N, H, W, C], weight: [C, O, k, k] (PyTorch's layout), bias: [O] or empty, guidance: [N', k H, k W, G] or
/// empty with N a multiple of N' -> [N, k H, k W, O + G]. The guidance of sample n / (N / N') follows the O channels,
/// which saves the copy of a separate concatenation. Throws ShapeError if the extents disagree.
template <class Exec, class W, class B>
DynamicTensor<float, 4, typename Exec::memory_space> conv_transpose2d(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, W const& weight,
    B const& bias, DynamicTensor<float, 4, typename Exec::memory_space> const& guidance = {}) {
  static_assert(W::rank() == 4, "kovos::conv_transpose2d: weight must be [C, O, k, k]");
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_c = weight.extent(1), k = weight.extent(2);
  require_extent("conv_transpose2d", "the last extent of x", c, weight.extent(0));
  require_extent("conv_transpose2d", "the kernel's width", weight.extent(3), k);
  if (bias.data() != nullptr) require_extent("conv_transpose2d", "bias", bias.size(), out_c);
  std::size_t const extra = guidance.empty() ? 0 : guidance.extent(3);
  std::size_t share = 1;
  if (extra > 0) {
    require_extent("conv_transpose2d", "guidance.extent(1)", guidance.extent(1), k * height);
    require_extent("conv_transpose2d", "guidance.extent(2)", guidance.extent(2), k * width);
    require<ShapeError>(guidance.extent(0) > 0 && n % guidance.extent(0) == 0, "[conv_transpose2d] ", n,
                        " samples cannot share ", guidance.extent(0), " guidance maps");
    share = n / guidance.extent(0);
  }
  detail::require_engine_for_products(context);
  auto y = context.template tensor<float>(n, k * height, k * width, out_c + extra);
  if (y.size() == 0) return y;
  auto const offset = detail::as_float(context, bias);
  problem::TransposedConvolutionShape const shape{n, height, width, c, out_c, k, n / share, extra};
  detail::solve(context, problem::TransposedConvolution<typename W::value_type>{
                             shape, x.data(), weight.data(), offset.data(), guidance.data(), y.data()});
  return y;
}

}  // namespace kovos
