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
#include <vector>

#include "kovos/core/tensor.hpp"

namespace kovos {

/// What was packed, and how: address, extents and strides of the source, the layout it was brought into, and a second
/// source if there is one. The layout holds no addresses.
struct PackedKey {
  void const* data = nullptr;
  std::array<std::size_t, 6> layout{};
  void const* second = nullptr;
  friend auto operator<=>(PackedKey const&, PackedKey const&) = default;
};

/// Weights in the order in which an engine reads them: made when first needed, kept for the next time as long as the
/// weights live. Only of memory that was declared constant, because nothing tells when other memory changes. What is
/// kept can be listed, written down and put back in another process, where its weights have other addresses.
/// Thread-safe.
template <class Memory>
class PackedOperands {
 public:
  using Key = PackedKey;

  /// Something that is kept.
  struct Entry {
    Key key;
    std::shared_ptr<void const> memory;
    std::size_t bytes = 0;
  };

  /// These bytes do not change as long as their owner lives; without an owner nothing is kept of them.
  void declare_constant(void const* data, std::size_t bytes, std::shared_ptr<void const> const& owner) {
    std::unique_lock const lock(mutex_);
    add_constant(data, bytes, owner);
  }

  /// Whether this byte was declared constant and still lives.
  bool is_constant(void const* data) const {
    std::shared_lock const lock(mutex_);
    auto const* const byte = static_cast<std::byte const*>(data);
    auto const next = constants_.upper_bound(byte);
    if (next == constants_.begin()) return false;
    auto const& constant = std::prev(next)->second;
    return byte < constant.end && !constant.owner.expired();
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
      if (auto const* const found = find(key, size * sizeof(T))) return view<T>(found->memory, size);
    }
    std::unique_lock const lock(mutex_);
    if (auto const* const found = find(key, size * sizeof(T))) return view<T>(found->memory, size);
    DynamicTensor<T, 1, Memory> const tensor(dynamic_extents<1>{size});
    make(tensor);
    ++made_;
    keep(key, Packed{tensor.owner(), size * sizeof(T)});
    return tensor;
  }

  /// Keeps what another process made under this key, so that get() need not make it. Only of memory that was declared
  /// constant; what has another size than get() asks for is made again.
  void put(Key const& key, std::shared_ptr<void const> memory, std::size_t bytes) {
    if (!is_constant(key.data)) return;
    std::unique_lock const lock(mutex_);
    if (!packed_.contains(key)) keep(key, Packed{std::move(memory), bytes});
  }

  /// All that is kept.
  std::vector<Entry> entries() const {
    std::shared_lock const lock(mutex_);
    std::vector<Entry> list;
    for (auto const& [key, packed] : packed_) list.push_back({key, packed.memory, packed.bytes});
    return list;
  }

  /// How often something was made to be kept.
  std::size_t made() const {
    std::shared_lock const lock(mutex_);
    return made_;
  }

  /// How much is kept.
  std::size_t bytes() const {
    std::shared_lock const lock(mutex_);
    std::size_t sum = 0;
    for (auto const& entry : packed_) sum += entry.second.bytes;
    return sum;
  }

 private:
  struct Constant {
    std::byte const* end;
    std::weak_ptr<void const> owner;
  };
  struct Packed {
    std::shared_ptr<void const> memory;
    std::size_t bytes = 0;
  };

  void add_constant(void const* data, std::size_t bytes, std::shared_ptr<void const> const& owner) {
    auto const* const first = static_cast<std::byte const*>(data);
    auto const known = constants_.find(first);
    if (known != constants_.end() && !known->second.owner.expired()) return;
    forget_the_dead();
    constants_.insert_or_assign(first, Constant{first + bytes, owner});
  }

  Packed const* find(Key const& key, std::size_t bytes) const {
    auto const found = packed_.find(key);
    return found != packed_.end() && found->second.bytes == bytes ? &found->second : nullptr;
  }

  /// What is kept is as constant as what it was made of, and may be packed once as well.
  void keep(Key const& key, Packed const& packed) {
    packed_.erase(key);
    add_constant(packed.memory.get(), packed.bytes, packed.memory);
    packed_.emplace(key, packed);
  }

  /// Drops weights whose owners are gone and what was packed of them: their addresses may be used again. What was
  /// dropped may itself have been packed, so this is repeated.
  void forget_the_dead() {
    for (bool again = true; again;) {
      again = false;
      for (auto constant = constants_.begin(); constant != constants_.end();) {
        if (!constant->second.owner.expired()) {
          ++constant;
          continue;
        }
        auto const first = packed_.lower_bound(Key{constant->first, {}});
        auto const last = packed_.lower_bound(Key{constant->second.end, {}});
        again = again || first != last;
        packed_.erase(first, last);
        constant = constants_.erase(constant);
      }
    }
  }

  template <class T>
  static DynamicTensor<T, 1, Memory> view(std::shared_ptr<void const> const& memory, std::size_t size) {
    return {static_cast<T*>(const_cast<void*>(memory.get())), dynamic_extents<1>{size}, memory};
  }

  mutable std::shared_mutex mutex_;
  std::map<std::byte const*, Constant> constants_;
  std::map<Key, Packed> packed_;
  std::size_t made_ = 0;
};

}  // namespace kovos
