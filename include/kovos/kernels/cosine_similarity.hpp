// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/normalization.hpp"

namespace kovos {

/// Cosine of the angle between every row of a and every row of b; a zero row has cosine 0 with everything.
/// a: [M, D], b: [N, D] -> [M, N]. Throws ShapeError if D differs.
template <execution_context C>
DynamicTensor<float, 2, typename C::memory_space> cosine_similarity(
    C const& context, DynamicTensor<float, 2, typename C::memory_space> const& a,
    DynamicTensor<float, 2, typename C::memory_space> const& b) {
  require_extent("cosine_similarity", "b.extent(1)", b.extent(1), a.extent(1));
  auto const unit_a = l2_normalize(context, a);
  auto const unit_b = l2_normalize(context, b);
  auto c = context.template tensor<float>(a.extent(0), b.extent(0));
  gemm(context, as_matrix(unit_a), as_matrix(unit_b).transposed(), as_matrix(c));
  return c;
}

}  // namespace kovos
