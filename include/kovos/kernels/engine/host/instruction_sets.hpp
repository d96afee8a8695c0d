// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/config.hpp"

#ifdef KOVOS_HOST_ENGINE

#include <cstddef>
#include <cstdint>
#include <utility>

#ifdef KOVOS_HOST_ENGINE_X86
#include <immintrin.h>
#endif

#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/host/amx_available.hpp"
#include "kovos/kernels/engine/host/types.hpp"

// The same text for every instruction set; the vector extension of g++ and clang does the rest.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#ifdef __NVCC__
#pragma nv_diagnostic push
#pragma nv_diag_suppress 1675  // it does not know g++'s pragmas, but hands them on
#endif

#define KOVOS_ISA baseline
#define KOVOS_ISA_NAME "baseline"
#define KOVOS_ISA_VECTOR_BYTES 16
#define KOVOS_ISA_ROWS 6
#include "kovos/kernels/engine/host/isa.inc"
#undef KOVOS_ISA
#undef KOVOS_ISA_NAME
#undef KOVOS_ISA_VECTOR_BYTES
#undef KOVOS_ISA_ROWS

#ifdef KOVOS_HOST_ENGINE_X86

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define KOVOS_ISA avx2
#define KOVOS_ISA_NAME "avx2"
#define KOVOS_ISA_VECTOR_BYTES 32
#define KOVOS_ISA_ROWS 6
#include "kovos/kernels/engine/host/isa.inc"
#undef KOVOS_ISA
#undef KOVOS_ISA_NAME
#undef KOVOS_ISA_VECTOR_BYTES
#undef KOVOS_ISA_ROWS
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,prefer-vector-width=512")
#endif
#define KOVOS_ISA avx512
#define KOVOS_ISA_NAME "avx512"
#define KOVOS_ISA_VECTOR_BYTES 64
#define KOVOS_ISA_ROWS 14
#include "kovos/kernels/engine/host/isa.inc"
#undef KOVOS_ISA
#undef KOVOS_ISA_NAME
#undef KOVOS_ISA_VECTOR_BYTES
#undef KOVOS_ISA_ROWS
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,fma"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,fma,prefer-vector-width=512")
#endif
#include "kovos/kernels/engine/host/bf16.inc"
#ifdef KOVOS_HOST_ENGINE_AMX
#include "kovos/kernels/engine/host/amx.inc"
#endif
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // KOVOS_HOST_ENGINE_X86

#ifdef __NVCC__
#pragma nv_diagnostic pop
#endif
#pragma GCC diagnostic pop

#endif  // KOVOS_HOST_ENGINE
