// expect: kovos::Parameter: the scalar type must be float or kovos::bf16
// SPDX-License-Identifier: Apache-2.0
#include "kovos/nn/parameter.hpp"

kovos::Parameter<double, Kokkos::HostSpace, 3> parameter;
