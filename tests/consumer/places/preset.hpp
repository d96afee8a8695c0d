// SPDX-License-Identifier: Apache-2.0
// A preset of one's own: a configuration, and the list of Kovos with it at the end.
#pragma once

#include "kovos/segmentation/cat_seg_presets.hpp"

namespace places {

/// cat_seg_tiny with a narrower head of three layers.
inline constexpr kovos::CatSegConfig cat_seg_narrow = [] {
  auto c = kovos::cat_seg_tiny;
  c.hidden_dim = 24;
  c.num_layers = 3;
  return c;
}();

inline constexpr auto presets = kovos::with_presets(kovos::cat_seg_presets, {{"cat_seg_narrow", cat_seg_narrow}});

}  // namespace places
