// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/config.hpp"

#ifdef KOVOS_HOST_ENGINE

#include <array>
#include <cstddef>
#include <span>

#include "kovos/kernels/engine/host/amx_available.hpp"
#include "kovos/kernels/engine/host/types.hpp"

#if defined(KOVOS_INSTRUCTION_SETS) && !defined(KOVOS_BUILDS_INSTRUCTION_SETS)

namespace kovos::detail {
std::span<HostKernels const* const> available_host_kernels();
HostKernels const& best_host_kernels();
std::span<HostBf16Kernels const* const> available_host_bf16_kernels();
HostBf16Kernels const* host_bf16_kernels();
}  // namespace kovos::detail

#else

#include "kovos/kernels/engine/host/instruction_sets.hpp"

#ifdef KOVOS_BUILDS_INSTRUCTION_SETS
#define KOVOS_ENGINE_DOOR
#else
#define KOVOS_ENGINE_DOOR inline
#endif

namespace kovos::detail {

/// The instruction sets this machine can run, best last.
KOVOS_ENGINE_DOOR std::span<HostKernels const* const> available_host_kernels() {
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
KOVOS_ENGINE_DOOR HostKernels const& best_host_kernels() { return *available_host_kernels().back(); }

/// The instructions for products of bf16 that this machine can run, best last; may be empty.
KOVOS_ENGINE_DOOR std::span<HostBf16Kernels const* const> available_host_bf16_kernels() {
  struct List {
    std::array<HostBf16Kernels const*, 2> items{};
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
KOVOS_ENGINE_DOOR HostBf16Kernels const* host_bf16_kernels() {
  auto const list = available_host_bf16_kernels();
  return list.empty() ? nullptr : list.back();
}

}  // namespace kovos::detail

#undef KOVOS_ENGINE_DOOR
#endif  // KOVOS_INSTRUCTION_SETS

#endif  // KOVOS_HOST_ENGINE
