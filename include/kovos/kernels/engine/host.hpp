// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/config.hpp"

#ifdef KOVOS_HOST_ENGINE

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#ifdef KOVOS_HOST_ENGINE_X86
#include <immintrin.h>
#endif

#include "kovos/core/scalar.hpp"
#include "kovos/kernels/engine/amx_available.hpp"
#include "kovos/kernels/engine/host_types.hpp"

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
#include "kovos/kernels/engine/host_isa.inc"
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
#include "kovos/kernels/engine/host_isa.inc"
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
#include "kovos/kernels/engine/host_isa.inc"
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
#include "kovos/kernels/engine/host_bf16.inc"
#ifdef KOVOS_HOST_ENGINE_AMX
#include "kovos/kernels/engine/host_amx.inc"
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

namespace kovos::detail {

/// The instruction sets this machine can run, best last.
inline std::span<HostKernels const* const> available_host_kernels() {
  struct List {
    std::array<HostKernels const*, 3> items{};
    std::size_t count = 0;
    List() {
      items[count++] = &baseline::kernels;
#ifdef KOVOS_HOST_ENGINE_X86
      if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) items[count++] = &avx2::kernels;
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        items[count++] = &avx512::kernels;
#endif
    }
  };
  static List const list;
  return {list.items.data(), list.count};
}

/// The best instruction set this machine can run.
inline HostKernels const& best_host_kernels() { return *available_host_kernels().back(); }

/// The instructions for products of bf16 that this machine can run, best last; may be empty.
inline std::span<HostHalfKernels const* const> available_host_half_kernels() {
  struct List {
    std::array<HostHalfKernels const*, 2> items{};
    std::size_t count = 0;
    List() {
#ifdef KOVOS_HOST_ENGINE_X86
      if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw") ||
          !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return;
      items[count++] = &avx512_bf16::kernels;
#ifdef KOVOS_HOST_ENGINE_AMX
      if (amx_available()) items[count++] = &amx_bf16::kernels<amx_bf16::TileUnit>;
#endif
#endif
    }
  };
  static List const list;
  return {list.items.data(), list.count};
}

/// The best products of bf16, if this machine has instructions for them; else nullptr.
inline HostHalfKernels const* host_half_kernels() {
  auto const list = available_host_half_kernels();
  return list.empty() ? nullptr : list.back();
}

}  // namespace kovos::detail

#endif  // KOVOS_HOST_ENGINE
