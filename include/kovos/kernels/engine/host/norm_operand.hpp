// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/engine/host/gemm.hpp"
#include "kovos/kernels/engine/host/host.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/linear_map.hpp"
#include "kovos/kernels/problem/pre_norm.hpp"

// What blocks that begin with a normalisation share: normalised rows as operands of products.

namespace kovos::detail {

/// So many rows are normalised before they are rounded.
inline constexpr std::size_t norm_lines = 4;

/// Normalised rows as the first operand of a product: [rows, stride] of E, float or bf16, zero beyond `depth` where
/// that is odd. lines: room for norm_lines rows.
template <class E, class Kernels>
void norm_into(Kernels const& kernels, problem::Norm const& norm, float const* x, std::size_t rows, std::size_t c,
               E* to, std::size_t stride, float* lines) {
  for (std::size_t i = 0; i < rows; ++i) {
    if (i % norm_lines == 0)
      best_host_kernels().layer_norm(x + i * c, lines, norm.weight, norm.bias, std::min(norm_lines, rows - i), c,
                                     norm.epsilon);
    float const* const line = lines + i % norm_lines * c;
    if constexpr (std::is_same_v<E, float>) {
      std::copy_n(line, c, to + i * stride);
    } else {
      if (c % 2) to[i * stride + c] = 0;
      kernels.round(line, to + i * stride, c);
    }
  }
}

/// How far apart rows of a first operand stand: not a multiple of the page size, which would share cache sets.
template <class E>
constexpr std::size_t operand_stride(std::size_t depth) {
  return depth + 64 / sizeof(E);
}

/// The weights of a map in panels; rows: of what it is applied to.
template <class E, class Exec, class T>
DynamicTensor<E, 1, typename Exec::memory_space> packed_map(Context<Exec> const& context, LinearMap<T> const& map,
                                                            std::size_t rows, std::size_t width) {
  std::size_t const in = map.weight.columns, out = map.weight.rows;
  problem::Product<float, T, float> const product{{}, map.weight.transposed(), {nullptr, rows, out, out, 1}, 1, {}};
  if constexpr (std::is_same_v<E, float>) return packed_panels<E>(context, product, in, width, packed_as_matrix);
  else return packed_panels<E>(context, product, in + in % 2, width, packed_as_bf16_matrix);
}

}  // namespace kovos::detail
