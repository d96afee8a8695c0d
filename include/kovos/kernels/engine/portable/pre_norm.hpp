// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/portable/portable.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/normalization.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"

namespace kovos {

namespace detail {

/// y = map(x), and what else an epilogue adds. x: [rows, In], y: [rows, Out].
template <class Exec, class T>
void map_rows(Context<Exec> const& context, float const* x, std::size_t rows, LinearMap<T> const& map,
              Epilogue const& epilogue, float* y) {
  std::size_t const in = map.weight.columns, out = map.weight.rows;
  if (rows == 0 || out == 0) return;
  solve(context, problem::Product<float, T, float>{
                     {x, rows, in, in, 1}, map.weight.transposed(), {y, rows, out, out, 1}, 1, epilogue});
}

/// norm(x). -> [rows, c].
template <class Exec>
DynamicTensor<float, 2, typename Exec::memory_space> normalized_rows(Context<Exec> const& context, float const* x,
                                                                     std::size_t rows, std::size_t c,
                                                                     problem::Norm const& norm) {
  auto y = context.template tensor<float>(rows, c);
  if (y.size() > 0) solve(context, problem::LayerNorm{x, y.data(), norm.weight, norm.bias, rows, c, norm.epsilon});
  return y;
}

}  // namespace detail

namespace engine {

template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::NormLinear<T> const& p) {
  auto const h = detail::normalized_rows(context, p.x, p.rows, p.c, p.norm);
  for (std::size_t i = 0; i < p.maps.size(); ++i)
    detail::map_rows(context, h.data(), p.rows, p.maps[i], p.maps[i].epilogue(), p.y[i]);
}

/// So many rows at a time that the wide tensor in the middle stays small.
template <class Exec, class T>
void run(Portable, Context<Exec> const& context, problem::NormMlp<T> const& p) {
  std::size_t const most = 8192;
  for (std::size_t first = 0; first < p.rows; first += most) {
    std::size_t const rows = std::min(most, p.rows - first);
    float* const x = p.x + first * p.c;
    auto const h = detail::normalized_rows(context, x, rows, p.c, p.norm);
    auto const middle = context.template tensor<float>(rows, p.first.weight.rows);
    auto e = p.first.epilogue();
    e.activation = p.activation;
    detail::map_rows(context, h.data(), rows, p.first, e, middle.data());
    e = p.second.epilogue();
    e.residual = {x, rows, p.c, p.c, 1};
    detail::map_rows(context, middle.data(), rows, p.second, e, x);
  }
}

}  // namespace engine

}  // namespace kovos
