// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace kovos {

/// What becomes of several numbers that belong together.
enum class Reduction : std::uint8_t {
  mean,
  maximum,
};

}  // namespace kovos
