// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace kovos::engine {

/// Plain Kokkos loops on every backend: the definition of right. Has every problem.
struct Portable {};

}  // namespace kovos::engine
