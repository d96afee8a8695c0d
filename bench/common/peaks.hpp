// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, measured: the floor under every other figure.
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <memory>

#include "common/measure.hpp"
#include "kovos/core/config.hpp"

namespace kovos::bench {

struct Peaks {
  double fma_gflops = 0;    // fp32 multiply-adds in registers, all threads, widest instruction set
  double copy_gbytes = 0;   // b = a, bytes read and written, all threads, arrays of 256 MB
  double triad_gbytes = 0;  // c = a + s b
  char const* isa = "baseline";
};

namespace detail {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
// Twelve independent sums hide the latency of any multiply-add; no lambdas, they would not inherit the target.
#define KOVOS_BENCH_FMA(name, bytes, features)                                       \
  features inline float name(std::size_t rounds) {                                   \
    typedef float vec __attribute__((vector_size(bytes)));                           \
    vec sum[12];                                                                     \
    for (int i = 0; i < 12; ++i) sum[i] = vec{} + static_cast<float>(i);             \
    vec const a = vec{} + 0.999f, b = vec{} + 0.001f;                                \
    for (std::size_t r = 0; r < rounds; ++r) {                                       \
      _Pragma("GCC unroll 12") for (int i = 0; i < 12; ++i) sum[i] = sum[i] * a + b; \
    }                                                                                \
    vec total{};                                                                     \
    for (int i = 0; i < 12; ++i) total += sum[i];                                    \
    return total[0];                                                                 \
  }
KOVOS_BENCH_FMA(fma_baseline, 16, )
#ifdef KOVOS_HOST_ENGINE_X86
KOVOS_BENCH_FMA(fma_avx2, 32, __attribute__((target("avx2,fma"))))
KOVOS_BENCH_FMA(fma_avx512, 64, __attribute__((target("avx512f,fma"))))
#endif
#undef KOVOS_BENCH_FMA
#pragma GCC diagnostic pop

}  // namespace detail

/// Takes some seconds; the best of several runs counts, because a peak is what nothing disturbs.
template <class Exec>
Peaks measure_peaks(Context<Exec> const& context) {
  Peaks peaks;
  auto const threads = static_cast<std::size_t>(context.exec().concurrency());
  float (*kernel)(std::size_t) = detail::fma_baseline;
  std::size_t lanes = 4;
#ifdef KOVOS_HOST_ENGINE_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    kernel = detail::fma_avx2, lanes = 8, peaks.isa = "avx2";
  if (__builtin_cpu_supports("avx512f")) kernel = detail::fma_avx512, lanes = 16, peaks.isa = "avx512";
#endif
  std::size_t const rounds = 2'000'000;
  std::unique_ptr<float[]> const sink(new float[threads]);
  for (int run = 0; run < 100; ++run) {
    double const t = seconds([&] {
      kovos::detail::for_each_task(context, "peak", threads, threads,
                                   [&](std::size_t task, std::size_t) { sink[task] = kernel(rounds); });
    });
    peaks.fma_gflops = std::max(peaks.fma_gflops, 2e-9 * 12 * static_cast<double>(lanes * rounds * threads) / t);
  }

  std::size_t const count = std::size_t{1} << 26, part = count / 64;
  std::unique_ptr<float[]> const a(new float[count]), b(new float[count]), c(new float[count]);
  auto const sweep = [&](auto const& body) {
    return seconds([&] {
      kovos::detail::for_each_task(context, "bandwidth", threads, 64, [&](std::size_t task, std::size_t) {
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

inline Json as_json(Peaks const& p) {
  return {
      {"fma_gflops", p.fma_gflops}, {"isa", p.isa}, {"copy_gbytes", p.copy_gbytes}, {"triad_gbytes", p.triad_gbytes}};
}

}  // namespace kovos::bench
