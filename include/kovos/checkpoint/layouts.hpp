// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "kovos/checkpoint/layout.hpp"
#include "kovos/checkpoint/layouts/cat_seg.hpp"
#include "kovos/checkpoint/layouts/hugging_face_clip.hpp"
#include "kovos/checkpoint/layouts/open_clip.hpp"
#include "kovos/checkpoint/layouts/openai_clip.hpp"

namespace kovos {

/// The layouts that are read: the only list of them. A file is of the first that it fits.
inline constexpr CheckpointLayout const* checkpoint_layouts[] = {&cat_seg_layout, &hugging_face_clip_layout,
                                                                 &open_clip_layout, &openai_clip_layout};

/// Names of attributes that programs keep a model in. In front of all its keys they mean nothing.
inline constexpr std::string_view wrapper_names[] = {"model.", "clip.", "clip_model.", "net.", "network."};

/// A model that is not read.
struct ForeignModel {
  std::string_view part;  ///< of a key, at its beginning or after a dot
  std::string_view words;
};

/// What is said of models that are not read; the first that fits.
inline constexpr ForeignModel foreign_models[] = {
    {"backbone.clip_model.", "an FC-CLIP checkpoint"},
    {"visual.trunk.", "an open_clip model whose image encoder is one of timm"},
    {"visual.layer1.0.conv1.weight", "a CLIP whose image encoder is a ResNet"},
    {"visual.attnpool.", "a CLIP whose image encoder is a ResNet"},
    {"visual.blocks.", "an EVA-CLIP model"},
    {"vision_model.head.probe", "a SigLIP model"},
    {"text_model.head.weight", "a SigLIP model"},
    {"decode_head.", "an MMSegmentation model"},
    {"sem_seg_head.", "a segmentation model of detectron2 other than CAT-Seg"},
    {"visual.class_embedding",
     "a CLIP below another prefix than Kovos drops (model., clip., clip_model., net., network.)"},
    {"vision_model.embeddings.class_embedding",
     "a CLIP below another prefix than Kovos drops (model., clip., clip_model., net., network.)"}};

}  // namespace kovos
