// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "kovos/core/config.hpp"
#include "kovos/core/device.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/packed_operands.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/core/uploads.hpp"
#include "kovos/core/workspace.hpp"

namespace kovos {

/// A Kokkos scope: initialises Kokkos if nobody has, and finalises it only then. Throws DeviceError if the build
/// computes on a GPU and there is none.
class Runtime {
 public:
  Runtime() : owns_(needed()) {
    if (owns_) Kokkos::initialize();
  }
  explicit Runtime(Kokkos::InitializationSettings const& settings) : owns_(needed()) {
    if (owns_) Kokkos::initialize(settings);
  }
  Runtime(int& argc, char** argv) : owns_(needed()) {
    if (owns_) Kokkos::initialize(argc, argv);
  }
  Runtime(Runtime const&) = delete;
  Runtime& operator=(Runtime const&) = delete;
  ~Runtime() {
    if (owns_) Kokkos::finalize();
  }

 private:
  static bool needed() {
    if (Kokkos::is_initialized()) return false;
    detail::require_device();
    return true;
  }

  bool owns_;
};

/// Who computes behind a kernel's door. Every engine gives the same result up to rounding.
enum class Engine {
  automatic,  ///< the best this machine and build have
  portable,   ///< plain Kokkos loops, on every backend; the definition of right
  eigen,      ///< matrix products by Eigen, the rest portable; host only, needs the component `eigen`
  onednn,     ///< matrix products by oneDNN on threads of its own, the rest portable; host only, component `onednn`
  host,       ///< packed operands and vector micro-kernels chosen by the CPU's features; host only
};

/// How exact the operands of matrix products, convolutions and softmax attention are.
enum class MatmulPrecision {
  fp32,  ///< as they are
  bf16,  ///< may be rounded to bf16 where the machine multiplies those faster; sums stay fp32
};

template <class Exec>
inline constexpr bool is_host_execution =
    bool(Kokkos::SpaceAccessibility<Kokkos::HostSpace, typename Exec::memory_space>::accessible);

/// Whether this build has the host engine for the execution space.
template <class Exec>
inline constexpr bool has_host_engine =
#ifdef KOVOS_HOST_ENGINE
    is_host_execution<Exec>;
#else
    false;
#endif

/// Where and how kernels run: an execution space instance, the memory for intermediates and the engine.
/// Copies share the workspace. One context may be used by one thread at a time.
template <class Exec = Kokkos::DefaultExecutionSpace>
class Context {
 public:
  using execution_space = Exec;
  using memory_space = typename Exec::memory_space;
  /// Layers may overwrite what earlier steps have read: nothing is kept for a backward pass.
  static constexpr bool in_place = true;

  /// Throws ConfigError if Engine::host is asked for and is not there.
  explicit(false)
      Context(Exec exec = Exec(), Engine engine = Engine::automatic, MatmulPrecision precision = MatmulPrecision::fp32)
      : exec_(std::move(exec)),
        workspace_(std::make_shared<Workspace<memory_space>>()),
        packed_(std::make_shared<PackedOperands<memory_space>>()),
        uploads_(is_host_execution<Exec> ? nullptr : std::make_shared<Uploads<Exec>>(exec_)),
        engine_(engine),
        precision_(precision) {
    require<ConfigError>(engine != Engine::host || has_host_engine<Exec>,
                         "[Context] Engine::host needs a host execution space and g++ or "
                         "clang; use Engine::automatic or Engine::portable");
  }

  /// This context for one of several pieces of work that run side by side, each on the one thread that calls its
  /// kernels and in memory of its own. For host execution only; what it computes does not differ.
  Context alone(std::size_t worker) const {
    Context one = *this;
    one.workspace_ = workspace_->part(worker);
    one.alone_ = true;
    return one;
  }
  bool is_alone() const { return alone_; }

  /// The same, shared memory and all, with products of another precision.
  Context with_precision(MatmulPrecision precision) const {
    Context other = *this;
    other.precision_ = precision;
    return other;
  }

  Exec const& exec() const { return exec_; }
  Workspace<memory_space>& workspace() const { return *workspace_; }
  Engine engine() const { return engine_; }
  MatmulPrecision precision() const { return precision_; }
  /// Weights as the engine reads them; empty unless some were declared constant.
  PackedOperands<memory_space>& packed() const { return *packed_; }

  /// Small arrays on their way to the device; none on a host, whose kernels read them where they are.
  Uploads<Exec>& uploads() const requires(!is_host_execution<Exec>) { return *uploads_; }

  /// An uninitialised intermediate tensor.
  template <class T, class... I>
  DynamicTensor<T, sizeof...(I), memory_space> tensor(I... extents) const {
    return workspace_->template tensor<T>(dynamic_extents<sizeof...(I)>(extents...));
  }

  void fence() const {
    if (alone_) return;
    if constexpr (is_host_execution<Exec>) exec_.fence("kovos::Context::fence");
    else uploads_->fence("kovos::Context::fence");
  }

 private:
  Exec exec_;
  std::shared_ptr<Workspace<memory_space>> workspace_;
  std::shared_ptr<PackedOperands<memory_space>> packed_;
  std::shared_ptr<Uploads<Exec>> uploads_;
  Engine engine_;
  MatmulPrecision precision_;
  bool alone_ = false;
};

/// What a layer's text runs in. The context decides what the text means: a Context computes; an autodiff Tape computes
/// and remembers what the gradient needs.
template <class C>
concept execution_context = requires(C const& context, std::size_t extent) {
  typename C::execution_space;
  typename C::memory_space;
  { C::in_place } -> std::convertible_to<bool>;
  context.template tensor<float>(extent);
  context.fence();
};

/// f(context, x), a block of layers. A context that keeps intermediates for a gradient may drop those of the block and
/// run it again later, so f must hold by value whatever it needs beside parameters.
template <execution_context C, class F, class V>
auto block_of_layers(C const& context, F const& f, V const& x) {
  if constexpr (requires { context.recompute(f, x); }) return context.recompute(f, x);
  else return f(context, x);
}

/// A copy in host memory, or the tensor itself if it is there already. Fences the context's instance.
template <class Exec, class T, class Shape, class Memory>
Tensor<T, Shape, Kokkos::HostSpace> to_host(Context<Exec> const& context, Tensor<T, Shape, Memory> const& tensor) {
  if constexpr (Kokkos::SpaceAccessibility<Kokkos::HostSpace, Memory>::accessible) {
    context.fence();
    return {tensor.data(), tensor.extents(), tensor.owner()};
  } else {
    Tensor<std::remove_const_t<T>, Shape, Kokkos::HostSpace> copy(tensor.extents());
    using Flat = dynamic_extents<1>;
    Kokkos::deep_copy(context.exec(),
                      TensorView<std::remove_const_t<T>, Flat>(copy.data(), Flat(copy.size())).kokkos_view(),
                      TensorView<T, Flat, Memory>(tensor.data(), Flat(tensor.size())).kokkos_view());
    context.fence();
    return {copy.data(), copy.extents(), copy.owner()};
  }
}

/// A copy in the context's memory space, or the tensor itself if it is reachable from there already. Nobody waits for
/// a small copy (Uploads::largest); kernels of the context come after it, and the tensor is not needed any more.
template <class Exec, class T, class Shape>
Tensor<T, Shape, typename Exec::memory_space> to_device(Context<Exec> const& context,
                                                        Tensor<T, Shape, Kokkos::HostSpace> const& tensor) {
  using Memory = typename Exec::memory_space;
  if constexpr (is_host_execution<Exec>) {
    return {tensor.data(), tensor.extents(), tensor.owner()};
  } else {
    auto copy = context.workspace().template tensor<std::remove_const_t<T>>(tensor.extents());
    context.uploads().template copy<std::remove_const_t<T>, Memory>(tensor.data(), tensor.size(), copy.data());
    return {copy.data(), copy.extents(), copy.owner()};
  }
}

}  // namespace kovos
