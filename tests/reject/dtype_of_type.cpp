// expect: kovos::dtype_of: this element type has no DType
// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/scalar.hpp"

constexpr auto dtype = kovos::dtype_of<char>();
