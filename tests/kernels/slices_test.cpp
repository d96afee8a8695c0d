// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/slices.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <vector>

#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("slices of groups are taken by tiles that never hold two groups, and know theirs") {
  for_each_host_context([](auto const& context) {
    for (std::size_t const groups : {1u, 2u, 3u})
      for (std::size_t const of_group : {1u, 5u, 12u})
        for (std::size_t const tile : {0u, 1u, 4u, 100u}) {
          auto const x = random_tensor<float>(1, 1, groups * of_group, 3, 2, 4);
          Values expected = values(x);
          for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += static_cast<double>(i / (of_group * 24));
          std::atomic<std::size_t> wrong = 0, slices = 0;
          auto const add_group = [&](auto const& c, auto const& part, std::size_t group, auto const&) {
            std::size_t const first = static_cast<std::size_t>(part.data() - x.data()) / 24;
            wrong += first / of_group != group || (first + part.extent(0) - 1) / of_group != group;
            slices += part.extent(0);
            auto const y = copy_of(c, part);
            for (std::size_t i = 0; i < y.size(); ++i) y.data()[i] += static_cast<float>(group);
            return y;
          };
          auto const y = map_slices(context, "kovos::test", x, dynamic_extents<2>(groups * of_group, 24),
                                    SliceTiles{tile, groups}, Unobserved{}, add_group);
          context.fence();
          CHECK(wrong == 0);
          CHECK(slices == groups * of_group);
          CHECK(close(values(y), expected, 1e-6));
          auto const z = map_groups(context, x, groups, [](auto const& c, auto const& part, std::size_t group) {
            auto const copy = copy_of(c, part);
            for (std::size_t i = 0; i < copy.size(); ++i) copy.data()[i] += static_cast<float>(group);
            return copy;
          });
          context.fence();
          CHECK(close(values(z), expected, 1e-6));
          map_slices_in_place(context, "kovos::test", x, SliceTiles{tile, groups}, Unobserved{}, add_group);
          context.fence();
          CHECK(wrong == 0);
          CHECK(close(values(x), expected, 1e-6));
        }
  });
}

TEST_CASE("columns of groups, side by side or at once") {
  for_each_host_context([](auto const& context) {
    for (std::size_t const groups : {1u, 3u})
      for (std::size_t const length : {1u, 7u, 30u}) {
        auto const x = random_tensor<float>(1, 1, groups * 2, length, 3);
        Values expected = values(x);
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += static_cast<double>(i / (2 * length * 3));
        auto const y =
            map_columns(context, "kovos::test", x, groups, 4, [](auto const& c, auto const& part, std::size_t group) {
              auto const copy = copy_of(c, part);
              for (std::size_t i = 0; i < copy.size(); ++i) copy.data()[i] += static_cast<float>(group);
              return copy;
            });
        context.fence();
        CHECK(close(values(y), expected, 1e-6));
      }
  });
}

TEST_CASE("groups that are not equal") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 7, 2, 2, 1);
  auto const same = [](auto const&, auto const& part, auto const&...) { return part; };
  char const* const sentence = "[SliceTiles] 7 slices are not 2 equal groups";
  CHECK(message_of<ShapeError>([&] {
          map_slices_in_place(context, "kovos::test", x, SliceTiles{1, 2}, Unobserved{}, same);
        }) == sentence);
  CHECK(message_of<ShapeError>([&] { map_groups(context, x, 2, same); }) == sentence);
}
