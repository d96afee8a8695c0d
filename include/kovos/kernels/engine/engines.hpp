// SPDX-License-Identifier: Apache-2.0
#pragma once

// An engine is a type E with
//   E::serves(context)                 whether it is at hand and the context wants it, and
//   bool run(E, context, problem)      for each problem that it has; false: not this one, ask another.
// run is found in E's own namespace. What no engine takes, the portable one does.

#include <concepts>
#include <string>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/host/all.hpp"
#include "kovos/kernels/engine/linked.hpp"
#include "kovos/kernels/engine/portable/all.hpp"
#include "kovos/kernels/engine/solve.hpp"
#ifdef KOVOS_ENABLE_EIGEN
#include "kovos/kernels/engine/eigen/gemm.hpp"
#endif
#ifdef KOVOS_ENABLE_ONEDNN
#include "kovos/kernels/engine/onednn/gemm.hpp"
#endif
#ifdef KOVOS_ENGINES  // a program's own: a header that defines kovos::engine::Own, a List
#include KOVOS_ENGINES
#endif

namespace kovos {

namespace engine {

#ifndef KOVOS_ENGINES
using Own = List<>;
#endif

/// The engines of this build, in the order in which they are asked, after those of the program.
using Known = List<
#ifdef KOVOS_ENABLE_EIGEN
    Eigen,
#endif
#ifdef KOVOS_ENABLE_ONEDNN
    Onednn,
#endif
    Host>;

}  // namespace engine

namespace detail {

template <class E, class Exec, class Problem>
bool taken(Context<Exec> const& context, Problem const& problem) {
  if constexpr (requires {
                  { run(E{}, context, problem) } -> std::same_as<bool>;
                })
    return E::serves(context) && run(E{}, context, problem);
  else return false;
}

template <class... Own, class... Known, class Exec, class Problem>
bool taken_by_one(engine::List<Own...>, engine::List<Known...>, Context<Exec> const& context, Problem const& problem) {
  return (taken<Own>(context, problem) || ...) || (taken<Known>(context, problem) || ...);
}

template <class Exec, class Problem>
void solve(Context<Exec> const& context, Problem const& problem) {
  if (!taken_by_one(engine::Own{}, engine::Known{}, context, problem)) run(engine::Portable{}, context, problem);
}

/// Throws ConfigError if the context asks for an engine that this build lacks.
template <class Exec>
void require_engine_for_products([[maybe_unused]] Context<Exec> const& context) {
#ifndef KOVOS_ENABLE_EIGEN
  require<ConfigError>(context.engine() != Engine::eigen,
                       "[gemm] Engine::eigen needs the component kovos::eigen; link it or use another engine");
#endif
#ifndef KOVOS_ENABLE_ONEDNN
  require<ConfigError>(context.engine() != Engine::onednn,
                       "[gemm] Engine::onednn needs the component kovos::onednn; link it or use another engine");
#endif
}

}  // namespace detail

/// The name of the engine that runs matrix products in this context: "portable", "eigen", "onednn", "host avx512", ...
template <class Exec>
std::string engine_name(Context<Exec> const& context) {
#ifdef KOVOS_HOST_ENGINE
  if (detail::uses_host_engine(context)) {
    auto const* const bf16 = detail::bf16_kernels(context);
    return std::string("host ") + (bf16 ? bf16->name : detail::best_host_kernels().name);
  }
#endif
  if (context.engine() == Engine::eigen) return "eigen";
  return context.engine() == Engine::onednn ? "onednn" : "portable";
}

}  // namespace kovos
