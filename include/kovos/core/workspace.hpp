// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/tensor.hpp"

namespace kovos {

/// Reusable memory for intermediate tensors: blocks return here when their tensors die and are handed out again, so
/// that a second pass of the same shapes allocates nothing. Thread-safe.
template <class Memory>
class Workspace : public std::enable_shared_from_this<Workspace<Memory>> {
 public:
  Workspace() = default;
  Workspace(Workspace const&) = delete;
  Workspace& operator=(Workspace const&) = delete;
  ~Workspace() { release(); }

  /// Uninitialised memory of at least the given bytes for a tensor of these extents; 64-byte aligned as Kokkos
  /// allocations are. Throws DeviceError if there is none even without the blocks that nobody uses.
  template <class Shape>
  std::shared_ptr<void> allocate(std::size_t bytes, Shape const& extents) {
    std::size_t const rounded = round_up(bytes);
    void* block = nullptr;
    {
      std::lock_guard lock(mutex_);
      // Never a block of another size, though larger: what it was made for would not find it the next time.
      auto const found = free_.find(rounded);
      if (found != free_.end()) {
        block = found->second.back();
        found->second.pop_back();
        if (found->second.empty()) free_.erase(found);
        return share(block, rounded);
      }
    }
    try {
      block = detail::allocate<Memory>("kovos::workspace", rounded, extents);
    } catch (DeviceError const&) {
      release();
      block = detail::allocate<Memory>("kovos::workspace", rounded, extents);
    }
    {
      std::lock_guard lock(mutex_);
      ++allocations_;
      held_ += rounded;
      peak_ = std::max(peak_, held_);
    }
    return share(block, rounded);
  }

  /// An uninitialised tensor whose memory comes back here when its last copy dies. Throws DeviceError as above.
  template <class T, class Shape>
  Tensor<T, Shape, Memory> tensor(Shape extents) {
    if (extents.size() == 0) return Tensor<T, Shape, Memory>(nullptr, extents, nullptr);
    auto block = allocate(extents.size() * sizeof(T), extents);
    auto* data = static_cast<T*>(block.get());
    return Tensor<T, Shape, Memory>(data, extents, std::move(block));
  }

  /// Gives all unused blocks back to the system.
  void release() {
    std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : free_)
      for (void* block : blocks) {
        Kokkos::kokkos_free<Memory>(block);
        held_ -= size;
      }
    free_.clear();
    for (auto const& part : parts_) part->release();
  }

  /// The workspace of one of several threads that work side by side: theirs alone, so that a block handed out again is
  /// still in the cache of the core that had it. Kept as long as this one.
  std::shared_ptr<Workspace> part(std::size_t worker) {
    std::lock_guard lock(mutex_);
    while (parts_.size() <= worker) parts_.push_back(std::make_shared<Workspace>());
    return parts_[worker];
  }

  /// How often memory was asked of the system.
  std::size_t allocations() const {
    std::size_t count = allocations_;
    for (auto const& part : parts_) count += part->allocations();
    return count;
  }
  /// Largest number of bytes held at once, in use or not; with parts the sum of their largest numbers.
  std::size_t peak_bytes() const {
    std::size_t bytes = peak_;
    for (auto const& part : parts_) bytes += part->peak_bytes();
    return bytes;
  }

 private:
  /// Four sizes between a power of two and the next: few enough for pictures of all sizes to share them.
  static std::size_t round_up(std::size_t bytes) {
    std::size_t const granule = std::max<std::size_t>(256, std::bit_floor(bytes) / 4);
    return (bytes + granule - 1) / granule * granule;
  }

  std::shared_ptr<void> share(void* block, std::size_t size) {
    return {block, [self = this->shared_from_this(), size](void* p) {
              std::lock_guard lock(self->mutex_);
              self->free_[size].push_back(p);
            }};
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  std::vector<std::shared_ptr<Workspace>> parts_;
  std::size_t allocations_ = 0;
  std::size_t held_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace kovos
