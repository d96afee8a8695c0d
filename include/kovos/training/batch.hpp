// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

namespace kovos {

/// f(0) ... f(count - 1) on the host's threads. The first exception is thrown again here.
template <class F>
auto make_samples(std::size_t count, F const& f) {
  using Sample = decltype(f(std::size_t{0}));
  std::vector<Sample> samples(count);
  std::exception_ptr failure;
  std::mutex mutex;
  using Host = Kokkos::DefaultHostExecutionSpace;
  Kokkos::parallel_for("kovos::make_samples", Kokkos::RangePolicy<Host, Kokkos::Schedule<Kokkos::Dynamic>>(0, count),
                       [&](std::size_t i) {
                         try {
                           samples[i] = f(i);
                         } catch (...) {
                           std::lock_guard lock(mutex);
                           if (!failure) failure = std::current_exception();
                         }
                       });
  Host().fence();
  if (failure) std::rethrow_exception(failure);
  return samples;
}

/// A number below `bound`, the same on every machine.
inline std::size_t draw_below(std::mt19937_64& random, std::size_t bound) {
  return static_cast<std::size_t>(random() % bound);
}

/// The generator of sample number `index` of a run.
inline std::mt19937_64 sample_random(std::uint64_t seed, std::uint64_t index) {
  std::seed_seq sequence{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                         static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32)};
  return std::mt19937_64(sequence);
}

/// The order in which a data set of `size` samples is gone through: another permutation in each epoch.
class EpochOrder {
 public:
  EpochOrder(std::size_t size, std::uint64_t seed) : seed_(seed), order_(size) {}

  /// Which sample stands at `position`, counted through all epochs.
  std::size_t operator()(std::size_t position) {
    std::size_t const epoch = position / order_.size();
    if (epoch != epoch_) {
      epoch_ = epoch;
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      auto random = sample_random(seed_ ^ 0x6F72646572u, epoch);
      for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[draw_below(random, i)]);
    }
    return order_[position % order_.size()];
  }

 private:
  std::uint64_t seed_;
  std::size_t epoch_ = static_cast<std::size_t>(-1);
  std::vector<std::size_t> order_;
};

}  // namespace kovos
