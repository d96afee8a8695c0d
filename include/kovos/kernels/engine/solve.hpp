// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/execution.hpp"

namespace kovos::engine {

/// Engines in the order in which they are asked.
template <class... Engines>
struct List {};

}  // namespace kovos::engine

namespace kovos::detail {

/// Has an engine do what a problem asks: the first in the list of engines that takes it, else the portable one. Here
/// for engines that make one problem of others; who calls it includes kernels/engine/engines.hpp.
template <class Exec, class Problem>
void solve(Context<Exec> const& context, Problem const& problem);

}  // namespace kovos::detail
