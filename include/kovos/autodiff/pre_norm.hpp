// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>

#include "kovos/autodiff/gemm.hpp"
#include "kovos/autodiff/normalization.hpp"
#include "kovos/autodiff/tape.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/pre_norm.hpp"

namespace kovos {

/// norm_linear with gradients.
template <class Exec, Recompute Policy, class W, class B, class T, std::size_t P>
std::array<DynamicTensor<float, 2, typename Exec::memory_space>, P> norm_linear(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 2, typename Exec::memory_space> const& x,
    NormParameters<W, B> const& norm, std::array<LinearMap<T>, P> const& maps, float epsilon = 1e-5f) {
  detail::check_norm_linear(x.extent(1), norm, maps);
  auto const h = layer_norm(tape, x, norm.weight, norm.bias, epsilon);
  std::array<DynamicTensor<float, 2, typename Exec::memory_space>, P> y;
  for (std::size_t i = 0; i < P; ++i) {
    y[i] = tape.template tensor<float>(x.extent(0), maps[i].weight.rows);
    gemm(tape, as_matrix(h), maps[i].weight.transposed(), as_matrix(y[i]), maps[i].epilogue());
  }
  return y;
}

/// norm_mlp with gradients; x is kept, not overwritten.
template <class Exec, Recompute Policy, class W, class B, class T>
DynamicTensor<float, 2, typename Exec::memory_space> norm_mlp(
    Tape<Exec, Policy> const& tape, DynamicTensor<float, 2, typename Exec::memory_space> const& x,
    NormParameters<W, B> const& norm, LinearMap<T> const& first, Activation activation, LinearMap<T> const& second,
    float epsilon = 1e-5f) {
  detail::check_norm_mlp("norm_mlp", x.extent(1), norm, first, second);
  auto const h = layer_norm(tape, x, norm.weight, norm.bias, epsilon);
  auto const middle = tape.template tensor<float>(x.extent(0), first.weight.rows);
  auto const y = tape.template tensor<float>(x.extent(0), x.extent(1));
  auto e = first.epilogue();
  e.activation = activation;
  gemm(tape, as_matrix(h), first.weight.transposed(), as_matrix(middle), e);
  e = second.epilogue();
  e.residual = as_matrix(x);
  gemm(tape, as_matrix(middle), second.weight.transposed(), as_matrix(y), e);
  return y;
}

}  // namespace kovos
