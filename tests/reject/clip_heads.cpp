// expect: kovos::ClipConfig: vision.heads must divide vision.width
// SPDX-License-Identifier: Apache-2.0
#include "kovos/clip/config.hpp"

constexpr kovos::ClipConfig config{.vision = {.width = 100, .heads = 12}};
static_assert(kovos::valid<config>());
