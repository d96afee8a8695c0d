// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/normalization.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"

namespace kovos {

/// The parameters of a layer normalisation over C channels.
template <class W, class B>
struct NormParameters {
  W weight;  // [C]
  B bias;    // [C]
};
template <class W, class B>
NormParameters(W, B) -> NormParameters<W, B>;

namespace detail {

template <class W, class B>
void check_norm(char const* where, std::size_t c, NormParameters<W, B> const& norm) {
  require_extent(where, "the weight of the norm", norm.weight.size(), c);
  require_extent(where, "the bias of the norm", norm.bias.size(), c);
}

template <class T>
void check_addend(char const* where, LinearMap<T> const& map) {
  if (!map.addend.data) return;
  require_extent(where, "the columns of an addend", map.addend.columns, map.weight.rows);
  require<ShapeError>(map.addend.rows > 0 && map.row_divisor > 0, "[", where,
                      "] the rows of an addend and row_divisor must be positive");
}

template <class W, class B, class T, std::size_t P>
void check_norm_linear(std::size_t c, NormParameters<W, B> const& norm, std::array<LinearMap<T>, P> const& maps) {
  check_norm("norm_linear", c, norm);
  for (auto const& map : maps) {
    require_extent("norm_linear", "the last extent of x", c, map.weight.columns);
    check_addend("norm_linear", map);
  }
}

template <class W, class B, class T>
void check_norm_mlp(char const* where, std::size_t c, NormParameters<W, B> const& norm, LinearMap<T> const& first,
                    LinearMap<T> const& second) {
  check_norm(where, c, norm);
  require_extent(where, "the last extent of x", c, first.weight.columns);
  require_extent(where, "the width of the second layer", second.weight.columns, first.weight.rows);
  require_extent(where, "the rows of the second layer", second.weight.rows, c);
  check_addend(where, first);
  check_addend(where, second);
}

}  // namespace detail

/// Several linear maps of the same normalised rows: y_i = map_i(layer_norm(x)). x: [M, C], map i: [O_i, C] ->
/// P tensors [M, O_i]. The first half of a pre-norm block: queries, keys and values. The host engine normalises and
/// rounds each row once. Throws ShapeError if the extents disagree.
template <class Exec, class W, class B, class T, std::size_t P>
std::array<DynamicTensor<float, 2, typename Exec::memory_space>, P> norm_linear(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x,
    NormParameters<W, B> const& norm, std::array<LinearMap<T>, P> const& maps, float epsilon = 1e-5f) {
  detail::check_norm_linear(x.extent(1), norm, maps);
  detail::require_engine_for_products(context);
  std::array<DynamicTensor<float, 2, typename Exec::memory_space>, P> y;
  std::array<float*, P> to;
  for (std::size_t i = 0; i < P; ++i) {
    y[i] = context.template tensor<float>(x.extent(0), maps[i].weight.rows);
    to[i] = y[i].data();
  }
  auto const weight = detail::as_float(context, norm.weight);
  auto const bias = detail::as_float(context, norm.bias);
  detail::solve(context, problem::NormLinear<T>{
                             x.data(), x.extent(0), x.extent(1), {weight.data(), bias.data(), epsilon}, maps, to});
  return y;
}

/// x + second(activation(first(layer_norm(x)))): the second half of a pre-norm block, a perceptron of two layers.
/// x: [M, C], overwritten and returned; first: [H, C], second: [C, H]. The wide tensor between the two is never stored
/// as a whole. Throws ShapeError if the extents disagree.
template <class Exec, class W, class B, class T>
DynamicTensor<float, 2, typename Exec::memory_space> norm_mlp(
    Context<Exec> const& context, DynamicTensor<float, 2, typename Exec::memory_space> const& x,
    NormParameters<W, B> const& norm, LinearMap<T> const& first, Activation activation, LinearMap<T> const& second,
    float epsilon = 1e-5f) {
  detail::check_norm_mlp("norm_mlp", x.extent(1), norm, first, second);
  detail::require_engine_for_products(context);
  if (x.size() == 0) return x;
  auto const weight = detail::as_float(context, norm.weight);
  auto const bias = detail::as_float(context, norm.bias);
  problem::Norm const before{weight.data(), bias.data(), epsilon};
  detail::solve(context, problem::NormMlp<T>{x.data(), x.extent(0), x.extent(1), before, first, activation, second});
  return x;
}

}  // namespace kovos
