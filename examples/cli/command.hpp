// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kovos::cli {

/// What the process returns. 0: all done; 1: something failed, the rest was done; 2: the command makes no sense.
enum ExitCode : int { done = 0, failed = 1, usage = 2 };

/// A subcommand's work, to be run once Kokkos is up.
using Action = std::function<int()>;

/// Options that every computing subcommand has.
struct Machine {
  std::string device = "auto";
  int threads = 0;
};

/// Thrown for a command that makes no sense although every option parsed; the process returns 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Each registers its subcommand and stores its work in `action` when it is chosen.
void add_segment(CLI::App& app, Machine& machine, Action& action);
void add_classify(CLI::App& app, Machine& machine, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_convert(CLI::App& app, Action& action);
void add_train(CLI::App& app, Machine& machine, Action& action);
void add_evaluate(CLI::App& app, Machine& machine, Action& action);
void add_plan(CLI::App& app, Machine& machine, Action& action);
void add_info(CLI::App& app, Action& action);
void add_scenes(CLI::App& app, Action& action);

/// --device and --threads.
inline void add_machine_options(CLI::App& command, Machine& machine) {
  command
      .add_option("--device", machine.device, "Where to compute: auto, or the name of a Kokkos backend (`kovos info`)")
      ->capture_default_str();
  command.add_option("--threads", machine.threads, "Threads of a host backend (default: all cores)")
      ->check(CLI::PositiveNumber);
}

/// The vocabulary option as the library takes it.
inline std::optional<std::filesystem::path> optional_path(std::string const& text) {
  if (text.empty()) return std::nullopt;
  return std::filesystem::path(text);
}

}  // namespace kovos::cli
