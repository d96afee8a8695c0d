// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/leading_axis.hpp"
#include "kovos/kernels/problem/leading_axis.hpp"
#include "kovos/kernels/problem/sums.hpp"

namespace kovos::detail {

/// Records attention along the leading axis, whose gradient is the problem P, with what that asks for beside operands
/// and gradients: epsilon or scale.
template <class P, class Exec, Recompute Policy>
void record_leading_axis(Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& y,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& q,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& k,
                         DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads,
                         RepeatedKey<typename Exec::memory_space> const& padding, float constant) {
  auto const dq = tape.gradient_of(q.data()), dk = tape.gradient_of(k.data()), dv = tape.gradient_of(v.data());
  bool const repeats = padding.count > 0;
  auto const dpk = tape.gradient_of(repeats ? padding.key.data() : nullptr);
  auto const dpv = tape.gradient_of(repeats ? padding.value.data() : nullptr);
  tape.record(y.data(), {dq, dk, dv, dpk, dpv},
              {q.data(), k.data(), v.data(), padding.key.data(), padding.value.data()}, [=](auto const& t, float* dy) {
                auto const& context = t.context();
                std::size_t const positions = q.extent(1), width = q.extent(2);
                auto const partial = [&](bool needed) {
                  auto x = context.template tensor<float>(needed ? positions : 0, width);
                  if (needed) fill(context, x, 0.0f);
                  return x;
                };
                auto const pk = partial(bool(dpk)), pv = partial(bool(dpv));
                problem::LeadingAxisGradient d{leading_axis("leading_axis", q, k, v, heads, padding), dy};
                d.dq = wanted(dq, context);
                d.dk = wanted(dk, context);
                d.dv = wanted(dv, context);
                d.d_repeated_key = pk.data();
                d.d_repeated_value = pv.data();
                solve(context, P{d, constant});
                auto const add = [&](auto const& x, auto const& g) {
                  if (g && positions > 0 && width > 0)
                    solve(context, problem::AddColumnSums{x.data(), positions, width, width, g.accumulate(context)});
                };
                add(pk, dpk);
                add(pv, dpv);
              });
}

}  // namespace kovos::detail
