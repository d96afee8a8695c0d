// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/interpolation.hpp"
#include "kovos/kernels/problem/resample.hpp"

namespace kovos {

namespace detail {
inline void check_resample(char const* where, std::size_t h, std::size_t w, std::size_t new_h, std::size_t new_w) {
  require<ShapeError>(h > 0 && w > 0 && new_h > 0 && new_w > 0, "[", where, "] cannot resample ", h, " x ", w, " to ",
                      new_h, " x ", new_w);
}
}  // namespace detail

/// Bilinear interpolation without antialiasing, as torch.nn.functional.interpolate(mode="bilinear").
/// x: [N, H, W, C] -> [N, height, width, C]; the same size returns x itself. Throws ShapeError for empty maps.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> resize_bilinear(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t height,
    std::size_t width, Alignment alignment = Alignment::half_pixel) {
  std::size_t const n = x.extent(0), h = x.extent(1), w = x.extent(2), c = x.extent(3);
  detail::check_resample("resize_bilinear", h, w, height, width);
  if (h == height && w == width) return x;
  auto y = context.template tensor<float>(n, height, width, c);
  detail::solve(context, problem::ResizeBilinear{x.data(), y.data(), n, h, w, c, height, width, alignment});
  return y;
}

/// Bicubic interpolation (Keys, a = -0.75) with half-pixel centres, clamped borders and no antialiasing, as
/// torch.nn.functional.interpolate(mode="bicubic"). x: [N, H, W, C] -> [N, height, width, C].
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> resize_bicubic(
    Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& x, std::size_t height,
    std::size_t width) {
  std::size_t const n = x.extent(0), h = x.extent(1), w = x.extent(2), c = x.extent(3);
  detail::check_resample("resize_bicubic", h, w, height, width);
  auto y = context.template tensor<float>(n, height, width, c);
  detail::solve(context, problem::ResizeBicubic{x.data(), y.data(), n, h, w, c, height, width});
  return y;
}

}  // namespace kovos
