// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/problem/normalization.hpp"

namespace kovos {

/// layer_norm with gradients.
template <class Exec, Recompute Policy, class Shape, class W, class B>
auto layer_norm(Tape<Exec, Policy> const& tape, Tensor<float, Shape, typename Exec::memory_space> const& x,
                W const& weight, B const& bias, float epsilon = 1e-5f) {
  auto const y = tape.adopt(layer_norm(tape.context(), x, weight, bias, epsilon));
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data());
  tape.record(y.data(), {dx, dw, db}, {x.data(), weight.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    std::size_t const c = x.extent(Shape::rank() - 1);
    auto const w = detail::as_float(context, weight);
    detail::solve(context, problem::LayerNormGradient{x.data(), w.data(), dy, detail::wanted(dx, context),
                                                      detail::wanted(dw, context), detail::wanted(db, context),
                                                      x.size() / c, c, epsilon});
  });
  return y;
}

/// group_norm with gradients; x is kept, not overwritten.
template <class Exec, Recompute Policy, class W, class B>
auto group_norm(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                std::size_t groups, W const& weight, B const& bias, bool relu = false, float epsilon = 1e-5f) {
  auto const y =
      tape.adopt(group_norm(tape.context(), copy_of(tape.context(), x), groups, weight, bias, relu, epsilon));
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data());
  tape.record(y.data(), {dx, dw, db}, {x.data(), y.data(), weight.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    auto const w = detail::as_float(context, weight);
    detail::solve(context,
                  problem::GroupNormGradient{x.data(), y.data(), w.data(), dy, detail::wanted(dx, context),
                                             detail::wanted(dw, context), detail::wanted(db, context), x.extent(0),
                                             x.extent(1) * x.extent(2), x.extent(3), groups, relu, epsilon});
  });
  return y;
}

/// l2_normalize with gradients.
template <class Exec, Recompute Policy, class Shape>
auto l2_normalize(Tape<Exec, Policy> const& tape, Tensor<float, Shape, typename Exec::memory_space> const& x,
                  float epsilon = 1e-12f) {
  auto const y = tape.adopt(l2_normalize(tape.context(), x, epsilon));
  auto const dx = tape.gradient_of(x.data());
  tape.record(y.data(), {dx}, {x.data(), y.data()}, [=](auto const& t, float* dy) {
    std::size_t const c = x.extent(Shape::rank() - 1);
    detail::solve(t.context(), problem::L2NormalizeGradient{x.data(), y.data(), dy, dx.accumulate(t.context()),
                                                            x.size() / c, c, epsilon});
  });
  return y;
}

}  // namespace kovos
