// SPDX-License-Identifier: Apache-2.0
// Every CAT-Seg preset on a device, in both precisions; and whatever nvcc has to say of the other headers.
#include "every_header.hpp"

namespace kovos {

template class AnyModel<Kokkos::Cuda>;

}  // namespace kovos
