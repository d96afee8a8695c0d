// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/trace_event.hpp"

namespace kovos {

/// Listens to Kokkos while it lives: stages (regions), parallel loops and fences, with the time the calling thread
/// spends in each. Kokkos waits for the device around each of them while somebody listens, so that loops of a device
/// show their own time but do not overlap. Takes the place of a Kokkos Tools library, which hears nothing meanwhile.
/// Kokkos must be initialised. Throws ConfigError if another one lives.
class Trace {
 public:
  Trace() : start_(Clock::now()) {
    {
      std::lock_guard lock(mutex());
      require<ConfigError>(active() == nullptr, "[Trace] another trace is still running; only one can");
      active() = this;
    }
    namespace tools = Kokkos::Tools::Experimental;
    before_ = tools::get_callbacks();
    auto mine = before_;
    mine.push_region = [](char const* name) { note(name); };
    mine.pop_region = [] { note(nullptr); };
    mine.begin_parallel_for = mine.begin_parallel_reduce = mine.begin_parallel_scan = begin;
    mine.end_parallel_for = mine.end_parallel_reduce = mine.end_parallel_scan = end;
    mine.begin_fence = begin;
    mine.end_fence = end;
    tools::set_callbacks(mine);
  }
  Trace(Trace const&) = delete;
  Trace& operator=(Trace const&) = delete;
  ~Trace() {
    Kokkos::Tools::Experimental::set_callbacks(before_);
    std::lock_guard lock(mutex());
    active() = nullptr;
  }

  /// What was heard so far, in order of time on each thread.
  std::vector<TraceEvent> events() const {
    std::lock_guard lock(mutex());
    return events_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // Kokkos calls plain functions, so there is one trace for the whole process.
  static Trace*& active() {
    static Trace* trace = nullptr;
    return trace;
  }
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }

  // The id that Kokkos hands from begin to end says whether what began was noted.
  static void begin(char const* name, std::uint32_t, std::uint64_t* id) {
    // Kokkos's own waiting because of us.
    *id = std::string_view(name).starts_with("Kokkos::Tools::invoke_kokkosp_callback") ? 0 : 1;
    if (*id) note(name);
  }
  static void end(std::uint64_t id) {
    if (id) note(nullptr);
  }

  /// name: of what begins, or nullptr.
  static void note(char const* name) {
    auto const now = Clock::now();
    std::lock_guard lock(mutex());
    if (Trace* const trace = active()) trace->add(name, now);
  }

  void add(char const* name, Clock::time_point now) {
    auto const id = std::this_thread::get_id();
    std::size_t thread = 0;
    while (thread < threads_.size() && threads_[thread].first != id) ++thread;
    if (thread == threads_.size()) threads_.emplace_back(id, 0);
    std::size_t& open = threads_[thread].second;
    if (!name && open == 0) return;  // began before the trace did
    open = name ? open + 1 : open - 1;
    events_.push_back({name ? name : "", name != nullptr, std::chrono::duration<double>(now - start_).count(), thread});
  }

  Clock::time_point start_;
  Kokkos::Tools::Experimental::EventSet before_{};
  std::vector<std::pair<std::thread::id, std::size_t>> threads_;  // and how many events are open on each
  std::vector<TraceEvent> events_;
};

}  // namespace kovos
