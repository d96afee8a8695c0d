// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos {

/// Geometry of a CLIP vision transformer.
struct VisionConfig {
  std::size_t image_size = 224;  ///< side the stored positional embedding was made for, pixels
  std::size_t patch_size = 16;   ///< side of a patch, pixels
  std::size_t width = 768;
  std::size_t layers = 12;
  std::size_t heads = 12;

  /// Patches per side of the stored positional embedding.
  constexpr std::size_t grid() const { return image_size / patch_size; }
};

/// Geometry of a CLIP text transformer.
struct TextConfig {
  std::size_t context_length = 77;
  std::size_t vocabulary_size = 49408;
  std::size_t width = 512;
  std::size_t layers = 12;
  std::size_t heads = 8;
};

/// Both towers and the width of their joint space.
struct ClipConfig {
  std::size_t embed_dim = 512;
  VisionConfig vision{};
  TextConfig text{};
  Activation activation = Activation::quick_gelu;
};

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

/// Fails to compile with a sentence if the numbers do not fit together.
template <ClipConfig Config>
consteval bool valid() {
  static_assert(Config.embed_dim > 0, "kovos::ClipConfig: embed_dim must be positive");
  static_assert(Config.vision.patch_size > 0 && Config.vision.image_size % Config.vision.patch_size == 0,
                "kovos::ClipConfig: vision.patch_size must divide vision.image_size");
  static_assert(Config.vision.heads > 0 && Config.vision.width % Config.vision.heads == 0,
                "kovos::ClipConfig: vision.heads must divide vision.width");
  static_assert(Config.text.heads > 0 && Config.text.width % Config.text.heads == 0,
                "kovos::ClipConfig: text.heads must divide text.width");
  static_assert(Config.vision.layers > 0 && Config.text.layers > 0,
                "kovos::ClipConfig: both towers need at least one layer");
  static_assert(Config.text.context_length >= 3, "kovos::ClipConfig: text.context_length must hold a word");
  return true;
}

}  // namespace kovos
