// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "kovos/checkpoint/layout.hpp"

namespace kovos {

namespace openai_clip {

inline constexpr std::string_view image[] = {"visual.class_embedding", "visual.conv1.weight", "visual.ln_pre.weight",
                                             "visual.proj", "visual.transformer.resblocks.0.ln_1.weight"};
inline constexpr std::string_view text[] = {"token_embedding.weight", "positional_embedding", "ln_final.weight",
                                            "text_projection", "transformer.resblocks.0.ln_1.weight"};
/// Of its ResNets, which name some of the others alike.
inline constexpr std::string_view resnet = "visual.layer1.0.conv1.weight";
inline constexpr PartKeys parts[] = {{PartKeys::Part::image, "", image, {}, resnet},
                                     {PartKeys::Part::text, "", text, {}}};

}  // namespace openai_clip

/// OpenAI's CLIP, and whoever keeps its names. They are Kovos' own, with in_proj_weight in three.
inline constexpr CheckpointLayout openai_clip_layout{
    .name = "OpenAI CLIP", .words = "an OpenAI CLIP", .parts = openai_clip::parts, .image_below = "visual."};

}  // namespace kovos
