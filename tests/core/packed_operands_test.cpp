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
