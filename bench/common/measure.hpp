// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "common/machine.hpp"

namespace kovos::bench {

template <class F>
double seconds(F const& f) {
  auto const start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// 0 for no values.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  std::size_t const n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// Largest resident memory of this process, bytes, file pages that are mapped and touched included.
inline std::size_t peak_resident_bytes() {
  auto const value = proc_value("/proc/self/status", "VmHWM");
  return value.empty() ? 0 : std::stoul(value) * 1024;
}

/// Starts the peak again from what is resident now; memory that was freed goes back to the system first.
inline void reset_peak_resident() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
}

/// A random stream that is the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint32_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33);
  }
  /// In [0, n).
  std::size_t below(std::size_t n) { return next() % n; }
  /// In [-1, 1).
  float symmetric() { return static_cast<float>(next()) / 1073741824.0f - 1.0f; }

 private:
  std::uint64_t state_;
};

}  // namespace kovos::bench
