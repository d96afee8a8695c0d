// SPDX-License-Identifier: Apache-2.0
#include "kovos/core/execution.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kovos/core/profiling.hpp"
#include "kovos/core/workspace.hpp"
#include "support/spaces.hpp"
#include "support/tools_probe.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
using HostWorkspace = Workspace<Kokkos::HostSpace>;
using HostContext = Context<Kokkos::DefaultHostExecutionSpace>;
}  // namespace

TEST_CASE("a second pass of the same shapes allocates nothing") {
  auto const workspace = std::make_shared<HostWorkspace>();
  ToolsProbe probe;
  auto const pass = [&] {
    auto const a = workspace->tensor<float>(dynamic_extents<2>(100, 7));
    auto const b = workspace->tensor<double>(dynamic_extents<1>(1000));
    auto const c = workspace->tensor<std::uint8_t>(dynamic_extents<3>(3, 5, 7));
    CHECK(a.data() != nullptr);
    CHECK(static_cast<void*>(a.data()) != static_cast<void*>(b.data()));
    CHECK(static_cast<void*>(b.data()) != static_cast<void*>(c.data()));
    std::memset(a.data(), 1, a.size() * sizeof(float));
    std::memset(b.data(), 2, b.size() * sizeof(double));
    std::memset(c.data(), 3, c.size());
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
  };
  pass();
  CHECK(workspace->allocations() == 3);
  CHECK(probe.allocations == std::vector<std::string>(3, "kovos::workspace"));
  auto const peak = workspace->peak_bytes();
  CHECK(peak >= 2800 + 8000 + 105);
  CHECK(peak < 14000);
  pass();
  pass();
  CHECK(workspace->allocations() == 3);
  CHECK(probe.allocations.size() == 3);
  CHECK(workspace->peak_bytes() == peak);
}

TEST_CASE("blocks go to requests of about their size only, and never to two at once") {
  auto const workspace = std::make_shared<HostWorkspace>();
  auto const size = [](std::size_t n) { return dynamic_extents<1>(n); };
  void* large = nullptr;
  {
    auto const x = workspace->tensor<std::uint8_t>(size(1 << 20));
    large = x.data();
  }
  auto const small = workspace->tensor<std::uint8_t>(size(1000));
  CHECK(small.data() != large);
  auto const a = workspace->tensor<std::uint8_t>(size((1 << 20) - 1000));
  CHECK(a.data() == large);
  auto const b = workspace->tensor<std::uint8_t>(size(1 << 20));
  CHECK(b.data() != large);
  CHECK(workspace->allocations() == 3);
  // Nothing at all needs no block.
  CHECK(workspace->tensor<float>(dynamic_extents<2>(0, 5)).data() == nullptr);
  CHECK(workspace->allocations() == 3);
}

TEST_CASE("release gives unused blocks back, used ones stay") {
  auto const workspace = std::make_shared<HostWorkspace>();
  auto const kept = workspace->tensor<float>(dynamic_extents<1>(1000));
  { auto const x = workspace->tensor<float>(dynamic_extents<1>(50000)); }
  workspace->release();
  kept(999) = 5;
  CHECK(kept(999) == 5.0f);
  { auto const x = workspace->tensor<float>(dynamic_extents<1>(50000)); }
  CHECK(workspace->allocations() == 3);
}

TEST_CASE("memory that is not there is a sentence, and what there is can be used") {
  auto const workspace = std::make_shared<HostWorkspace>();
  { auto const x = workspace->tensor<float>(dynamic_extents<1>(50000)); }
  auto const peak = workspace->peak_bytes();
  dynamic_extents<2> const vast(std::size_t{1} << 40, std::size_t{1} << 18);  // 2^60 bytes, more than any address
  auto const sentence =
      "[Tensor] 1099511627777 MiB for a tensor [1099511627776, 262144] cannot be had: the memory Host is used up; "
      "take smaller pictures or batches, fewer classes at once, or smaller tiles of them";
  CHECK(message_of<DeviceError>([&] { workspace->tensor<float>(vast); }) == sentence);
  CHECK(message_of<DeviceError>([&] { DynamicTensor<float, 2> const x(vast); }) == sentence);
  CHECK(message_of<DeviceError>([&] { HostContext().tensor<float>(vast[0], vast[1]); }) == sentence);
  CHECK(workspace->peak_bytes() == peak);
  auto const x = workspace->tensor<float>(dynamic_extents<1>(50000));
  x(49999) = 7;
  CHECK(x(49999) == 7.0f);
  CHECK(workspace->allocations() == 2);  // what nobody used had been given back
  CHECK(workspace->peak_bytes() == peak);
}

TEST_CASE("a build for a GPU says in one sentence that there is none") {
  auto const sentence = [](char const* why) {
    return std::string("this build computes on an NVIDIA GPU, and none can be used here (") + why +
           "); use a build whose Kokkos has no CUDA";
  };
  CHECK(message_of<DeviceError>([] { detail::require_gpu(0, nullptr); }) == sentence("there is none"));
  // What cudaGetErrorString says where a driver is missing or too old; the number means nothing then.
  auto const* const trouble = "CUDA driver version is insufficient for CUDA runtime version";
  CHECK(message_of<DeviceError>([&] { detail::require_gpu(2, trouble); }) == sentence(trouble));
  CHECK_NOTHROW(detail::require_gpu(1, nullptr));
}

TEST_CASE("tensors keep their workspace alive") {
  DynamicTensor<int, 1> x;
  std::weak_ptr<HostWorkspace> watch;
  {
    auto const workspace = std::make_shared<HostWorkspace>();
    watch = workspace;
    x = workspace->tensor<int>(dynamic_extents<1>(10));
  }
  x(9) = 3;
  CHECK_FALSE(watch.expired());
  x = {};
  CHECK(watch.expired());
}

TEST_CASE("a workspace serves several threads") {
  auto const workspace = std::make_shared<HostWorkspace>();
  std::atomic<int> damaged{0};
  std::vector<std::thread> threads;
  for (int id = 0; id < 4; ++id)
    threads.emplace_back([&, id] {
      for (std::size_t round = 0; round < 300; ++round) {
        auto const x = workspace->tensor<int>(dynamic_extents<1>(200 + round % 3));
        auto const y = workspace->tensor<int>(dynamic_extents<1>(200));
        for (std::size_t i = 0; i < 200; ++i) x(i) = y(i) = id;
        std::this_thread::yield();
        for (std::size_t i = 0; i < 200; ++i)
          if (x(i) != id || y(i) != id) ++damaged;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(damaged == 0);
  CHECK(workspace->allocations() <= 8 * 3);
}

TEST_CASE("a Runtime inside another leaves Kokkos running") {
  REQUIRE(Kokkos::is_initialized());
  {
    Runtime const inner;
    Runtime const with_settings{Kokkos::InitializationSettings()};
    CHECK(Kokkos::is_initialized());
  }
  CHECK(Kokkos::is_initialized());
  CHECK_FALSE(Kokkos::is_finalized());
  double sum = 0;
  Kokkos::parallel_reduce(
      "kovos::test", Kokkos::RangePolicy<Kokkos::DefaultExecutionSpace>(0, 10),
      KOKKOS_LAMBDA(int i, double& total) { total += i; }, sum);
  CHECK(sum == 45);
}

TEST_CASE("Context: engine, instance, tensors") {
  HostContext const automatic;
  CHECK(automatic.engine() == Engine::automatic);
  HostContext const portable(Kokkos::DefaultHostExecutionSpace(), Engine::portable);
  CHECK(portable.engine() == Engine::portable);
  auto const x = automatic.tensor<float>(2, 3);
  static_assert(std::is_same_v<std::remove_const_t<decltype(x)>, DynamicTensor<float, 2>>);
  CHECK(shape(x) == std::vector<std::size_t>{2, 3});
  ToolsProbe probe;
  automatic.fence();
  CHECK(probe.fences == std::vector<std::string>{"kovos::Context::fence"});
  HostContext const other;
  CHECK(&other.workspace() != &automatic.workspace());
  HostContext const copy = automatic;
  CHECK(&copy.workspace() == &automatic.workspace());
}

TEST_CASE("Context::alone: memory of its own, no fences, the same weights") {
  HostContext const context;
  auto const first = context.alone(0), second = context.alone(1);
  CHECK_FALSE(context.is_alone());
  CHECK(first.is_alone());
  CHECK(&first.workspace() != &second.workspace());
  CHECK(&first.workspace() == &context.alone(0).workspace());
  CHECK(&first.packed() == &context.packed());
  { auto const x = second.tensor<float>(1000); }
  CHECK(context.workspace().allocations() == 1);
  CHECK(context.workspace().peak_bytes() >= 4000);
  ToolsProbe probe;
  first.fence();
  CHECK(probe.fences.empty());
  auto const half = context.with_precision(MatmulPrecision::bf16);
  CHECK(half.precision() == MatmulPrecision::bf16);
  CHECK(context.precision() == MatmulPrecision::fp32);
  CHECK(&half.workspace() == &context.workspace());
}

TEST_CASE("StageTimes adds up by name in order of first use; Stage fences only where somebody looks") {
  StageTimes times;
  times.add("b", 1);
  times.add("a", 2);
  times.add("b", 0.5);
  REQUIRE(times.stages().size() == 2);
  CHECK(times.stages()[0] == std::pair<std::string, double>("b", 1.5));
  CHECK(times.stages()[1].first == "a");
  CHECK(times.total() == 3.5);
  HostContext const context;
  ToolsProbe probe;
  { Stage const stage(context, "quiet", nullptr); }
  CHECK(probe.fences.empty());
  { Stage const stage(context, "timed", &times); }
  CHECK(probe.fences.size() == 1);
  CHECK(times.stages().back().first == "timed");
  CHECK(times.stages().back().second >= 0);
}
