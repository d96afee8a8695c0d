// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/softmax.hpp"

namespace kovos {

/// y = exp(x - max) / sum(exp(x - max)) over the last axis. x: [..., C] -> [..., C].
template <class Exec, class Shape>
Tensor<float, Shape, typename Exec::memory_space> softmax(Context<Exec> const& context,
                                                          Tensor<float, Shape, typename Exec::memory_space> const& x) {
  auto y = context.workspace().template tensor<float>(x.extents());
  if (x.size() == 0) return y;
  std::size_t const c = x.extent(Shape::rank() - 1);
  detail::solve(context, problem::Softmax{x.data(), y.data(), x.size() / c, c});
  return y;
}

}  // namespace kovos
