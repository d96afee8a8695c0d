// expect: kovos::CatSegConfig: decoder_dims must be multiples of 16, the width of a normalisation group
// SPDX-License-Identifier: Apache-2.0
#include "kovos/segmentation/cat_seg_config.hpp"

constexpr kovos::CatSegConfig config{.decoder_dims = {64, 24}};
static_assert(kovos::valid<config>());
