// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace kovos::detail {

/// What PackedOperands hold. The numbers and what they mean are kept on disk: see StartCache::format.
enum PackedLayout : std::size_t {
  packed_as_matrix,
  packed_as_bf16_matrix,
  packed_as_convolution,
  packed_as_bf16_convolution,
  composed_with_upsampling
};

}  // namespace kovos::detail
