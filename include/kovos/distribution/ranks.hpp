// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

namespace kovos {

/// Which of several processes that share one work this is.
struct Ranks {
  std::size_t rank = 0, size = 1;
  std::string from;  ///< the variables that said so; empty for a process alone
};

/// Reads a variable of the environment; nothing where it is not set or empty.
using Environment = std::function<std::optional<std::string>(char const*)>;

inline std::optional<std::string> environment_variable(char const* name) {
  char const* const value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

namespace detail {

/// A variable as a number. Throws ConfigError if it is none.
inline std::optional<std::size_t> number_in(Environment const& environment, char const* name) {
  auto const text = environment(name);
  if (!text) return std::nullopt;
  std::size_t number = 0;
  auto const [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  require<ConfigError>(error == std::errc() && end == text->data() + text->size(), "the variable ", name, " is ",
                       in_quotes(*text), ", expected a whole number: correct or unset it");
  return number;
}

inline Ranks checked(std::size_t rank, std::size_t size, std::string from) {
  require<ConfigError>(size >= 1 && rank < size, "the environment (", from, ") says that this is rank ", rank, " of ",
                       size, ": expected a rank from 0 to one less than their number");
  return {rank, size, size == 1 ? std::string() : std::move(from)};
}

/// Tasks of a SLURM job array. Lists with holes have no even numbering.
inline Ranks array_ranks(Environment const& environment) {
  auto const id = number_in(environment, "SLURM_ARRAY_TASK_ID");
  auto const count = number_in(environment, "SLURM_ARRAY_TASK_COUNT");
  if (!id || !count) return {};
  auto const first = number_in(environment, "SLURM_ARRAY_TASK_MIN").value_or(0);
  auto const step = number_in(environment, "SLURM_ARRAY_TASK_STEP").value_or(1);
  require<ConfigError>(step >= 1 && *id >= first && (*id - first) % step == 0 && (*id - first) / step < *count,
                       "SLURM_ARRAY_TASK_ID is ", *id, " in an array of ", *count, " tasks from ", first,
                       step == 1 ? "" : " in steps of " + std::to_string(step),
                       ": the tasks of an array that shares pictures must be numbered without holes, as in --array=0-",
                       *count - 1);
  return checked((*id - first) / step, *count, "SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT");
}

}  // namespace detail

/// How many processes the launcher of MPI programs that started this one (mpirun, or srun with an MPI plugin) says that
/// it started; nothing where none did. Throws ConfigError for what is no number.
inline std::optional<std::size_t> mpi_processes(Environment const& environment = environment_variable) {
  for (char const* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (auto const size = detail::number_in(environment, name)) return size;
  if (!environment("PMIX_RANK") && !environment("PMI_RANK")) return std::nullopt;
  auto const tasks = detail::number_in(environment, "SLURM_STEP_NUM_TASKS");
  return tasks ? tasks : detail::number_in(environment, "SLURM_NTASKS");
}

/// The ranks of processes that know each other by their environment only: RANK and WORLD_SIZE (torchrun and its kin),
/// else SLURM's tasks of one step (SLURM_PROCID with SLURM_STEP_NUM_TASKS or SLURM_NTASKS) and of a job array, or both
/// together. Throws ConfigError for numbers that make no sense.
inline Ranks ranks_from_environment(Environment const& environment = environment_variable) {
  auto const rank = detail::number_in(environment, "RANK");
  auto const world = detail::number_in(environment, "WORLD_SIZE");
  if (rank && world) return detail::checked(*rank, *world, "RANK, WORLD_SIZE");

  auto const array = detail::array_ranks(environment);
  auto const task = detail::number_in(environment, "SLURM_PROCID");
  auto tasks = detail::number_in(environment, "SLURM_STEP_NUM_TASKS");
  if (!tasks) tasks = detail::number_in(environment, "SLURM_NTASKS");
  if (!task || !tasks) return array;
  auto const step = detail::checked(*task, *tasks, "SLURM_PROCID, SLURM_NTASKS");
  if (array.size == 1) return step;
  if (step.size == 1) return array;
  return {array.rank * step.size + step.rank, array.size * step.size, array.from + ", " + step.from};
}

}  // namespace kovos
