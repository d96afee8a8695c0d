// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/kernels/engine/host/kernels.hpp"

namespace kovos {

namespace engine {
/// Packed operands and vector micro-kernels, in the best instruction set that the processor has.
struct Host {
  template <class Exec>
  static bool serves(Context<Exec> const& context) {
    return detail::uses_host_engine(context);
  }
};
}  // namespace engine

#ifdef KOVOS_HOST_ENGINE
namespace detail {
/// The products of bf16 of the host engine, if this context wants them and the machine has them; else nullptr.
template <class Exec>
HostBf16Kernels const* bf16_kernels(Context<Exec> const& context) {
  return context.precision() == MatmulPrecision::bf16 ? host_bf16_kernels() : nullptr;
}
}  // namespace detail
#endif

}  // namespace kovos
