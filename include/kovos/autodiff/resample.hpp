// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/interpolation.hpp"
#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/problem/pooling.hpp"
#include "kovos/kernels/problem/resample.hpp"
#include "kovos/kernels/resample.hpp"

namespace kovos {

namespace detail {

/// Which results one source position of an axis contributes to, and with which weights: the transpose of an
/// interpolation. Positions of source i: results[first[i]] .. results[first[i + 1]].
struct TransposedTaps {
  std::vector<std::size_t> first;
  std::vector<std::int32_t> result;
  std::vector<float> weight;
};

template <class Taps>
TransposedTaps transpose_taps(std::size_t in, std::size_t out, Taps const& for_each_tap) {
  TransposedTaps t;
  std::vector<std::vector<std::pair<std::int32_t, float>>> lists(in);
  for (std::size_t i = 0; i < out; ++i)
    for_each_tap(i, [&](std::size_t source, float weight) {
      if (weight != 0) lists[source].emplace_back(static_cast<std::int32_t>(i), weight);
    });
  t.first.push_back(0);
  for (auto const& list : lists) {
    for (auto const& [result, weight] : list) {
      t.result.push_back(result);
      t.weight.push_back(weight);
    }
    t.first.push_back(t.result.size());
  }
  return t;
}

inline TransposedTaps transposed_linear_taps(std::size_t in, std::size_t out, Alignment alignment) {
  return transpose_taps(in, out, [&](std::size_t i, auto const& add) {
    auto const tap = linear_tap(i, in, out, alignment);
    add(tap.first, 1 - tap.weight);
    add(tap.second, tap.weight);
  });
}

inline TransposedTaps transposed_cubic_taps(std::size_t in, std::size_t out) {
  return transpose_taps(in, out, [&](std::size_t i, auto const& add) {
    auto const source = static_cast<float>(source_coordinate(i, in, out, Alignment::half_pixel));
    auto const base = static_cast<long>(std::floor(source));
    for (long k = -1; k <= 2; ++k)
      add(static_cast<std::size_t>(std::clamp<long>(base + k, 0, static_cast<long>(in) - 1)),
          cubic_weight(source - static_cast<float>(base) - static_cast<float>(k)));
  });
}

/// The transposed taps where kernels can read them.
template <class Exec>
struct DeviceTaps {
  DynamicTensor<std::int32_t, 1, typename Exec::memory_space> first, result;
  DynamicTensor<float, 1, typename Exec::memory_space> weight;

  DeviceTaps(Context<Exec> const& context, TransposedTaps const& taps) {
    auto const copy = [&]<class T, class U>(std::vector<U> const& from, T) {
      Tensor<T, dynamic_extents<1>> host(dynamic_extents<1>{from.size()});
      for (std::size_t i = 0; i < from.size(); ++i) host.data()[i] = static_cast<T>(from[i]);
      return to_device(context, host);
    };
    first = copy(taps.first, std::int32_t{});
    result = copy(taps.result, std::int32_t{});
    weight = copy(taps.weight, float{});
  }

  problem::TransposedAxis axis(float const* dy, float* dx, std::size_t outer, std::size_t out, std::size_t in,
                               std::size_t inner, bool add) const {
    return {first.data(), result.data(), weight.data(), dy, dx, outer, out, in, inner, add};
  }
};

/// dx += the transposed interpolation of dy along both axes. x: [n, h, w, c], dy: [n, height, width, c].
template <class Exec>
void resize_gradient(Context<Exec> const& context, TransposedTaps const& rows, TransposedTaps const& columns,
                     float const* dy, std::size_t n, std::size_t h, std::size_t w, std::size_t height,
                     std::size_t width, std::size_t c, float* dx) {
  DeviceTaps<Exec> const vertical(context, rows), horizontal(context, columns);
  auto const half = context.template tensor<float>(n, h, width * c);
  solve(context, vertical.axis(dy, half.data(), n, height, h, width * c, false));
  solve(context, horizontal.axis(half.data(), dx, n * h, width, w, c, true));
}

}  // namespace detail

/// average_pool2d with gradients.
template <class Exec, Recompute Policy>
auto average_pool2d(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                    std::size_t k) {
  if (k == 1) return average_pool2d(tape.context(), x, k);
  auto const y = tape.adopt(average_pool2d(tape.context(), x, k));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [dx, k, e = x.extents()](auto const& t, float* dy) {
    detail::solve(t.context(), problem::AveragePoolGradient{dy, dx.accumulate(t.context()), e[0], e[1], e[2], e[3], k});
  });
  return y;
}

/// resize_bilinear with gradients.
template <class Exec, Recompute Policy>
auto resize_bilinear(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                     std::size_t height, std::size_t width, Alignment alignment = Alignment::half_pixel) {
  if (x.extent(1) == height && x.extent(2) == width)
    return resize_bilinear(tape.context(), x, height, width, alignment);
  auto const y = tape.adopt(resize_bilinear(tape.context(), x, height, width, alignment));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [=, e = x.extents()](auto const& t, float* dy) {
    detail::resize_gradient(t.context(), detail::transposed_linear_taps(e[1], height, alignment),
                            detail::transposed_linear_taps(e[2], width, alignment), dy, e[0], e[1], e[2], height, width,
                            e[3], dx.accumulate(t.context()));
  });
  return y;
}

/// resize_bicubic with gradients.
template <class Exec, Recompute Policy>
auto resize_bicubic(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                    std::size_t height, std::size_t width) {
  auto const y = tape.adopt(resize_bicubic(tape.context(), x, height, width));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {}, [=, e = x.extents()](auto const& t, float* dy) {
    detail::resize_gradient(t.context(), detail::transposed_cubic_taps(e[1], height),
                            detail::transposed_cubic_taps(e[2], width), dy, e[0], e[1], e[2], height, width, e[3],
                            dx.accumulate(t.context()));
  });
  return y;
}

}  // namespace kovos
