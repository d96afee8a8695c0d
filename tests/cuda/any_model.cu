// SPDX-License-Identifier: Apache-2.0
// Every CAT-Seg preset on a device, in both precisions; and whatever nvcc has to say of the other headers.
#include "every_header.hpp"

namespace kovos {

template class AnyModel<Kokkos::Cuda>;
template AnyModel<Kokkos::Cuda> AnyModel<Kokkos::Cuda>::load<cat_seg_presets>(
    std::filesystem::path const&, std::optional<std::filesystem::path> const&, Precision, Context<Kokkos::Cuda>);

}  // namespace kovos
