// expect: kovos::CatSegConfig: window_size must divide the token grid clip_resolution / patch_size
// SPDX-License-Identifier: Apache-2.0
#include "kovos/segmentation/cat_seg_config.hpp"

constexpr kovos::CatSegConfig config{.window_size = 7, .shift_size = 3};
static_assert(kovos::valid<config>());
