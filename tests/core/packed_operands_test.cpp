// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/packed_operands.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("only constant memory is packed once, and it is kept as long as what was packed of it") {
  PackedOperands<Kokkos::HostSpace> packed;
  int made = 0;
  auto const get = [&](float const* from, std::size_t layout) {
    return packed.get<float>({from, {layout}}, 4, [] { return DynamicTensor<float, 1>(dynamic_extents<1>{4}); },
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

  std::weak_ptr<std::vector<float>> const alive = memory;
  float const* const first = memory->data();
  packed.declare_constant(first, 8 * sizeof(float), memory);
  memory.reset();
  CHECK_FALSE(alive.expired());  // else another tensor could take its place
  auto const one = get(first, 0);
  CHECK(get(first, 0).data() == one.data());
  CHECK(made == 3);
  CHECK(get(first, 5).data()[0] == 7);      // another layout
  CHECK(get(first + 4, 0).data()[0] == 1);  // a part of the same weight
  CHECK(made == 5);
  CHECK(packed.bytes() == 3 * 4 * sizeof(float));
}
