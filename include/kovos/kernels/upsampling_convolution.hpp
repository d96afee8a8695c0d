// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/engine/host/packed_layout.hpp"
#include "kovos/kernels/problem/convolution.hpp"

namespace kovos {

/// A transposed convolution (kernel = stride = 2) and the 3 x 3 convolution behind it as one linear map: the output
/// pixel (2 i + a, 2 j + b) sees the input pixels (i + a - 1, j + b - 1) ... (i + a, j + b).
/// up: [C, M, 2, 2], weight: [O, M' >= M, 3, 3], of which the first M channels are used -> [4, O, C, 2, 2], the four
/// (a, b) in order. Kept as long as the weights live if they are declared constant. Throws ShapeError if the extents
/// disagree.
template <class Exec, class U, class W>
DynamicTensor<float, 5, typename Exec::memory_space> compose_upsampling(Context<Exec> const& context, U const& up,
                                                                        W const& weight) {
  static_assert(U::rank() == 4 && W::rank() == 4,
                "kovos::compose_upsampling: up must be [C, M, 2, 2] and weight [O, M', 3, 3]");
  require<ShapeError>(up.extent(2) == 2 && up.extent(3) == 2,
                      "[compose_upsampling] up must have kernels of 2 x 2, got ", up.extent(2), " x ", up.extent(3));
  require<ShapeError>(weight.extent(2) == 3 && weight.extent(3) == 3,
                      "[compose_upsampling] weight must have kernels of 3 x 3, got ", weight.extent(2), " x ",
                      weight.extent(3));
  require<ShapeError>(up.extent(1) <= weight.extent(1), "[compose_upsampling] up gives ", up.extent(1),
                      " channels, weight takes only ", weight.extent(1));
  std::size_t const in_c = up.extent(0), mid_c = up.extent(1), out_c = weight.extent(0), all_c = weight.extent(1);
  std::size_t const size = 16 * out_c * in_c;
  auto const compose = [&](auto const& composed) {
    detail::solve(context, problem::ComposeUpsampling<typename U::value_type, typename W::value_type>{
                               in_c, mid_c, out_c, all_c, up.data(), weight.data(), composed.data()});
  };
  auto const composed = context.packed().template get<float>(
      {weight.data(), {0, in_c, mid_c, out_c, all_c, detail::composed_with_upsampling}, up.data()}, size,
      [&] { return context.template tensor<float>(size); }, compose);
  return composed.reshape(dynamic_extents<5>(4, out_c, in_c, 2, 2));
}

namespace detail {

/// The problem of an upsampling convolution of x, without its result.
template <class Memory>
problem::UpsamplingConvolution upsampling_convolution_of(DynamicTensor<float, 4, Memory> const& x,
                                                         DynamicTensor<float, 5, Memory> const& composed,
                                                         DynamicTensor<float, 4, Memory> const& shared) {
  std::size_t const n = x.extent(0), height = x.extent(1), width = x.extent(2), c = x.extent(3);
  std::size_t const out_c = composed.extent(1);
  require_extent("upsample_conv2d", "the last extent of x", c, composed.extent(2));
  require<ShapeError>(composed.extent(0) == 4 && composed.extent(3) == 2 && composed.extent(4) == 2,
                      "[upsample_conv2d] the weight is ", composed.extents(),
                      ", expected [4, O, C, 2, 2] from compose_upsampling");
  if (!shared.empty()) {
    require_extent("upsample_conv2d", "shared.extent(0)", shared.extent(0), 1);
    require_extent("upsample_conv2d", "shared.extent(1)", shared.extent(1), 2 * height);
    require_extent("upsample_conv2d", "shared.extent(2)", shared.extent(2), 2 * width);
    require_extent("upsample_conv2d", "shared.extent(3)", shared.extent(3), out_c);
  }
  return {n, height, width, c, out_c, x.data(), composed.data(), nullptr, shared.data(), nullptr};
}

}  // namespace detail

/// conv2d_part(conv_transpose2d(x, up), weight, 0, 1, shared) without the map between them: less than half of its
/// multiply-adds. The bias of the transposed convolution is not added: what it contributes is the same for all samples
/// and belongs into `shared`.
/// x: [N, H, W, C], composed: [4, O, C, 2, 2] from compose_upsampling(up, weight), shared: [1, 2 H, 2 W, O] or empty ->
/// [N, 2 H, 2 W, O]. Throws ShapeError if the extents disagree.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> upsample_conv2d(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
    DynamicTensor<float, 5, typename Exec::memory_space> const& composed,
    DynamicTensor<float, 4, typename Exec::memory_space> const& shared = {}) {
  auto p = detail::upsampling_convolution_of(x, composed, shared);
  auto y = context.template tensor<float>(p.n, 2 * p.height, 2 * p.width, p.out_c);
  p.y = y.data();
  if (y.size() > 0) detail::solve(context, p);
  return y;
}

}  // namespace kovos
