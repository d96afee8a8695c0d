// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>

#include "kovos/core/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/engine/host/instruction_sets.hpp"
#include "kovos/kernels/engine/host/kernels.hpp"

namespace kovos {

/// What this machine can do at most, measured: the floor under every other figure.
struct Peaks {
  double fma_gflops = 0;    // fp32 multiply-adds in registers, all threads, widest instruction set
  double bf16_gflops = 0;   // bf16 products summed in fp32, the same way; 0: no such instructions, or none used here
  double copy_gbytes = 0;   // b = a, bytes read and written, all threads, arrays of 256 MB
  double triad_gbytes = 0;  // c = a + s b
  char const* isa = "baseline";
};

namespace detail {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#ifdef __NVCC__
#pragma nv_diagnostic push
#pragma nv_diag_suppress 1675  // see host/instruction_sets.hpp
#endif
// Twelve independent sums hide the latency of any multiply-add; no lambdas, they would not inherit the target. The
// factors are no constant expressions: nvcc 13.0 dies of such a sum of 64 bytes.
#define KOVOS_PEAK_FMA(name, bytes, features)                                        \
  features inline float name(std::size_t rounds) {                                   \
    typedef float vec __attribute__((vector_size(bytes)));                           \
    vec sum[12];                                                                     \
    for (int i = 0; i < 12; ++i) sum[i] = vec{} + static_cast<float>(i);             \
    vec a{}, b{};                                                                    \
    a += 0.999f, b += 0.001f;                                                        \
    for (std::size_t r = 0; r < rounds; ++r) {                                       \
      _Pragma("GCC unroll 12") for (int i = 0; i < 12; ++i) sum[i] = sum[i] * a + b; \
    }                                                                                \
    vec total{};                                                                     \
    for (int i = 0; i < 12; ++i) total += sum[i];                                    \
    return total[0];                                                                 \
  }
KOVOS_PEAK_FMA(fma_baseline, 16, )
#ifdef KOVOS_HOST_ENGINE_X86
KOVOS_PEAK_FMA(fma_avx2, 32, __attribute__((target("avx2,fma"))))
KOVOS_PEAK_FMA(fma_avx512, 64, __attribute__((target("avx512f,fma"))))
#endif
#undef KOVOS_PEAK_FMA
#pragma GCC diagnostic pop

#ifdef KOVOS_HOST_ENGINE_X86
/// Each instruction is two multiply-adds in each of 16 lanes.
__attribute__((target("avx512f,avx512bf16"))) inline float dot_of_halves(std::size_t rounds) {
  __m512 sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512bh const a = (__m512bh)_mm512_set1_epi32(0x3c003c00), b = (__m512bh)_mm512_set1_epi32(0x3b003b00);
  for (std::size_t r = 0; r < rounds; ++r) {
    _Pragma("GCC unroll 12") for (int i = 0; i < 12; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
  }
  __m512 total = sum[0];
  for (int i = 1; i < 12; ++i) total = _mm512_add_ps(total, sum[i]);
  float first[16];
  _mm512_storeu_ps(first, total);
  return first[0];
}
#endif

#ifdef KOVOS_HOST_ENGINE_AMX
/// Twelve products of tiles, 16 x 32 x 16 multiply-adds each. One takes the time of many vectors: a sixteenth of the
/// rounds is enough.
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,fma"))) inline float dot_of_tiles(
    std::size_t rounds) {
  using Tiles = amx_bf16::TileUnit;
  Tiles::configure(amx_bf16::tile_config(16, 0));  // which makes them zero
  for (std::size_t r = 0; r < rounds / 16; ++r) {
    _Pragma("GCC unroll 3") for (int i = 0; i < 3; ++i) {
      Tiles::multiply<0, 4, 6>();
      Tiles::multiply<1, 4, 7>();
      Tiles::multiply<3, 5, 7>();
      Tiles::multiply<2, 5, 6>();
    }
  }
  float sums[16][16];
  Tiles::store<0>(sums, sizeof sums[0]);
  Tiles::release();
  return sums[0][0];
}
#endif
#ifdef __NVCC__
#pragma nv_diagnostic pop
#endif

}  // namespace detail

/// The peaks of a host execution space; takes some seconds and 768 MB. The best of several runs counts, because a peak
/// is what nothing disturbs.
template <class Exec>
requires is_host_execution<Exec> Peaks measure_peaks(Context<Exec> const& context) {
  Peaks peaks;
  auto const threads = static_cast<std::size_t>(context.exec().concurrency());
  float (*kernel)(std::size_t) = detail::fma_baseline;
  std::size_t lanes = 4;
#ifdef KOVOS_HOST_ENGINE_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    kernel = detail::fma_avx2, lanes = 8, peaks.isa = "avx2";
  if (__builtin_cpu_supports("avx512f")) kernel = detail::fma_avx512, lanes = 16, peaks.isa = "avx512";
#endif
  auto const seconds = [](auto const& f) {
    auto const start = std::chrono::steady_clock::now();
    f();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::size_t const rounds = 2'000'000;
  std::unique_ptr<float[]> const sink(new float[threads]);
  auto const best_gflops = [&](float (*body)(std::size_t), std::size_t operations_per_instruction) {
    double best = 0;
    for (int run = 0; run < 100; ++run) {
      double const t = seconds([&] {
        detail::for_each_task(context, "kovos::peak", threads, threads,
                              [&](std::size_t task, std::size_t) { sink[task] = body(rounds); });
      });
      best = std::max(best, 1e-9 * 12 * static_cast<double>(operations_per_instruction * rounds * threads) / t);
    }
    return best;
  };
  peaks.fma_gflops = best_gflops(kernel, 2 * lanes);
#ifdef KOVOS_HOST_ENGINE_X86
  if (auto const* const half = detail::host_bf16_kernels()) {
    float (*body)(std::size_t) = detail::dot_of_halves;
    std::size_t operations = 64;
#ifdef KOVOS_HOST_ENGINE_AMX
    if (half == &detail::amx_bf16::kernels<detail::amx_bf16::TileUnit>)
      body = detail::dot_of_tiles, operations = 2 * 16 * 32 * 16 / 16;
#endif
    peaks.bf16_gflops = best_gflops(body, operations);
  }
#endif

  std::size_t const count = std::size_t{1} << 26, part = count / 64;
  std::unique_ptr<float[]> const a(new float[count]), b(new float[count]), c(new float[count]);
  auto const sweep = [&](auto const& body) {
    return seconds([&] {
      detail::for_each_task(context, "kovos::bandwidth", threads, 64, [&](std::size_t task, std::size_t) {
        body(a.get() + task * part, b.get() + task * part, c.get() + task * part);
      });
    });
  };
  sweep([&](float* x, float* y, float* z) {
    for (std::size_t i = 0; i < part; ++i) x[i] = 1, y[i] = 2, z[i] = 3;
  });
  for (int run = 0; run < 20; ++run) {
    double const copy = sweep([&](float const* x, float* y, float*) { std::copy_n(x, part, y); });
    double const triad = sweep([&](float const* x, float const* y, float* z) {
      for (std::size_t i = 0; i < part; ++i) z[i] = x[i] + 0.5f * y[i];
    });
    peaks.copy_gbytes = std::max(peaks.copy_gbytes, 8e-9 * static_cast<double>(count) / copy);
    peaks.triad_gbytes = std::max(peaks.triad_gbytes, 12e-9 * static_cast<double>(count) / triad);
  }
  return peaks;
}

}  // namespace kovos
