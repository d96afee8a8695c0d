// SPDX-License-Identifier: Apache-2.0
#pragma once

// The only header that asks about compiler and architecture.

#if defined(__GNUC__) && !defined(__HIPCC__) && !defined(__SYCL_DEVICE_ONLY__) && \
    (!defined(__CUDACC__) || (defined(__NVCC__) && !defined(__clang__)))
/// The host engine is written with the vector extension of g++ and clang. nvcc hands it on to g++ as it stands; whether
/// it does so to clang nobody has tried.
#define KOVOS_HOST_ENGINE 1
#endif

#if defined(KOVOS_HOST_ENGINE) && (defined(__x86_64__) || defined(__i386__))
/// The host engine is compiled for several x86 instruction sets and chosen among at run time.
#define KOVOS_HOST_ENGINE_X86 1
#endif

#if defined(KOVOS_HOST_ENGINE_X86) && defined(__x86_64__) && defined(__linux__)
/// AMX has no 32-bit mode, and a process must ask its kernel for the tiles; we know how on Linux.
#define KOVOS_HOST_ENGINE_AMX 1
#endif
