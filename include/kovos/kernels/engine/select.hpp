// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/host.hpp"

namespace kovos {

namespace detail {

/// Whether this context's kernels run on the host engine. Throws ConfigError if it was asked for and is not there.
template <class Exec>
bool uses_host_engine(Context<Exec> const& context) {
#ifdef KOVOS_HOST_ENGINE
  if constexpr (is_host_execution<Exec>)
    return context.engine() == Engine::automatic || context.engine() == Engine::host;
#endif
  require<ConfigError>(context.engine() != Engine::host,
                       "[Context] Engine::host needs a host execution space and g++ or "
                       "clang; use Engine::automatic or Engine::portable");
  return false;
}

/// Calls f(task, worker) for each task in [0, tasks), worker < workers(context, tasks); tasks go to whoever is free.
template <class Exec, class F>
void for_each_task(Context<Exec> const& context, char const* label, std::size_t workers, std::size_t tasks,
                   F const& f) {
  if (workers == 1) {  // waking the other threads would take longer than a small task
    context.exec().fence(label);
    for (std::size_t task = 0; task < tasks; ++task) f(task, std::size_t{0});
    return;
  }
  std::atomic<std::size_t> next{0};
  auto* const counter = &next;
  auto const* const body = &f;
  Kokkos::parallel_for(label, Kokkos::RangePolicy<Exec>(context.exec(), 0, workers), [=](std::size_t worker) {
    for (std::size_t task = (*counter)++; task < tasks; task = (*counter)++) (*body)(task, worker);
  });
  context.exec().fence(label);
}

/// How many of the context's threads can share the given number of tasks.
template <class Exec>
std::size_t workers(Context<Exec> const& context, std::size_t tasks) {
  return std::max<std::size_t>(1, std::min<std::size_t>(tasks, static_cast<std::size_t>(context.exec().concurrency())));
}

/// A portable loop over [0, count).
template <class Exec, class F>
void for_each_index(Context<Exec> const& context, char const* label, std::size_t count, F const& f) {
  if (count == 0) return;
  Kokkos::parallel_for(label, Kokkos::RangePolicy<Exec, Kokkos::IndexType<std::size_t>>(context.exec(), 0, count), f);
}

}  // namespace detail

/// The name of the engine that runs matrix products in this context: "portable", "eigen", "host avx512", ...
template <class Exec>
std::string engine_name(Context<Exec> const& context) {
#ifdef KOVOS_HOST_ENGINE
  if (detail::uses_host_engine(context)) return std::string("host ") + detail::best_host_kernels().name;
#endif
  return context.engine() == Engine::eigen ? "eigen" : "portable";
}

}  // namespace kovos
