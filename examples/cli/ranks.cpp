// SPDX-License-Identifier: Apache-2.0
#include "ranks.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/distribution/ranks.hpp"

namespace kovos::cli {

namespace {

/// What all ranks throw when one of them failed; rank 0 tells it.
struct SharedFailure {
  std::string sentence;
  int code = failed;
};

std::filesystem::path mpi_module() {
  std::error_code ignored;
  auto const program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return program.parent_path().parent_path() / "lib" / "kovos" / "kovos_mpi.so";
}

std::unique_ptr<Communicator> mpi_communicator(std::size_t launched) {
  auto const module = mpi_module();
  std::string const way_out =
      "; with --alone each process does everything, and RANK and WORLD_SIZE share the pictures "
      "without MPI";
  require<ConfigError>(std::filesystem::exists(module), "an MPI launcher started ", launched,
                       " processes, but this build of kovos has no MPI: configure it where MPI is installed", way_out);
  // Global, because MPI libraries load parts of themselves that look for its symbols.
  void* const library = ::dlopen(module.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    char const* const reason = ::dlerror();
    fail<ConfigError>("an MPI launcher started ", launched,
                      " processes, but MPI cannot be loaded: ", reason != nullptr ? reason : "no reason given",
                      way_out);
  }
  using Make = Communicator*(char*, std::size_t);
  auto* const make = reinterpret_cast<Make*>(::dlsym(library, "kovos_mpi_communicator"));
  require<ConfigError>(make != nullptr, module.string(), " is not of this version of kovos: install both together");
  char sentence[512] = "";
  std::unique_ptr<Communicator> ranks(make(sentence, sizeof(sentence)));
  require<ConfigError>(ranks != nullptr, sentence);
  require<ConfigError>(ranks->size() == launched, "the MPI launcher started ", launched,
                       " processes, but MPI itself counts ", ranks->size(),
                       ": use the launcher of the MPI library that kovos was built with");
  return ranks;
}

std::unique_ptr<Communicator> join(bool alone) {
  if (alone) return std::make_unique<StaticShares>();
  auto const launched = mpi_processes();
  if (launched.value_or(1) > 1) {
    // srun announces MPI to every program; those without it still have SLURM's numbers.
    auto const others = ranks_from_environment();
    if (others.size == 1 || std::filesystem::exists(mpi_module())) return mpi_communicator(*launched);
    return std::make_unique<StaticShares>(others);
  }
  return std::make_unique<StaticShares>(ranks_from_environment());
}

void run_step(Communicator& ranks, bool takes_part, std::function<void()> const& step) {
  std::string outcome;  // empty, or the exit code and a sentence
  try {
    if (takes_part) step();
  } catch (UsageError const& error) {
    outcome = std::to_string(usage) + error.what();
  } catch (std::exception const& error) {
    outcome = std::to_string(failed) + error.what();
  }
  for (auto const& other : ranks.all_gather(outcome))
    if (!other.empty()) throw SharedFailure{other.substr(1), other.front() - '0'};
}

bool many(Communicator const& ranks) { return ranks.connected() && ranks.size() > 1; }

}  // namespace

int with_ranks(bool alone, std::function<int(Communicator&)> const& work) {
  auto const ranks = join(alone);
  if (!many(*ranks)) return work(*ranks);
  try {
    return work(*ranks);
  } catch (SharedFailure const& failure) {
    if (ranks->rank() == 0) std::fprintf(stderr, "kovos: %s\n", failure.sentence.c_str());
    return failure.code;
  } catch (std::exception const& error) {
    std::fprintf(stderr, "kovos: rank %zu: %s\n", ranks->rank(), error.what());
    std::fflush(stderr);
    ranks->abort(failed);
  }
  return failed;  // never reached
}

void in_turn(Communicator& ranks, std::function<void()> const& step) {
  if (!many(ranks)) return step();
  run_step(ranks, ranks.node_leader(), step);
  run_step(ranks, !ranks.node_leader(), step);
}

void together(Communicator& ranks, std::function<void()> const& step) {
  if (!many(ranks)) return step();
  run_step(ranks, true, step);
}

}  // namespace kovos::cli
