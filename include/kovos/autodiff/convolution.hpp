// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/accumulate.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/activation.hpp"
#include "kovos/kernels/problem/convolution.hpp"
#include "kovos/kernels/problem/transposed_convolution.hpp"
#include "kovos/kernels/transposed_convolution.hpp"

namespace kovos {

/// conv2d with gradients.
template <class Exec, Recompute Policy, class W, class B>
auto conv2d(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
            W const& weight, B const& bias, std::size_t stride = 1, std::size_t padding = 0,
            Activation activation = Activation::none) {
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data());
  bool const activates = activation != Activation::none;
  DynamicTensor<float, 4, typename Exec::memory_space> z;
  auto const y = tape.adopt([&] {
    if (!activates || !(dx || dw || db)) return conv2d(tape.context(), x, weight, bias, stride, padding, activation);
    z = conv2d(tape.context(), x, weight, bias, stride, padding);
    auto const copy = copy_of(tape.context(), z);
    activate(tape.context(), copy, activation);
    return copy;
  }());
  tape.record(
      y.data(), {dx, dw, db}, {dw ? x.data() : nullptr, weight.data()},
      [=, extents = y.extents()](auto const& t, float* dy) {
        auto const& context = t.context();
        problem::ConvolutionShape const shape{
            x.extent(0),      x.extent(1), x.extent(2),      x.extent(3),      extents[1], extents[2], extents[3],
            weight.extent(1), 0,           weight.extent(2), weight.extent(3), stride,     padding};
        std::size_t const rows = extents.size() / extents[3];
        DynamicTensor<float, 4, typename Exec::memory_space> slope;
        if (activates) {
          slope = context.template tensor<float>(extents[0], extents[1], extents[2], extents[3]);
          detail::solve(context, problem::ActivationGradient{z.data(), dy, slope.data(), rows, extents[3], extents[3],
                                                             activation});
          dy = slope.data();
        }
        if (db) detail::add_column_sums(context, dy, rows, extents[3], extents[3], db.accumulate(context));
        if (dw) detail::solve(context, problem::ConvolutionWeightGradient{shape, x.data(), dy, dw.accumulate(context)});
        if (dx)
          detail::solve(context, problem::ConvolutionInputGradient<typename W::value_type>{shape, dy, weight.data(),
                                                                                           dx.accumulate(context)});
      });
  return y;
}

/// conv_transpose2d with gradients, also for the guidance.
template <class Exec, Recompute Policy, class W, class B>
auto conv_transpose2d(Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& x,
                      W const& weight, B const& bias,
                      DynamicTensor<float, 4, typename Exec::memory_space> const& guidance = {}) {
  auto const y = tape.adopt(conv_transpose2d(tape.context(), x, weight, bias, guidance));
  auto const dx = tape.gradient_of(x.data()), dw = tape.gradient_of(weight.data()), db = tape.gradient_of(bias.data()),
             dg = tape.gradient_of(guidance.data());
  tape.record(y.data(), {dx, dw, db, dg}, {dw ? x.data() : nullptr, dx ? weight.data() : nullptr},
              [=](auto const& t, float* dy) {
                auto const& context = t.context();
                bool const guided = !guidance.empty();
                problem::TransposedConvolutionShape const shape{x.extent(0),
                                                                x.extent(1),
                                                                x.extent(2),
                                                                x.extent(3),
                                                                weight.extent(1),
                                                                weight.extent(2),
                                                                guided ? guidance.extent(0) : 1,
                                                                guided ? guidance.extent(3) : 0};
                detail::solve(context, problem::TransposedConvolutionGradient<typename W::value_type>{
                                           shape, x.data(), weight.data(), dy, detail::wanted(dx, context),
                                           detail::wanted(dw, context), detail::wanted(db, context),
                                           detail::wanted(dg, context)});
              });
  return y;
}

}  // namespace kovos
