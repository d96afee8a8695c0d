// SPDX-License-Identifier: Apache-2.0
// kovos info

#include <Kokkos_Core.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/version.hpp"

namespace kovos::cli {

void add_info(CLI::App& app, Action& action) {
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand("info", "Show the version, the backends, the instruction sets and the threads");
  command->add_flag("--json", *json, "Print JSON on standard output");
  command->callback([json, &action] {
    action = [json] {
      std::vector<std::string> backends;
#ifdef KOKKOS_ENABLE_SERIAL
      backends.emplace_back("Serial");
#endif
#ifdef KOKKOS_ENABLE_OPENMP
      backends.emplace_back("OpenMP");
#endif
#ifdef KOKKOS_ENABLE_THREADS
      backends.emplace_back("Threads");
#endif
#ifdef KOKKOS_ENABLE_CUDA
      backends.emplace_back("Cuda");
#endif
#ifdef KOKKOS_ENABLE_HIP
      backends.emplace_back("HIP");
#endif
#ifdef KOKKOS_ENABLE_SYCL
      backends.emplace_back("SYCL");
#endif
      std::vector<std::string> isa;
#ifdef KOVOS_HOST_ENGINE
      for (auto const* kernels : detail::available_host_kernels()) isa.emplace_back(kernels->name);
#endif
      std::vector<std::string> bf16_sets;  // of products of bf16, best last
#ifdef KOVOS_HOST_ENGINE
      for (auto const* kernels : detail::available_host_bf16_kernels()) bf16_sets.emplace_back(kernels->name);
#endif
      Context<> const context;
      nlohmann::ordered_json out;
      out["version"] = KOVOS_VERSION_STRING;
      out["kokkos"] = KOKKOS_VERSION;
      out["backends"] = backends;
      out["device"] = Kokkos::DefaultExecutionSpace::name();
      out["threads"] = context.exec().concurrency();
      out["engine"] = engine_name(context);
      out["instruction_sets"] = isa;
      out["bf16_instruction_sets"] = bf16_sets;
      if (*json) {
        std::printf("%s\n", out.dump(2).c_str());
        return done;
      }
      auto const joined = [](std::vector<std::string> const& list) {
        std::string text;
        for (auto const& item : list) text += (text.empty() ? "" : ", ") + item;
        return text;
      };
      std::printf(
          "kovos            %s\nKokkos           %d.%d.%d\nbackends         %s\ndevice           %s, %d threads\n"
          "engine           %s\ninstruction sets %s\n"
          "bf16 products    %s\n",
          KOVOS_VERSION_STRING, KOKKOS_VERSION / 10000, KOKKOS_VERSION / 100 % 100, KOKKOS_VERSION % 100,
          joined(backends).c_str(), Kokkos::DefaultExecutionSpace::name(), context.exec().concurrency(),
          engine_name(context).c_str(), joined(isa).c_str(),
          bf16_sets.empty() ? "no instructions for them here" : joined(bf16_sets).c_str());
      return done;
    };
  });
}

}  // namespace kovos::cli
