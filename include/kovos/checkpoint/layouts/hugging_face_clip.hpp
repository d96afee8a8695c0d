// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "kovos/checkpoint/layout.hpp"

namespace kovos {

namespace hugging_face_clip {

inline constexpr std::string_view image[] = {"embeddings.class_embedding", "embeddings.patch_embedding.weight",
                                             "pre_layrnorm.weight", "post_layernorm.weight",
                                             "encoder.layers.0.self_attn.q_proj.weight"};
inline constexpr std::string_view image_alone[] = {"pre_layrnorm.weight",
                                                   "embeddings.class_embedding"};  // SigLIP: none
inline constexpr std::string_view text[] = {"embeddings.token_embedding.weight", "final_layer_norm.weight",
                                            "encoder.layers.0.self_attn.q_proj.weight"};
inline constexpr std::string_view text_alone[] = {"embeddings.token_embedding.weight"};
inline constexpr std::string_view siglip = "head.weight";

// A half may be saved as a part of itself, or without what is in front of its names in the whole.
inline constexpr PartKeys parts[] = {{PartKeys::Part::image, "vision_model.", image, image_alone},
                                     {PartKeys::Part::image, "vision_model.vision_model.", image, image_alone},
                                     {PartKeys::Part::text, "text_model.", text, {}, siglip},
                                     {PartKeys::Part::text, "text_model.text_model.", text, {}, siglip},
                                     {PartKeys::Part::image, "", image, image_alone, {}, true, "vision_model."},
                                     {PartKeys::Part::text, "", text, text_alone, siglip, true, "text_model."}};

inline constexpr auto start = Rename::Where::start, whole = Rename::Where::whole, anywhere = Rename::Where::anywhere;
inline constexpr Rename renames[] = {
    {"vision_model.vision_model.", "vision_model.", start},
    {"text_model.text_model.", "text_model.", start},
    {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", whole},
    {"vision_model.embeddings.class_embedding", "visual.class_embedding", whole},
    {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", whole},
    {"visual_projection.weight", "visual.proj", whole},
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight", whole},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding", whole},
    {"text_projection.weight", "text_projection", whole},
    {"vision_model.pre_layrnorm.", "visual.ln_pre.", anywhere},
    {"vision_model.post_layernorm.", "visual.ln_post.", anywhere},
    {"vision_model.encoder.layers.", "visual.transformer.resblocks.", anywhere},
    {"text_model.final_layer_norm.", "ln_final.", anywhere},
    {"text_model.encoder.layers.", "transformer.resblocks.", anywhere},
    {".self_attn.q_proj.weight", ".attn.q_proj_weight", anywhere},
    {".self_attn.k_proj.weight", ".attn.k_proj_weight", anywhere},
    {".self_attn.v_proj.weight", ".attn.v_proj_weight", anywhere},
    {".self_attn.", ".attn.", anywhere},
    {".layer_norm1.", ".ln_1.", anywhere},
    {".layer_norm2.", ".ln_2.", anywhere},
    {".mlp.fc1.", ".mlp.c_fc.", anywhere},
    {".mlp.fc2.", ".mlp.c_proj.", anywhere}};
inline constexpr std::string_view transposed[] = {"visual.proj", "text_projection"};

}  // namespace hugging_face_clip

/// transformers' CLIPModel, CLIPVisionModel and CLIPTextModel.
inline constexpr CheckpointLayout hugging_face_clip_layout{.name = "Hugging Face CLIP",
                                                           .words = "a Hugging Face CLIP",
                                                           .parts = hugging_face_clip::parts,
                                                           .image_below = "vision_model.",
                                                           .renames = hugging_face_clip::renames,
                                                           .transposed = hugging_face_clip::transposed,
                                                           .joins_attention_biases = true};

}  // namespace kovos
