// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

namespace kovos {

/// Score added between positions of different regions of a shifted window, as the Swin Transformer does.
inline constexpr float window_mask = -100.0f;

namespace problem {

/// Which keys a query may see. causal: query i sees keys 0 .. i only, there are as many keys as queries. regions:
/// [period, keys], sequence n has those of row n % period; where those of query and key differ, window_mask is added.
struct AttentionMask {
  bool causal = false;
  std::uint8_t const* regions = nullptr;
  std::size_t period = 1;

  /// The regions of a sequence: [keys], or nullptr.
  KOKKOS_FUNCTION std::uint8_t const* regions_of(std::size_t sequence, std::size_t keys) const {
    return regions ? regions + sequence % period * keys : nullptr;
  }
};

}  // namespace problem

}  // namespace kovos
