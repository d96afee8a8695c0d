// SPDX-License-Identifier: Apache-2.0
// kovos: segment pictures with your own words, from the command line. See docs/cli.md.

#ifdef __linux__
#include <malloc.h>
#endif

#include <Kokkos_Core.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/version.hpp"

namespace {

/// Lower-case names of the backends in this build.
bool is_built_in(std::string device) {
  for (auto& c : device) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string name = Kokkos::DefaultExecutionSpace::name();
  for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return device == "auto" || device == name;
}

int run(int argc, char** argv) {
  using namespace kovos::cli;
  CLI::App app("Find anything you can name in a picture.", "kovos");
  app.set_version_flag("--version", KOVOS_VERSION_STRING);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::help);
  Machine machine;
  Action action;
  add_segment(app, machine, action);
  add_evaluate(app, machine, action);
  add_scenes(app, action);
  add_convert(app, action);
#ifdef KOVOS_TOOL_ALL
  add_train(app, machine, action);
  add_classify(app, machine, action);
  add_plan(app, machine, action);
  add_inspect(app, action);
  add_info(app, action);
#else
  app.footer(
      "This is a quickly compiled build: train, classify, plan, inspect and info are not in it. All of them:\n"
      "  cmake -S . -B build/all -G Ninja -DCMAKE_BUILD_TYPE=Release && cmake --build build/all --target kovos_tool");
#endif
  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& error) {
    return app.exit(error) == 0 ? done : usage;
  }
  if (!is_built_in(machine.device)) {
    std::fprintf(stderr,
                 "kovos: --device %s is not in this build, which computes on %s; rebuild Kokkos with that backend\n",
                 machine.device.c_str(), Kokkos::DefaultExecutionSpace::name());
    return usage;
  }
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);
  if (machine.threads > 0) settings.set_num_threads(machine.threads);
  kovos::Runtime runtime(settings);
  try {
    return action();
  } catch (UsageError const& error) {
    std::fprintf(stderr, "kovos: %s\n", error.what());
    return usage;
  }
}

/// Pictures come and go by the thousand: the system need not take each one's memory back and clear it for the next.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  try {
    return run(argc, argv);
  } catch (std::exception const& error) {
    std::fprintf(stderr, "kovos: %s\n", error.what());
    return kovos::cli::failed;
  }
}
