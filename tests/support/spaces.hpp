// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/scalar.hpp"
#include "support/approx.hpp"

namespace kovos::test {

/// The engines of this build for an execution space.
template <class Exec = Kokkos::DefaultHostExecutionSpace>
std::vector<Engine> engines() {
  std::vector<Engine> list{Engine::portable};
  if (!is_host_execution<Exec>) return list;
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
/// OpenMP with one and with three threads. For tests of what only hosts have, or that look into tensors themselves.
template <class F>
void for_each_host_context(F const& f) {
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

/// As for_each_host_context, and on the GPU of a build for one. Operands come from random_tensor(context, ...) or
/// on(context, ...), results are read with values().
template <class F>
void for_each_context(F const& f) {
  for_each_host_context(f);
#ifdef KOKKOS_ENABLE_CUDA
  INFO("space Cuda");
  f(Context<Kokkos::Cuda>());
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

/// The same in the memory that the context's kernels read; itself on a host.
template <class Exec, class T, class Shape>
Tensor<T, Shape, typename Exec::memory_space> on(Context<Exec> const& context, Tensor<T, Shape> const& x) {
  return to_device(context, x);
}

/// x after f(index, element) has seen each of its elements.
template <class X, class F>
X changed(X x, F const& f) {
  for (std::size_t i = 0; i < x.size(); ++i) f(i, x.data()[i]);
  return x;
}

/// random_tensor in the memory that the context's kernels read.
template <class T = float, class Exec, class... I>
DynamicTensor<T, sizeof...(I), typename Exec::memory_space> random_tensor(Context<Exec> const& context,
                                                                          std::uint64_t seed, double scale,
                                                                          I... extents) {
  return on(context, random_tensor<T>(seed, scale, extents...));
}

/// The tensor itself, or a copy of one in a GPU's memory, once all work on it is done.
template <class X>
auto on_host(X const& x) {
  if constexpr (Kokkos::SpaceAccessibility<Kokkos::HostSpace, typename X::memory_space>::accessible) {
    return x;
  } else {
    using Element = std::remove_const_t<typename X::value_type>;
    std::size_t const size = x.size();
    auto const copy = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return DynamicTensor<Element, X::rank()>(dynamic_extents<X::rank()>(x.extent(I)...));
    }
    (std::make_index_sequence<X::rank()>{});
    using Unmanaged = Kokkos::MemoryTraits<Kokkos::Unmanaged>;
    Kokkos::fence("kovos::test::on_host");
    Kokkos::deep_copy(Kokkos::View<Element*, Kokkos::HostSpace, Unmanaged>(copy.data(), size),
                      Kokkos::View<Element const*, typename X::memory_space, Unmanaged>(x.data(), size));
    return copy;
  }
}

/// The elements in row-major order.
template <class X>
Values values(X const& tensor) {
  auto const x = on_host(tensor);
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
