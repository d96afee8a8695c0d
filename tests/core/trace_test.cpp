// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/trace.hpp"

#include <doctest/doctest.h>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"

using namespace kovos;

namespace {

void work() {
  Kokkos::Profiling::ScopedRegion const region("outer");
  Kokkos::parallel_for("inner", Kokkos::RangePolicy<>(0, 10), KOKKOS_LAMBDA(int){});
  Kokkos::fence("wait");
}

}  // namespace

TEST_CASE("a trace hears regions, loops and fences, nested as they ran, and nothing before or after") {
  work();
  std::vector<TraceEvent> events;
  {
    Kokkos::Profiling::pushRegion("begun before");
    // Its end is heard alone and must not be told.
    Trace const trace;
    Kokkos::Profiling::popRegion();
    work();
    events = trace.events();
    work();
    CHECK(trace.events().size() == 2 * events.size());
  }
  work();
  REQUIRE(events.size() >= 6);
  CHECK(events.front().name == "outer");
  std::vector<std::string> open;
  bool inner = false, wait = false;
  double last = 0;
  for (auto const& event : events) {
    CHECK(event.seconds >= last);
    CHECK(event.thread == 0);
    last = event.seconds;
    if (event.begins) {
      open.push_back(event.name);
      if (event.name == "inner" || event.name == "wait") {
        CHECK(open.front() == "outer");
        (event.name == "inner" ? inner : wait) = true;
      }
    } else {
      REQUIRE(!open.empty());
      open.pop_back();
    }
  }
  CHECK(open.empty());
  CHECK(inner);
  CHECK(wait);
}

TEST_CASE("one trace at a time; the next may begin when it has ended") {
  {
    Trace const trace;
    CHECK_THROWS_AS(Trace(), ConfigError);
    work();
    CHECK(!trace.events().empty());
  }
  Trace const next;
  CHECK(next.events().empty());
}
