// SPDX-License-Identifier: Apache-2.0
// Where figures were measured: written beside every one of them.
#pragma once

#include <Kokkos_Core.hpp>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/version.hpp"

namespace kovos::bench {

using Json = nlohmann::ordered_json;

/// The value behind "name : value" or "name: value" of a file in /proc; empty if there is none.
inline std::string proc_value(char const* file, std::string const& name) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    auto const colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    auto const value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

inline std::string environment(char const* name) {
  char const* const value = std::getenv(name);
  return value ? value : "unknown";
}

inline double load_average() {
  double load = 0;
  std::ifstream("/proc/loadavg") >> load;
  return load;
}

inline std::string compiler() {
#ifdef __clang__
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

/// bench/run.sh hands over the commit and whether the tree is clean.
template <class Exec>
Json machine(Context<Exec> const& context) {
  char date[32] = "";
  std::time_t const now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  Json record;
  record["date"] = date;
  record["cpu"] = proc_value("/proc/cpuinfo", "model name");
  record["memory"] = proc_value("/proc/meminfo", "MemTotal");
  record["threads"] = context.exec().concurrency();
  record["execution_space"] = Exec::name();
  record["engine"] = engine_name(context);
  record["kokkos"] = std::to_string(KOKKOS_VERSION / 10000) + "." + std::to_string(KOKKOS_VERSION / 100 % 100) + "." +
                     std::to_string(KOKKOS_VERSION % 100);
  record["compiler"] = compiler();
#ifdef __OPTIMIZE__
  record["optimised"] = true;
#else
  record["optimised"] = false;
#endif
  record["kovos"] = KOVOS_VERSION_STRING;
  record["commit"] = environment("KOVOS_BENCH_COMMIT");
  record["tree"] = environment("KOVOS_BENCH_TREE");
  record["load_average_before"] = load_average();
  return record;
}

}  // namespace kovos::bench
