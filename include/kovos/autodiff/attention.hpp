// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/attention.hpp"
#include "kovos/kernels/window.hpp"

namespace kovos {

/// attention with gradients; the probabilities are computed again from q and k instead of being kept.
template <class Exec, Recompute Policy>
DynamicTensor<float, 3, typename Exec::memory_space> attention(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 3, typename Exec::memory_space> const& q,
    DynamicTensor<float, 3, typename Exec::memory_space> const& k,
    DynamicTensor<float, 3, typename Exec::memory_space> const& v, std::size_t heads, bool causal = false,
    float scale = 0) {
  auto const y = tape.adopt(attention(tape.context(), q, k, v, heads, causal, scale));
  auto const dq = tape.gradient_of(q.data()), dk = tape.gradient_of(k.data()), dv = tape.gradient_of(v.data());
  tape.record(y.data(), {dq, dk, dv}, {q.data(), k.data(), v.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    std::size_t const head_dim = q.extent(2) / heads;
    detail::solve(context, problem::AttentionGradient{q.data(),
                                                      k.data(),
                                                      v.data(),
                                                      dy,
                                                      detail::wanted(dq, context),
                                                      detail::wanted(dk, context),
                                                      detail::wanted(dv, context),
                                                      q.extent(0),
                                                      q.extent(1),
                                                      k.extent(1),
                                                      heads,
                                                      head_dim,
                                                      scale == 0 ? detail::attention_scale(head_dim) : scale,
                                                      {causal, nullptr, 1}});
  });
  return y;
}

/// window_attention with gradients, as above.
template <class Exec, Recompute Policy>
DynamicTensor<float, 4, typename Exec::memory_space> window_attention(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 4, typename Exec::memory_space> const& q,
    DynamicTensor<float, 4, typename Exec::memory_space> const& k,
    DynamicTensor<float, 4, typename Exec::memory_space> const& v, std::size_t heads, std::size_t window,
    std::size_t shift) {
  auto const y = tape.adopt(window_attention(tape.context(), q, k, v, heads, window, shift));
  auto const dq = tape.gradient_of(q.data()), dk = tape.gradient_of(k.data()), dv = tape.gradient_of(v.data());
  tape.record(y.data(), {dq, dk, dv}, {q.data(), k.data(), v.data()}, [=](auto const& t, float* dy) {
    auto const& context = t.context();
    problem::Windows const windows{q.extent(0), q.extent(1), q.extent(2), q.extent(3), window, shift};
    auto const regions = detail::regions_if_shifted(context, windows.height, windows.width, window, shift);
    std::size_t const head_dim = windows.c / heads;
    detail::solve(context,
                  problem::WindowAttentionGradient{q.data(), k.data(), v.data(), dy, detail::wanted(dq, context),
                                                   detail::wanted(dk, context), detail::wanted(dv, context), windows,
                                                   heads, head_dim, detail::attention_scale(head_dim), regions.data()});
  });
  return y;
}

}  // namespace kovos
