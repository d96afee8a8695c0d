// SPDX-License-Identifier: Apache-2.0
#include "kovos/io/trace_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "kovos/core/error.hpp"
#include "support.hpp"

using namespace kovos;

TEST_CASE("events become the Trace Event Format, in microseconds, whatever is in their names") {
  test::TemporaryFolder const folder;
  auto const path = folder.path() / "trace.json";
  write_trace(
      path,
      std::vector<TraceEvent>{
          {"a \"quoted\"\nname", true, 0.5, 0}, {"\xff", true, 0.75, 3}, {"", false, 1.0, 3}, {"", false, 1.5, 0}});
  std::ifstream stream(path);
  auto const json = nlohmann::json::parse(stream);
  auto const& events = json.at("traceEvents");
  REQUIRE(events.size() == 4);
  CHECK(events[0].at("name") == "a \"quoted\"\nname");
  CHECK(events[0].at("ph") == "B");
  CHECK(events[0].at("ts") == doctest::Approx(5e5));
  CHECK(events[1].at("tid") == 3);
  CHECK(events[2].at("ph") == "E");
  CHECK(!events[2].contains("name"));
  CHECK_THROWS_AS(write_trace(folder.path() / "none" / "trace.json", {}), FileError);
}
