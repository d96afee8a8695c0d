// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "kovos/checkpoint/layout.hpp"
#include "kovos/checkpoint/layouts/openai_clip.hpp"

namespace kovos {

/// Prefix of the CLIP model inside a CAT-Seg checkpoint, and of its head.
inline constexpr std::string_view cat_seg_clip_prefix = "sem_seg_head.predictor.clip_model.";
inline constexpr std::string_view cat_seg_head_prefix = "sem_seg_head.predictor.transformer.";

namespace cat_seg {

inline constexpr std::string_view head[] = {"conv1.weight", "guidance_projection.0.weight"};
inline constexpr PartKeys parts[] = {
    {PartKeys::Part::model, cat_seg_clip_prefix, openai_clip::image, {}, openai_clip::resnet},
    {PartKeys::Part::model, cat_seg_clip_prefix, openai_clip::text, {}},
    {PartKeys::Part::model, cat_seg_head_prefix, head, {}}};

}  // namespace cat_seg

/// The authors' checkpoints of CAT-Seg.
inline constexpr CheckpointLayout cat_seg_layout{
    .name = "CAT-Seg", .words = "a CAT-Seg checkpoint", .parts = cat_seg::parts, .clip_prefix = cat_seg_clip_prefix};

}  // namespace kovos
