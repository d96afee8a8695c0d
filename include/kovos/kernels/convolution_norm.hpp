// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/kernels/normalization.hpp"
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

#ifdef KOVOS_HOST_ENGINE
/// Scale and shift of a group normalisation from the moments of rows. moments: [N, rows, 2, C], each of `pixels`
/// pixels -> [N, 2, C].
template <class Exec, class P>
auto group_scaling(Context<Exec> const& context, DynamicTensor<float, 4, typename Exec::memory_space> const& moments,
                   std::size_t pixels, P const& norm) {
  std::size_t const rows = moments.extent(1), c = moments.extent(3), width = c / norm.groups;
  auto const scaling = context.template tensor<float>(moments.extent(0), std::size_t{2}, c);
  auto const weight = as_float(context, norm.weight);
  auto const bias = as_float(context, norm.bias);
  context.fence();
  for (std::size_t n = 0; n < moments.extent(0); ++n)
    for (std::size_t first = 0; first < c; first += width) {
      float const* const mean = moments.data() + n * rows * 2 * c;
      double sum = 0, square = 0;
      for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = first; i < first + width; ++i) sum += static_cast<double>(mean[row * 2 * c + i]);
      double const middle = sum / static_cast<double>(rows * width);
      for (std::size_t row = 0; row < rows; ++row)
        for (std::size_t i = first; i < first + width; ++i) {
          double const d = static_cast<double>(mean[row * 2 * c + i]) - middle;
          square += static_cast<double>(mean[(row * 2 + 1) * c + i]) + static_cast<double>(pixels) * d * d;
        }
      auto const variance = static_cast<float>(square / static_cast<double>(rows * width * pixels));
      for (std::size_t i = first; i < first + width; ++i) {
        float const scale = weight(i) / std::sqrt(variance + norm.epsilon);
        scaling(n, 0, i) = scale;
        scaling(n, 1, i) = bias(i) - static_cast<float>(middle) * scale;
      }
    }
  return scaling;
}
#endif

/// run(convolution) -> map, then the normalisation of that map: left to the next reader on the host engine.
template <class Exec, class P, class F>
auto with_norm_relu(char const* where, Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& x,
                    [[maybe_unused]] std::size_t samples, [[maybe_unused]] std::size_t rows,
                    [[maybe_unused]] std::size_t columns, std::size_t channels, P const& norm, F const& run) {
  using Memory = typename Exec::memory_space;
  check_scaling(where, context, x);
  require<ShapeError>(norm.groups > 0 && channels % norm.groups == 0, "[", where, "] ", norm.groups,
                      " groups do not divide ", channels, " channels");
  require_extent(where, "the weight of the norm", norm.weight.size(), channels);
  require_extent(where, "the bias of the norm", norm.bias.size(), channels);
  Convolution of;
  of.scaling = x.scaling.data();
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (uses_host_engine(context) && samples * rows * columns > 0) {
      auto const moments = context.template tensor<float>(samples, rows, std::size_t{2}, channels);
      of.moments = moments.data();
      auto const y = run(of);
      return ScaledMap<Memory>{y, group_scaling(context, moments, columns, norm)};
    }
#endif
  return ScaledMap<Memory>{group_norm(context, run(of), norm.groups, norm.weight, norm.bias, true, norm.epsilon), {}};
}

}  // namespace detail

/// conv2d of a map that may still have to be scaled. Extents and errors as there; ConfigError for a scaled map on
/// another engine than the host's.
template <class Exec, class W, class B>
auto conv2d(Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& x, W const& weight,
            B const& bias, std::size_t stride = 1, std::size_t padding = 0, Activation activation = Activation::none) {
  detail::check_scaling("conv2d", context, x);
  require_extent("conv2d", "the last extent of x", x.x.extent(3), weight.extent(1));
  if (bias.data() != nullptr) require_extent("conv2d", "bias", bias.size(), weight.extent(0));
  auto const offset = detail::as_float(context, bias);
  detail::Convolution of;
  of.stride = stride;
  of.padding = padding;
  of.activation = activation;
  of.bias = offset.data();
  of.scaling = x.scaling.data();
  return detail::convolve(context, x.x, weight, of);
}

/// relu(group_norm(conv2d(x, weight))), a convolution of stride 1 without bias. The normalisation is left to the next
/// reader where that saves passes over the map; its statistics are taken while rows are in the cache.
/// x: [N, H, W, C], weight: [O, C, k, k], padding k / 2 -> [N, H, W, O]. Wu, He 2018. Throws ShapeError if the extents
/// disagree.
template <class Exec, class W, class P>
auto conv2d_norm_relu(Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& x, W const& weight,
                      P const& norm) {
  require_extent("conv2d_norm_relu", "the last extent of x", x.x.extent(3), weight.extent(1));
  std::size_t const padding = weight.extent(2) / 2;
  return detail::with_norm_relu("conv2d_norm_relu", context, x, x.x.extent(0), x.x.extent(1), x.x.extent(2),
                                weight.extent(0), norm, [&](detail::Convolution of) {
                                  of.padding = padding;
                                  return detail::convolve(context, x.x, weight, of);
                                });
}

/// The same of upsample_conv2d. x: [N, H, W, C] -> [N, 2 H, 2 W, O].
template <class Exec, class P>
auto upsample_conv2d_norm_relu(Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& x,
                               DynamicTensor<float, 5, typename Exec::memory_space> const& composed,
                               DynamicTensor<float, 4, typename Exec::memory_space> const& shared, P const& norm) {
  return detail::with_norm_relu("upsample_conv2d_norm_relu", context, x, x.x.extent(0), 2 * x.x.extent(1),
                                2 * x.x.extent(2), composed.extent(1), norm, [&](detail::Convolution const& of) {
                                  return detail::upsample_convolve(context, x.x, composed, shared, of);
                                });
}

/// What a scaled map stands for. Overwrites its memory and returns it.
template <class Exec>
auto apply_scaling(Context<Exec> const& context, ScaledMap<typename Exec::memory_space> const& map) {
  detail::check_scaling("apply_scaling", context, map);
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    if (!map.scaling.empty()) {
      std::size_t const c = map.x.extent(3), rows = map.x.extent(0) * map.x.extent(1), size = map.x.extent(2) * c;
      auto const& kernels = detail::best_host_kernels();
      detail::for_each_task(context, "kovos::apply_scaling", detail::workers(context, rows), rows,
                            [&](std::size_t row, std::size_t) {
                              float* const line = map.x.data() + row * size;
                              float const* const scaling = map.scaling.data() + row / map.x.extent(1) * 2 * c;
                              kernels.scale_shift(line, line, map.x.extent(2), c, scaling, scaling + c, true);
                            });
    }
#endif
  return map.x;
}

}  // namespace kovos
