// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/engine/engines.hpp"

namespace kovos::detail {
#define KOVOS_COMPILES(...) template void solve(Context<> const&, __VA_ARGS__ const&);
KOVOS_EACH_LINKED_PROBLEM(KOVOS_COMPILES)
}  // namespace kovos::detail
