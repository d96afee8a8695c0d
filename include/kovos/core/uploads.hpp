// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "kovos/core/tensor.hpp"

namespace kovos {

/// Small arrays on their way to a device: each is set aside in memory of its own and queued behind the kernels of the
/// instance, so that the caller neither waits nor has to keep it. Thread-safe.
template <class Exec>
class Uploads {
 public:
  static constexpr std::size_t largest = std::size_t{1} << 16;   ///< bytes of an array that is set aside
  static constexpr std::size_t capacity = std::size_t{1} << 20;  ///< bytes on their way at once

  explicit Uploads(Exec exec) : exec_(std::move(exec)) {}
  Uploads(Uploads const&) = delete;
  Uploads& operator=(Uploads const&) = delete;
  ~Uploads() {
    if (used_ > 0) exec_.fence("kovos::Uploads: their memory goes");
  }

  /// Copies host memory to the device in the order of the instance. On return the source is no longer needed.
  /// Waits for the instance if the array is larger than `largest` or `capacity` bytes are on their way already.
  template <class T, class Memory>
  void copy(T const* from, std::size_t size, T* to) {
    std::size_t const bytes = size * sizeof(T);
    if (bytes == 0) return;
    std::lock_guard const lock(mutex_);
    if (bytes > largest) {
      queue<T, Memory>(from, size, to);
      finish("kovos::Uploads: a large array");
      return;
    }
    if (bytes > capacity - used_) finish("kovos::Uploads: no more room");
    if (!aside_) aside_ = std::make_unique<std::byte[]>(capacity);
    std::byte* const place = aside_.get() + used_;
    std::memcpy(place, from, bytes);
    used_ += (bytes + alignment - 1) / alignment * alignment;
    queue<T, Memory>(reinterpret_cast<T const*>(place), size, to);
  }

  /// Waits for the instance; nothing is on its way then.
  void fence(char const* label) {
    std::lock_guard const lock(mutex_);
    finish(label);
  }

 private:
  static constexpr std::size_t alignment = 64;
  static_assert(capacity % alignment == 0, "kovos::Uploads: used_ may not pass the end");

  template <class T, class Memory>
  void queue(T const* from, std::size_t size, T* to) {
    using Flat = dynamic_extents<1>;
    Kokkos::deep_copy(exec_, TensorView<T, Flat, Memory>(to, Flat(size)).kokkos_view(),
                      TensorView<T const, Flat>(from, Flat(size)).kokkos_view());
  }

  void finish(char const* label) {
    exec_.fence(label);
    used_ = 0;
  }

  Exec exec_;
  std::mutex mutex_;
  std::unique_ptr<std::byte[]> aside_;
  std::size_t used_ = 0;
};

}  // namespace kovos
