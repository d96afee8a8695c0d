// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace kovos {

/// The elementwise functions a matrix product, a convolution or a layer may end with.
enum class Activation : std::uint8_t {
  none,
  relu,        ///< max(x, 0)
  gelu,        ///< x (1 + erf(x / sqrt 2)) / 2
  quick_gelu,  ///< x sigmoid(1.702 x), as OpenAI's CLIP
  sigmoid,     ///< 1 / (1 + exp(-x))
};

}  // namespace kovos
