// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "kovos/clip/presets.hpp"
#include "kovos/core/preset.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"

namespace kovos {

/// The released model_base.pth.
inline constexpr CatSegConfig cat_seg_vit_b16{};

/// The released model_large.pth.
inline constexpr CatSegConfig cat_seg_vit_l14_336{
    .clip = clip_vit_l14_336, .clip_resolution = 336, .hooked_blocks = {7, 15}};

/// A geometry for tests and demonstrations: the smallest model with every part.
inline constexpr CatSegConfig cat_seg_tiny{
    .clip = clip_tiny,
    .clip_resolution = 96,
    .hooked_blocks = {1, 2},
    .decoder_guidance_dims = {32, 16},
    .decoder_guidance_proj_dims = {16, 8},
    .decoder_dims = {32, 16},
    .hidden_dim = 32,
    .window_size = 3,
    .shift_size = 1,
    .appearance_guidance_dim = 16,
    .text_guidance_dim = 24,
    .test = {.short_edge = 160, .longest_edge = 640, .canvas = 160, .window = 96, .stride = 64}};

/// The embedded default model, trained by Kovos on procedural scenes (weights/README.md), at a higher resolution than
/// its CLIP first was, as the released models are. It is shown the whole picture; their windows would only repeat it.
inline constexpr CatSegConfig cat_seg_scenes{
    .clip = clip_scenes,
    .clip_resolution = 192,
    .hooked_blocks = {2, 4},
    .decoder_guidance_dims = {48, 24},
    .decoder_guidance_proj_dims = {16, 8},
    .decoder_dims = {32, 16},
    .hidden_dim = 64,
    .window_size = 8,
    .shift_size = 4,
    .appearance_guidance_dim = 32,
    .text_guidance_dim = 32,
    .pad_len = 128,
    .test = {
        .short_edge = 192, .longest_edge = 768, .canvas = 192, .window = 192, .stride = 192, .size_divisibility = 16}};

/// The same at the lower resolution at which the training of its head begins.
inline constexpr CatSegConfig cat_seg_scenes_144 = [] {
  auto c = cat_seg_scenes;
  c.clip_resolution = 144;
  c.window_size = 6;
  c.shift_size = 3;
  c.test.short_edge = c.test.canvas = c.test.window = c.test.stride = 144;
  c.test.longest_edge = 576;
  return c;
}();

/// The presets of CAT-Seg: the only list of them. Loading, the commands of `kovos`, the benchmarks, the documentation's
/// test and CMake (kovos::instances and a unit of `kovos train` for each) take theirs from here. A file is of the first
/// that has its shapes: cat_seg_scenes_144 has those of cat_seg_scenes and is for training.
#define KOVOS_CAT_SEG_PRESETS(preset)                                                                   \
  preset(cat_seg_vit_b16) preset(cat_seg_vit_l14_336) preset(cat_seg_scenes) preset(cat_seg_scenes_144) \
      preset(cat_seg_tiny)

#define KOVOS_PRESET_ENTRY(config) {#config, config},
inline constexpr auto cat_seg_presets =
    std::to_array<Preset<CatSegConfig>>({KOVOS_CAT_SEG_PRESETS(KOVOS_PRESET_ENTRY)});
#undef KOVOS_PRESET_ENTRY

/// How messages call a configuration: "custom" unless it is one of the presets, or this is specialised for it.
template <CatSegConfig Config>
inline constexpr std::string_view preset_name = name_in(cat_seg_presets, Config);

}  // namespace kovos
