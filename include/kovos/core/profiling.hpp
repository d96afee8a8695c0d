// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace kovos {

/// Wall time of the named stages of a computation, in order of first use.
class StageTimes {
 public:
  void add(std::string const& name, double seconds) {
    for (auto& stage : stages_)
      if (stage.first == name) {
        stage.second += seconds;
        return;
      }
    stages_.emplace_back(name, seconds);
  }
  std::vector<std::pair<std::string, double>> const& stages() const { return stages_; }
  double total() const {
    double sum = 0;
    for (auto const& stage : stages_) sum += stage.second;
    return sum;
  }

 private:
  std::vector<std::pair<std::string, double>> stages_;
};

/// Opens a Kokkos Tools region "kovos::<name>" and, if asked, adds the wall time to StageTimes when it closes.
/// Timing fences the context's instance: pass nullptr where nobody looks.
template <class Context>
class Stage {
 public:
  Stage(Context const& context, std::string name, StageTimes* times)
      : region_("kovos::" + name), context_(context), name_(std::move(name)), times_(times) {
    if (times_) start_ = std::chrono::steady_clock::now();
  }
  Stage(Stage const&) = delete;
  Stage& operator=(Stage const&) = delete;
  ~Stage() {
    if (!times_) return;
    context_.fence();
    times_->add(name_, std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
  }

 private:
  Kokkos::Profiling::ScopedRegion region_;
  Context const& context_;
  std::string name_;
  StageTimes* times_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace kovos
