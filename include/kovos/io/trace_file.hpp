// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <utility>

#include "kovos/core/trace_event.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// Writes events in the Trace Event Format (JSON), which https://ui.perfetto.dev and chrome://tracing show; through a
/// temporary name. Throws FileError.
inline void write_trace(std::filesystem::path const& path, std::span<TraceEvent const> events) {
  nlohmann::ordered_json json;
  json["displayTimeUnit"] = "ms";
  auto& list = json["traceEvents"] = nlohmann::ordered_json::array();
  for (auto const& event : events) {
    nlohmann::ordered_json one;
    if (event.begins) one["name"] = event.name;
    one["ph"] = event.begins ? "B" : "E";
    one["ts"] = event.seconds * 1e6;  // microseconds
    one["pid"] = 1;
    one["tid"] = event.thread;
    list.push_back(std::move(one));
  }
  write_file_atomically(path, [&](std::ostream& stream) {
    stream << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  });
}

}  // namespace kovos
