// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/scalar.hpp"
#include "support/approx.hpp"

namespace kovos::test {

/// The engines of this build.
inline std::vector<Engine> engines() {
  std::vector<Engine> list{Engine::portable};
#ifdef KOVOS_ENABLE_EIGEN
  list.push_back(Engine::eigen);
#endif
#ifdef KOVOS_ENABLE_ONEDNN
  list.push_back(Engine::onednn);
#endif
#ifdef KOVOS_HOST_ENGINE
  list.push_back(Engine::host);
#endif
  return list;
}

inline std::string name_of(Engine engine) {
  switch (engine) {
    case Engine::automatic:
      return "automatic";
    case Engine::portable:
      return "portable";
    case Engine::eigen:
      return "eigen";
    case Engine::onednn:
      return "onednn";
    case Engine::host:
      return "host";
  }
  return "?";
}

/// Calls f(context) for every engine on every host execution space of this build: the default instance, Serial, and
/// OpenMP with one and with three threads.
template <class F>
void for_each_context(F const& f) {
  auto const run = [&](auto const& exec, std::string const& space) {
    for (Engine engine : engines()) {
      INFO("space ", space, ", engine ", name_of(engine));
      f(Context(exec, engine));
    }
  };
  using Default = Kokkos::DefaultHostExecutionSpace;
  run(Default(), std::string("default ") + Default::name());
#ifdef KOKKOS_ENABLE_SERIAL
  if constexpr (!std::is_same_v<Default, Kokkos::Serial>) run(Kokkos::Serial(), "Serial");
#endif
#ifdef KOKKOS_ENABLE_OPENMP
  for (int threads : {1, 3}) run(Kokkos::OpenMP(threads), "OpenMP with " + std::to_string(threads) + " threads");
#endif
}

/// Evenly distributed numbers in [-1, 1), the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  std::uint64_t bits() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  float number() { return static_cast<float>(bits() >> 40) * 0x1p-23f - 1.0f; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() >> 33) % n; }

 private:
  std::uint64_t state_;
};

/// A host tensor of random numbers times scale.
template <class T = float, class... I>
DynamicTensor<T, sizeof...(I)> random_tensor(std::uint64_t seed, double scale, I... extents) {
  DynamicTensor<T, sizeof...(I)> x(dynamic_extents<sizeof...(I)>{extents...});
  Random random(seed);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = T(static_cast<float>(scale) * random.number());
  return x;
}

/// The elements in row-major order.
template <class X>
Values values(X const& x) {
  Values list(x.size());
  for (std::size_t i = 0; i < list.size(); ++i)
    list[i] = static_cast<double>(static_cast<accumulate_t<typename X::value_type>>(x.data()[i]));
  return list;
}

template <class X>
std::vector<std::size_t> shape(X const& x) {
  std::vector<std::size_t> list(X::rank());
  for (std::size_t i = 0; i < list.size(); ++i) list[i] = x.extent(i);
  return list;
}

/// What f throws as E, or a sentence that says that it did not.
template <class E, class F>
std::string message_of(F const& f) {
  try {
    f();
  } catch (E const& error) {
    return error.what();
  } catch (std::exception const& error) {
    return std::string("another exception: ") + error.what();
  }
  return "nothing was thrown";
}

}  // namespace kovos::test
