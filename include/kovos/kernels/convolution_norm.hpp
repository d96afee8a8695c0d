// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/problem/convolution.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"

namespace kovos {

/// A map [N, H, W, C] whose group normalisation and ReLU are left to whoever reads it: it stands for
/// max(0, x scale + shift), or for x itself if there is no scaling.
template <class Memory>
struct ScaledMap {
  DynamicTensor<float, 4, Memory> x;
  DynamicTensor<float, 3, Memory> scaling;  // [N, 2, C]: scale and shift; empty where nothing is left to do
};

/// A group normalisation. weight, bias: [C].
template <class W, class B>
struct GroupNormParameters {
  std::size_t groups;
  W weight;
  B bias;
  float epsilon = 1e-5f;
};
template <class W, class B>
GroupNormParameters(std::size_t, W, B) -> GroupNormParameters<W, B>;

namespace detail {

template <class Exec>
void check_scaling(char const* where, Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& map) {
  if (map.scaling.empty()) return;
  require<ConfigError>(uses_host_engine(context), "[", where, "] only the host engine makes and reads scaled maps");
  require<ShapeError>(map.scaling.extents() == dynamic_extents<3>(map.x.extent(0), 2, map.x.extent(3)), "[", where,
                      "] the scaling is ", map.scaling.extents(), ", the map ", map.x.extents());
}

/// relu(group_norm()) of the result of a convolution, of which p says all but where it goes. The normalisation is left
/// to the next reader on the host engine.
template <class Exec, class C, class P>
ScaledMap<typename Exec::memory_space> norm_relu_of(char const* where, Context<Exec> const& context, C p,
                                                    std::size_t rows, P const& norm) {
  auto const y = result_of(p);
  require<ShapeError>(norm.groups > 0 && y.c % norm.groups == 0, "[", where, "] ", norm.groups,
                      " groups do not divide ", y.c, " channels");
  require_extent(where, "the weight of the norm", norm.weight.size(), y.c);
  require_extent(where, "the bias of the norm", norm.bias.size(), y.c);
  ScaledMap<typename Exec::memory_space> map;
  map.x = context.template tensor<float>(y.n, rows, y.row_pixels, y.c);
  if (map.x.size() == 0) return map;
  if (uses_host_engine(context)) map.scaling = context.template tensor<float>(y.n, std::size_t{2}, y.c);
  auto const weight = as_float(context, norm.weight);
  auto const bias = as_float(context, norm.bias);
  p.y = map.x.data();
  solve(context,
        problem::ConvolutionNormRelu<C>{p, weight.data(), bias.data(), norm.groups, norm.epsilon, map.scaling.data()});
  return map;
}

}  // namespace detail

/// conv2d of a map that may still have to be scaled. Extents and errors as there; ConfigError for a scaled map on
/// another engine than the host's.
template <class Exec, class W, class B>
DynamicTensor<float, 4, typename Exec::memory_space> conv2d(Context<Exec> const& context,
                                                            ScaledMap<typename Exec::memory_space> const& x,
                                                            W const& weight, B const& bias, std::size_t stride = 1,
                                                            std::size_t padding = 0,
                                                            Activation activation = Activation::none) {
  detail::check_scaling("conv2d", context, x);
  require_extent("conv2d", "the last extent of x", x.x.extent(3), weight.extent(1));
  if (bias.data() != nullptr) require_extent("conv2d", "bias", bias.size(), weight.extent(0));
  auto const offset = detail::as_float(context, bias);
  auto p = detail::convolution_of<Exec>(x.x, weight, stride, padding);
  p.bias = offset.data();
  p.activation = activation;
  p.scaling = x.scaling.data();
  return detail::convolve(context, p);
}

/// relu(group_norm(conv2d(x, weight))), a convolution of stride 1 without bias. The normalisation is left to the next
/// reader where that saves passes over the map; its statistics are taken while rows are in the cache.
/// x: [N, H, W, C], weight: [O, C, k, k], padding k / 2 -> [N, H, W, O]. Wu, He 2018. Throws ShapeError if the extents
/// disagree.
template <class Exec, class W, class P>
ScaledMap<typename Exec::memory_space> conv2d_norm_relu(Context<Exec> const& context,
                                                        ScaledMap<typename Exec::memory_space> const& x,
                                                        W const& weight, P const& norm) {
  require_extent("conv2d_norm_relu", "the last extent of x", x.x.extent(3), weight.extent(1));
  detail::check_scaling("conv2d_norm_relu", context, x);
  auto p = detail::convolution_of<Exec>(x.x, weight, 1, weight.extent(2) / 2);
  p.scaling = x.scaling.data();
  return detail::norm_relu_of("conv2d_norm_relu", context, p, p.shape.out_h, norm);
}

/// The same of upsample_conv2d. x: [N, H, W, C] -> [N, 2 H, 2 W, O].
template <class Exec, class P>
ScaledMap<typename Exec::memory_space> upsample_conv2d_norm_relu(
    Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& x,
    DynamicTensor<float, 5, typename Exec::memory_space> const& composed,
    DynamicTensor<float, 4, typename Exec::memory_space> const& shared, P const& norm) {
  detail::check_scaling("upsample_conv2d_norm_relu", context, x);
  auto p = detail::upsampling_convolution_of(x.x, composed, shared);
  p.scaling = x.scaling.data();
  return detail::norm_relu_of("upsample_conv2d_norm_relu", context, p, 2 * p.height, norm);
}

/// What a scaled map stands for. Overwrites its memory and returns it.
template <class Exec>
DynamicTensor<float, 4, typename Exec::memory_space> apply_scaling(Context<Exec> const& context,
                                                                   ScaledMap<typename Exec::memory_space> const& map) {
  detail::check_scaling("apply_scaling", context, map);
  if (!map.scaling.empty())
    detail::solve(context, problem::ApplyScaling{map.x.data(), map.scaling.data(), map.x.data(), map.x.extent(0),
                                                 map.x.extent(1) * map.x.extent(2), map.x.extent(3)});
  return map.x;
}

}  // namespace kovos
