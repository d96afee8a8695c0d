// SPDX-License-Identifier: Apache-2.0
// The functions of NVIDIA's driver that Kokkos calls, looked up when they are: a program that links libcuda.so.1 does
// not even start on a machine without a driver, and could not say that it wants a GPU. CUDA's own runtime does the
// same.
#include <cuda.h>
#include <dlfcn.h>

namespace {

template <class... A>
CUresult call(char const* name, A... arguments) {
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  void* const function = driver ? dlsym(driver, name) : nullptr;
  if (!function) return CUDA_ERROR_NOT_INITIALIZED;
  return reinterpret_cast<CUresult (*)(A...)>(function)(arguments...);
}

}  // namespace

extern "C" {
CUresult CUDAAPI cuCtxGetDevice(CUdevice* device) { return call("cuCtxGetDevice", device); }
CUresult CUDAAPI cuCtxPushCurrent(CUcontext context) { return call("cuCtxPushCurrent_v2", context); }
CUresult CUDAAPI cuStreamGetCtx(CUstream stream, CUcontext* context) { return call("cuStreamGetCtx", stream, context); }
}
