// SPDX-License-Identifier: Apache-2.0
// On a host execution space, whose copies are queued the same way.

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "kovos/core/uploads.hpp"
#include "support/tools_probe.hpp"

namespace {

using namespace kovos;
using kovos::test::ToolsProbe;
using Exec = Kokkos::DefaultHostExecutionSpace;
using Memory = Exec::memory_space;

std::size_t ours(std::vector<std::string> const& fences) { return fences.size() - ToolsProbe::foreign(fences).size(); }

}  // namespace

TEST_CASE("uploads: nobody waits for a small array, and its source may go at once") {
  Uploads<Exec> uploads{Exec()};
  Tensor<int, dynamic_extents<1>> const there(dynamic_extents<1>{30});
  ToolsProbe probe;
  std::vector<int> here(3);
  for (int i = 0; i < 10; ++i) {
    here = {i, i + 1, i + 2};
    uploads.copy<int, Memory>(here.data(), here.size(), there.data() + 3 * i);
    here.assign(3, -1);
  }
  uploads.copy<int, Memory>(nullptr, 0, nullptr);
  CHECK(ours(probe.fences) == 0);
  CHECK(probe.copies.size() == 10);
  uploads.fence("kovos::test");
  CHECK(ours(probe.fences) == 1);
  for (int i = 0; i < 30; ++i) CHECK(there(static_cast<std::size_t>(i)) == i / 3 + i % 3);
}

TEST_CASE("uploads: one that is large, and a small one without room left, wait") {
  std::size_t const most = Uploads<Exec>::largest;
  std::vector<char> const here(most + 1, 'k');
  Tensor<char, dynamic_extents<1>> const there(dynamic_extents<1>{most + 1});
  Uploads<Exec> uploads{Exec()};
  ToolsProbe probe;
  uploads.copy<char, Memory>(here.data(), most + 1, there.data());
  CHECK(ours(probe.fences) == 1);
  CHECK(there(most) == 'k');
  std::size_t const fit = Uploads<Exec>::capacity / most;
  for (std::size_t round = 1; round <= 3; ++round) {
    for (std::size_t i = 0; i < fit; ++i) uploads.copy<char, Memory>(here.data(), most, there.data());
    CHECK(ours(probe.fences) == round);
  }
  uploads.copy<char, Memory>(here.data(), 1, there.data());
  CHECK(ours(probe.fences) == 4);
}

TEST_CASE("uploads: what is on its way when they go is waited for") {
  int const here = 7;
  Tensor<int, dynamic_extents<1>> const there(dynamic_extents<1>{1});
  ToolsProbe probe;
  { Uploads<Exec> const unused{Exec()}; }
  CHECK(ours(probe.fences) == 0);
  {
    Uploads<Exec> uploads{Exec()};
    uploads.copy<int, Memory>(&here, 1, there.data());
  }
  CHECK(ours(probe.fences) == 1);
  CHECK(there(0) == 7);
}
