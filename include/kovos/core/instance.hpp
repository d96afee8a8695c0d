// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/core/run_length_mask.hpp"

namespace kovos {

/// One object of a picture. Masks of several instances may overlap.
struct Instance {
  std::size_t label = 0;   ///< index of its class
  double score = 0;        ///< 0..1
  std::size_t source = 0;  ///< the mask of a MaskSet, or the segment of a PanopticMap, that it was made of
  RunLengthMask mask;      // at the size of the map
};

}  // namespace kovos
