// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Macros.hpp>

#include "kovos/core/error.hpp"

#ifdef KOKKOS_ENABLE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace kovos::detail {

/// Throws DeviceError if there is no GPU. trouble: why they could not be counted, nullptr if they could.
inline void require_gpu(int count, char const* trouble) {
  require<DeviceError>(!trouble && count > 0, "this build computes on an NVIDIA GPU, and none can be used here (",
                       trouble ? trouble : "there is none", "); use a build whose Kokkos has no CUDA");
}

/// Throws DeviceError if this build computes on a GPU and the machine has none; Kokkos would end the process.
inline void require_device() {
#ifdef KOKKOS_ENABLE_CUDA
  int count = 0;
  auto const status = cudaGetDeviceCount(&count);
  require_gpu(count, status == cudaSuccess ? nullptr : cudaGetErrorString(status));
#endif
}

}  // namespace kovos::detail
