// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kovos/checkpoint/layout.hpp"
#include "kovos/checkpoint/layouts/openai_clip.hpp"

namespace kovos {

namespace open_clip {

// With the text encoder at the root, as most of its files have it, they are OpenAI's names.
inline constexpr PartKeys parts[] = {{PartKeys::Part::image, "", openai_clip::image, {}, openai_clip::resnet, false},
                                     {PartKeys::Part::text, "text.", openai_clip::text, {}}};
inline constexpr Rename renames[] = {{"text.", "", Rename::Where::start}};

}  // namespace open_clip

/// open_clip's models whose text encoder is a module of its own (CustomTextCLIP).
inline constexpr CheckpointLayout open_clip_layout{.name = "open_clip",
                                                   .words = "an open_clip model",
                                                   .parts = open_clip::parts,
                                                   .image_below = "visual.",
                                                   .renames = open_clip::renames};

}  // namespace kovos
