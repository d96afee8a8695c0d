// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/norm_attention.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"
#include "kovos/kernels/problem/window.hpp"

namespace kovos::problem {

/// NormAttention inside each window of x, then NormMlp. x: [n, height, width, c]. An addend with a row for each pixel
/// of a map has them window by window. regions: those of WindowRegions if there is a shift.
template <class T>
struct WindowBlock {
  float* x = nullptr;
  Windows windows;
  std::size_t heads = 1;
  Norm norm_1;
  AttentionMaps<T> maps;
  Norm norm_2;
  LinearMap<T> first;
  Activation activation = Activation::none;
  LinearMap<T> second;
  float scale = 1;
  std::uint8_t const* regions = nullptr;
};

}  // namespace kovos::problem
