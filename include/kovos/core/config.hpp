// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which compiler and architecture this is, asked in one place. Only the text for instruction sets asks again, where the
// compilers want other pragmas, or an intrinsic needs its header.

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

#if defined(__GNUC__)
#define KOVOS_OUT_OF_LINE [[gnu::noinline]]
/// Where something fails, and what runs once for a file, is never where time is spent: small code, out of the way, and
/// quickly compiled.
#define KOVOS_COLD [[gnu::cold, gnu::noinline]]
#define KOVOS_AT_CALLER [[gnu::always_inline]]
#else
#define KOVOS_OUT_OF_LINE
#define KOVOS_COLD
#define KOVOS_AT_CALLER
#endif

// What every program compiles for itself may be compiled once instead, in two optional libraries.
// kovos::instruction_sets has the text of the host engine and the loops of kernels, and defines KOVOS_INSTRUCTION_SETS;
// kovos::instances has the presets of CAT-Seg and the doors to files too, and defines KOVOS_INSTANCES.
#if !defined(KOVOS_ENABLE_EIGEN) && !defined(KOVOS_ENABLE_ONEDNN) && !defined(KOVOS_ENGINES)
// The libraries know no other engines: who brings one compiles loops and models of his own.
#ifdef KOVOS_INSTRUCTION_SETS
#define KOVOS_LINKS_LOOPS 1
#endif
#ifdef KOVOS_INSTANCES
#define KOVOS_LINKS_MODELS 1
#endif
#endif

#if defined(KOVOS_INSTANCES) && !defined(KOVOS_BUILDS_DOORS)
#define KOVOS_DOOR  // a function that is linked
#else
/// A header that reads or writes files ends with the definitions of its doors.
#define KOVOS_DEFINES_DOORS 1
#ifdef KOVOS_BUILDS_DOORS
#define KOVOS_DOOR
#else
#define KOVOS_DOOR inline
#endif
#endif
