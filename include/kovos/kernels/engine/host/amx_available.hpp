// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/config.hpp"

#ifdef KOVOS_HOST_ENGINE_AMX

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kovos::detail {

/// Whether the operating system keeps each thread's tiles; to be asked only where CPUID says OSXSAVE.
__attribute__((target("xsave"))) inline bool saves_tiles() {
  constexpr unsigned long long tile_config = 1u << 17, tile_data = 1u << 18;
  return (_xgetbv(0) & (tile_config | tile_data)) == (tile_config | tile_data);
}

/// Whether this process may multiply tiles of bf16: the CPU has them, and Linux grants their state, which it reserves
/// for processes that ask. The grant holds for all threads.
inline bool amx_available() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return false;  // OSXSAVE
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (amx_bf16 | amx_tile)) != (amx_bf16 | amx_tile)) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return saves_tiles() && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace kovos::detail

#endif  // KOVOS_HOST_ENGINE_AMX
