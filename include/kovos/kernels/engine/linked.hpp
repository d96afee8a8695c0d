// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/solve.hpp"
#include "kovos/kernels/problem/elementwise.hpp"
#include "kovos/kernels/problem/gemm.hpp"
#include "kovos/kernels/problem/normalization.hpp"
#include "kovos/kernels/problem/sums.hpp"

// The problems whose loops kovos::instruction_sets has compiled for the default execution space (src/loops.cpp): the
// one list of them. A problem that is not here is compiled wherever it is solved.
#define KOVOS_EACH_LINKED_PROBLEM(F)                   \
  F(problem::Widen<bf16>)                              \
  F(problem::Product<float const, float const, float>) \
  F(problem::Product<float const, bf16 const, float>)  \
  F(problem::LayerNorm)                                \
  F(problem::LayerNormGradient)                        \
  F(problem::GroupNorm)                                \
  F(problem::GroupNormGradient)                        \
  F(problem::L2Normalize)                              \
  F(problem::L2NormalizeGradient)                      \
  F(problem::AddParts)                                 \
  F(problem::AddColumnSums)                            \
  F(problem::AddPeriodicSums)

#ifdef KOVOS_LINKS_LOOPS
namespace kovos::detail {
#define KOVOS_IS_LINKED(...) extern template void solve(Context<> const&, __VA_ARGS__ const&);
KOVOS_EACH_LINKED_PROBLEM(KOVOS_IS_LINKED)
#undef KOVOS_IS_LINKED
}  // namespace kovos::detail
#endif
