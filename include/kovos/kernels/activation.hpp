// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/elementwise.hpp"

namespace kovos {

/// x = activation(x), elementwise, in place. Asynchronous on the context's instance.
template <class Exec, class T, class Shape>
void activate(Context<Exec> const& context, Tensor<T, Shape, typename Exec::memory_space> const& x,
              Activation activation) {
  detail::solve(context, problem::Activate<T>{x.data(), x.size(), activation});
}

}  // namespace kovos
