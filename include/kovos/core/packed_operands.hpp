// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <compare>
#include <cstddef>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "kovos/core/tensor.hpp"

namespace kovos {

/// Weights in the order in which an engine reads them: made when first needed, kept for the next time. Only of memory
/// that was declared constant, because nothing tells when other memory changes. Thread-safe.
template <class Memory>
class PackedOperands {
 public:
  /// What was packed, and how: address, extents and strides of the source, and the layout it was brought into.
  struct Key {
    void const* data = nullptr;
    std::array<std::size_t, 6> layout{};
    friend auto operator<=>(Key const&, Key const&) = default;
  };

  /// From now on these bytes do not change. The owner keeps them, so that no other tensor takes their place.
  void declare_constant(void const* data, std::size_t bytes, std::shared_ptr<void const> owner) {
    std::unique_lock const lock(mutex_);
    auto const* const first = static_cast<std::byte const*>(data);
    constants_.insert_or_assign(first, Constant{first + bytes, std::move(owner)});
  }

  /// The elements kept under this key. If there are none, make(tensor) fills them: a tensor that is kept if the source
  /// is constant, else one of allocate().
  template <class T, class Allocate, class Make>
  DynamicTensor<T, 1, Memory> get(Key const& key, std::size_t size, Allocate const& allocate, Make const& make) {
    if (!is_constant(key.data)) {
      auto const tensor = allocate();
      make(tensor);
      return tensor;
    }
    {
      std::shared_lock const lock(mutex_);
      if (auto const found = packed_.find(key); found != packed_.end()) return view<T>(found->second, size);
    }
    std::unique_lock const lock(mutex_);
    auto const [place, is_new] = packed_.try_emplace(key);
    if (is_new) {
      DynamicTensor<T, 1, Memory> const tensor(dynamic_extents<1>{size});
      make(tensor);
      bytes_ += size * sizeof(T);
      place->second = tensor.owner();
    }
    return view<T>(place->second, size);
  }

  /// How much is kept.
  std::size_t bytes() const {
    std::shared_lock const lock(mutex_);
    return bytes_;
  }

 private:
  struct Constant {
    std::byte const* end;
    std::shared_ptr<void const> owner;
  };

  bool is_constant(void const* data) const {
    std::shared_lock const lock(mutex_);
    auto const* const byte = static_cast<std::byte const*>(data);
    auto const next = constants_.upper_bound(byte);
    return next != constants_.begin() && byte < std::prev(next)->second.end;
  }

  template <class T>
  static DynamicTensor<T, 1, Memory> view(std::shared_ptr<void const> const& memory, std::size_t size) {
    return {static_cast<T*>(const_cast<void*>(memory.get())), dynamic_extents<1>{size}, memory};
  }

  mutable std::shared_mutex mutex_;
  std::map<std::byte const*, Constant> constants_;
  std::map<Key, std::shared_ptr<void const>> packed_;
  std::size_t bytes_ = 0;
};

}  // namespace kovos
