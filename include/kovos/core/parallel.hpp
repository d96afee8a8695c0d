// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/execution.hpp"

// The loops that kernels are made of.

namespace kovos::detail {

/// Whether this context's kernels run on the host engine.
template <class Exec>
bool uses_host_engine(Context<Exec> const& context) {
  return has_host_engine<Exec> && (context.engine() == Engine::automatic || context.engine() == Engine::host);
}

/// f(arguments...) as a call: what stands in several loops is compiled once, and no task is as short as a call.
template <class F, class... Arguments>
KOVOS_OUT_OF_LINE void out_of_line(F const& f, Arguments const&... arguments) {
  f(arguments...);
}

/// Calls f(task, worker) for each task in [0, tasks), worker < workers(context, tasks). Each worker has one task for
/// sure, so that its memory is there the next time; the others go to whoever is free.
template <class Exec, class F>
void for_each_task(Context<Exec> const& context, char const* label, std::size_t workers, std::size_t tasks,
                   F const& f) {
  if (workers == 1) {  // waking the other threads would take longer than a small task
    if (!context.is_alone()) context.exec().fence(label);
    for (std::size_t task = 0; task < tasks; ++task) out_of_line(f, task, std::size_t{0});
    return;
  }
  std::atomic<std::size_t> next{workers};
  auto* const counter = &next;
  auto const* const body = &f;
  Kokkos::parallel_for(label, Kokkos::RangePolicy<Exec>(context.exec(), 0, workers), [=](std::size_t worker) {
    for (std::size_t task = worker; task < tasks; task = (*counter)++) out_of_line(*body, task, worker);
  });
  context.exec().fence(label);
}

/// How many of the context's threads can share the given number of tasks.
template <class Exec>
std::size_t workers(Context<Exec> const& context, std::size_t tasks) {
  if (context.is_alone()) return 1;
  return std::max<std::size_t>(1, std::min<std::size_t>(tasks, static_cast<std::size_t>(context.exec().concurrency())));
}

/// A portable loop over [0, count).
template <class Exec, class F>
void for_each_index(Context<Exec> const& context, char const* label, std::size_t count, F const& f) {
  if (count == 0) return;
  if constexpr (is_host_execution<Exec>)
    if (context.is_alone()) {
      for (std::size_t i = 0; i < count; ++i) f(i);
      return;
    }
  Kokkos::parallel_for(label, Kokkos::RangePolicy<Exec, Kokkos::IndexType<std::size_t>>(context.exec(), 0, count), f);
}

/// f(row, column) as a function of row * columns + column.
template <class F>
struct FlatEntry {
  F f;
  std::size_t columns;
  KOKKOS_FUNCTION void operator()(std::size_t index) const { f(index / columns, index % columns); }
};

/// A portable loop over the entries (row, column) of [0, rows) x [0, columns). Entries of a row are neighbours in
/// memory: one thread of a host takes them all, neighbouring threads of a device take one each.
template <class Exec, class F>
void for_each_entry(Context<Exec> const& context, char const* label, std::size_t rows, std::size_t columns,
                    F const& f) {
  if constexpr (is_host_execution<Exec>) {
    for_each_index(context, label, rows, [=](std::size_t row) {
      for (std::size_t column = 0; column < columns; ++column) f(row, column);
    });
  } else {
    for_each_index(context, label, rows * columns, FlatEntry<F>{f, columns});
  }
}

/// Whether so many tasks are better run side by side, one thread and its cache for each, than in turn.
template <class Exec>
bool runs_side_by_side(Context<Exec> const& context, std::size_t tasks) {
  return uses_host_engine(context) && !context.is_alone() && tasks >= 2 * workers(context, tasks);
}

/// f(context, task) for each task in [0, tasks): side by side, in Context::alone, where that is better, else in turn,
/// with all threads for each. What f throws is thrown.
template <class Exec, class F>
void for_each_alone(Context<Exec> const& context, char const* label, std::size_t tasks, F const& f) {
  if constexpr (is_host_execution<Exec>) {
    if (runs_side_by_side(context, tasks)) {
      std::size_t const threads = workers(context, tasks);
      std::vector<Context<Exec>> alone;
      for (std::size_t worker = 0; worker < threads; ++worker) alone.push_back(context.alone(worker));
      std::vector<std::exception_ptr> errors(threads);
      for_each_task(context, label, threads, tasks, [&](std::size_t task, std::size_t worker) {
        if (errors[worker]) return;
        try {
          out_of_line(f, alone[worker], task);
        } catch (...) {  // must not leave the parallel loop
          errors[worker] = std::current_exception();
        }
      });
      for (auto const& error : errors)
        if (error) std::rethrow_exception(error);
      return;
    }
  }
  for (std::size_t task = 0; task < tasks; ++task) out_of_line(f, context, task);
}

}  // namespace kovos::detail
