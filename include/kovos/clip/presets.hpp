// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "kovos/clip/config.hpp"
#include "kovos/core/preset.hpp"

namespace kovos {

inline constexpr ClipConfig clip_vit_b32{.embed_dim = 512, .vision = {.patch_size = 32}, .text = {}};
inline constexpr ClipConfig clip_vit_b16{.embed_dim = 512, .vision = {}, .text = {}};
inline constexpr ClipConfig clip_vit_l14{.embed_dim = 768,
                                         .vision = {.patch_size = 14, .width = 1024, .layers = 24, .heads = 16},
                                         .text = {.width = 768, .heads = 12}};
inline constexpr ClipConfig clip_vit_l14_336{
    .embed_dim = 768,
    .vision = {.image_size = 336, .patch_size = 14, .width = 1024, .layers = 24, .heads = 16},
    .text = {.width = 768, .heads = 12}};

/// The smallest CLIP with every part, for tests and demonstrations.
inline constexpr ClipConfig clip_tiny{
    .embed_dim = 48,
    .vision = {.image_size = 64, .patch_size = 16, .width = 64, .layers = 4, .heads = 2},
    .text = {.vocabulary_size = 1024, .width = 64, .layers = 2, .heads = 2}};

/// The CLIP of the embedded default model: small pictures, its own vocabulary (weights/README.md).
inline constexpr ClipConfig clip_scenes{
    .embed_dim = 128,
    .vision = {.image_size = 96, .patch_size = 12, .width = 160, .layers = 6, .heads = 5},
    .text = {.context_length = 48, .vocabulary_size = 1024, .width = 128, .layers = 3, .heads = 4}};

/// The CLIP configurations that a program can choose among at run time: the only list of them.
inline constexpr auto clip_presets = std::to_array<Preset<ClipConfig>>({{"clip_vit_b32", clip_vit_b32},
                                                                        {"clip_vit_b16", clip_vit_b16},
                                                                        {"clip_vit_l14", clip_vit_l14},
                                                                        {"clip_vit_l14_336", clip_vit_l14_336},
                                                                        {"clip_tiny", clip_tiny},
                                                                        {"clip_scenes", clip_scenes}});

/// How programs call a configuration; "custom" unless it is one of the presets.
template <ClipConfig Config>
inline constexpr std::string_view clip_preset_name = name_in(clip_presets, Config);

}  // namespace kovos
