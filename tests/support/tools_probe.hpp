// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kovos::test {

/// Listens to Kokkos Tools while it lives: the names of kernels, allocations, fences and copies. One at a time.
class ToolsProbe {
 public:
  std::vector<std::string> kernels, allocations, fences, copies;

  ToolsProbe() : before_(Kokkos::Tools::Experimental::get_callbacks()) {
    namespace tools = Kokkos::Tools::Experimental;
    listener() = this;
    tools::set_begin_parallel_for_callback(begin_kernel);
    tools::set_begin_parallel_reduce_callback(begin_kernel);
    tools::set_begin_parallel_scan_callback(begin_kernel);
    tools::set_allocate_data_callback(allocate);
    tools::set_begin_fence_callback(begin_fence);
    tools::set_begin_deep_copy_callback(begin_copy);
  }
  ToolsProbe(ToolsProbe const&) = delete;
  ToolsProbe& operator=(ToolsProbe const&) = delete;
  ~ToolsProbe() {
    Kokkos::Tools::Experimental::set_callbacks(before_);
    listener() = nullptr;
  }

  void clear() {
    for (auto* list : {&kernels, &allocations, &fences, &copies}) list->clear();
  }

  /// The names that are not ours.
  static std::vector<std::string> foreign(std::vector<std::string> const& names) {
    std::vector<std::string> list;
    for (auto const& name : names)
      if (!name.starts_with("kovos::")) list.push_back(name);
    return list;
  }

 private:
  static ToolsProbe*& listener() {
    static ToolsProbe* probe = nullptr;
    return probe;
  }
  static void begin_kernel(char const* name, std::uint32_t, std::uint64_t* id) {
    *id = 0;
    listener()->kernels.emplace_back(name);
  }
  static void begin_fence(char const* name, std::uint32_t, std::uint64_t* id) {
    *id = 0;
    // Kokkos fences around every callback because somebody listens: not the program's doing.
    if (!std::string_view(name).starts_with("Kokkos::Tools::")) listener()->fences.emplace_back(name);
  }
  static void allocate(Kokkos_Profiling_SpaceHandle, char const* name, void const*, std::uint64_t) {
    listener()->allocations.emplace_back(name);
  }
  static void begin_copy(Kokkos_Profiling_SpaceHandle, char const* to, void const*, Kokkos_Profiling_SpaceHandle,
                         char const* from, void const*, std::uint64_t) {
    listener()->copies.push_back(std::string(from) + " -> " + to);
  }

  Kokkos::Tools::Experimental::EventSet before_;
};

}  // namespace kovos::test
