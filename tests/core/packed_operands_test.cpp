// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/packed_operands.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("only constant memory is packed once, and what was packed is kept as long as its owner lives") {
  PackedOperands<Kokkos::HostSpace> packed;
  int made = 0;
  auto const get = [&](float const* from, std::size_t layout) {
    return packed.get<float>(
        {from, {layout}}, 4, [] { return DynamicTensor<float, 1>(dynamic_extents<1>{4}); },
        [&](auto const& to) {
          ++made;
          for (std::size_t i = 0; i < 4; ++i) to.data()[i] = from[i] + static_cast<float>(layout);
        });
  };
  auto memory = std::make_shared<std::vector<float>>(8, 1.0f);
  CHECK(get(memory->data(), 0).data()[0] == 1);
  (*memory)[0] = 2;
  CHECK(get(memory->data(), 0).data()[0] == 2);
  CHECK(made == 2);
  CHECK(packed.bytes() == 0);

  float const* const first = memory->data();
  packed.declare_constant(first, 8 * sizeof(float), memory);
  auto const one = get(first, 0);
  CHECK(get(first, 0).data() == one.data());
  CHECK(made == 3);
  CHECK(get(first, 5).data()[0] == 7);      // another layout
  CHECK(get(first + 4, 0).data()[0] == 1);  // a part of the same weight
  CHECK(made == 5);
  CHECK(packed.bytes() == 3 * 4 * sizeof(float));

  // Other weights may live at the same address later.
  std::vector<float> values(8, 3.0f);
  auto owner = std::make_shared<int>(0);
  packed.declare_constant(values.data(), 8 * sizeof(float), owner);
  CHECK(get(values.data(), 0).data()[0] == 3);
  owner.reset();
  values[0] = 4;
  CHECK(get(values.data(), 0).data()[0] == 4);
  owner = std::make_shared<int>(0);
  packed.declare_constant(values.data(), 8 * sizeof(float), owner);
  CHECK(get(values.data(), 0).data()[0] == 4);
  CHECK(packed.bytes() == 4 * 4 * sizeof(float));
  std::vector<float> unowned(4, 1.0f);
  packed.declare_constant(unowned.data(), 16, nullptr);
  CHECK(get(unowned.data(), 0).data()[0] == 1);
  unowned[0] = 5;
  CHECK(get(unowned.data(), 0).data()[0] == 5);
}

TEST_CASE("what was packed can be listed and put back") {
  using Packed = PackedOperands<Kokkos::HostSpace>;
  auto const weight = std::make_shared<std::vector<float>>(4, 1.0f);
  auto const get = [&](Packed& packed, PackedKey const& key, std::size_t size) {
    return packed.get<float>(
        key, size, [&] { return DynamicTensor<float, 1>(dynamic_extents<1>{size}); },
        [&](auto const& to) {
          for (std::size_t i = 0; i < size; ++i) to.data()[i] = static_cast<float>(i) + 1;
        });
  };
  int second = 0;
  Packed first;
  first.declare_constant(weight->data(), 16, weight);
  auto const once = get(first, {weight->data(), {1}, &second}, 4);
  // What is kept is constant itself.
  CHECK(first.is_constant(once.data()));
  auto const twice = get(first, {once.data(), {2}}, 2);
  CHECK(get(first, {once.data(), {2}}, 2).data() == twice.data());
  CHECK(get(first, {weight->data(), {1}}, 4).data() != once.data());  // without the second source it is another
  CHECK(first.made() == 3);
  auto const entries = first.entries();
  CHECK(entries.size() == 3);

  Packed other;
  for (auto const& entry : entries) other.put(entry.key, entry.memory, entry.bytes);
  CHECK(other.bytes() == 0);  // nothing is constant there
  other.declare_constant(weight->data(), 16, weight);
  for (int round = 0; round < 2; ++round)
    for (auto const& entry : entries) other.put(entry.key, entry.memory, entry.bytes);
  CHECK(other.entries().size() == 3);
  CHECK(get(other, {weight->data(), {1}, &second}, 4).data() == once.data());
  CHECK(get(other, {once.data(), {2}}, 2).data() == twice.data());
  CHECK(other.made() == 0);
  CHECK(get(other, {once.data(), {2}}, 3).data() != twice.data());  // of another size: made again, once
  CHECK(get(other, {once.data(), {2}}, 3).data()[2] == 3);
  CHECK(other.made() == 1);
}

TEST_CASE("with the weights goes what was made of what was made of them") {
  PackedOperands<Kokkos::HostSpace> packed;
  std::vector<float> weight(4, 1.0f), kept(4, 2.0f), again(4, 3.0f), next(4, 4.0f);
  auto const lent = [](std::vector<float>& memory) {
    return std::shared_ptr<void const>(memory.data(), [](void const*) {});
  };
  auto const owner = std::make_shared<std::shared_ptr<void const>>(lent(weight));
  packed.declare_constant(weight.data(), 16, *owner);
  packed.put({weight.data(), {}}, lent(kept), 16);
  packed.put({kept.data(), {}}, lent(again), 16);
  packed.put({again.data(), {}}, lent(next), 16);
  CHECK(packed.bytes() == 48);
  owner->reset();
  // Any of these addresses may be those of new weights now.
  std::vector<float> new_weight(4, 5.0f);
  auto const new_owner = lent(new_weight);
  packed.declare_constant(new_weight.data(), 16, new_owner);
  CHECK(packed.bytes() == 0);
  for (auto const* memory : {&weight, &kept, &again, &next}) CHECK(!packed.is_constant(memory->data()));
}
