// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Macros.hpp>

#include "kovos/core/error.hpp"

#ifdef KOKKOS_ENABLE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace kovos::detail {

/// Throws DeviceError if this build computes on a GPU and the machine has none; Kokkos would end the process.
inline void require_device() {
#ifdef KOKKOS_ENABLE_CUDA
  int count = 0;
  auto const status = cudaGetDeviceCount(&count);
  require<DeviceError>(
      status == cudaSuccess && count > 0, "this build computes on an NVIDIA GPU, and none can be used here (",
      status == cudaSuccess ? "there is none" : cudaGetErrorString(status), "); use a build whose Kokkos has no CUDA");
#endif
}

}  // namespace kovos::detail
