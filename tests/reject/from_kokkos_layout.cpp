// expect: kovos::from_kokkos: only LayoutRight views share memory with a row-major Tensor; copy to one first
// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/tensor.hpp"

auto tensor = kovos::from_kokkos(Kokkos::View<float**, Kokkos::LayoutLeft, Kokkos::HostSpace>());
