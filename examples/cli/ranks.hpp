// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "kovos/distribution/communicator.hpp"

namespace kovos::cli {

/// --alone.
inline void add_rank_options(CLI::App& command, bool& alone) {
  command.add_flag("--alone", alone, "Do everything, whatever mpirun, torchrun or SLURM say of other processes");
}

/// Runs work(ranks) with the processes that were started together: those of MPI if a launcher of MPI started this one,
/// else those of the environment, else this one. If work throws in one of several connected ranks, its sentence is
/// printed and all end. Throws ConfigError if MPI is needed and cannot be had.
int with_ranks(bool alone, std::function<int(Communicator&)> const& work);

/// Runs a step of which every rank makes its own part; ranks that lead their machine come first, so that the others
/// find what those have read or written. If it fails on any of them, no rank goes on: throws on all, and the first
/// sentence is printed once. Collective.
void in_turn(Communicator& ranks, std::function<void()> const& step);

/// As in_turn, all ranks at once.
void together(Communicator& ranks, std::function<void()> const& step);

}  // namespace kovos::cli
