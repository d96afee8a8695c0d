// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kovos/kernels/activation_kind.hpp"

namespace kovos {

/// What an image encoder is. Numbers from 1000 on are free for encoders of programs, EncoderKind{1000}
/// (ImageEncoderOf).
enum class EncoderKind : std::uint16_t {
  vision_transformer,  ///< of one size from the patches to the end
};

/// Geometry of an image encoder of CLIP. Each kind has its own use of these numbers.
struct VisionConfig {
  std::size_t image_size = 224;  ///< side of whole pictures, for which stored positions were made, pixels
  std::size_t patch_size = 16;   ///< pixels per position of the dense features: the side of a transformer's patch
  std::size_t width = 768;
  std::size_t layers = 12;
  std::size_t heads = 12;
  EncoderKind kind = EncoderKind::vision_transformer;
  std::array<std::size_t, 4> stage_layers{};  ///< of encoders whose maps shrink, stage by stage
  std::array<std::size_t, 4> stage_widths{};

  /// Patches per side of the stored positional embedding.
  constexpr std::size_t grid() const { return image_size / patch_size; }
  bool operator==(VisionConfig const&) const = default;
};

/// Geometry of a CLIP text transformer.
struct TextConfig {
  std::size_t context_length = 77;
  std::size_t vocabulary_size = 49408;
  std::size_t width = 512;
  std::size_t layers = 12;
  std::size_t heads = 8;

  bool operator==(TextConfig const&) const = default;
};

/// Both towers and the width of their joint space.
struct ClipConfig {
  std::size_t embed_dim = 512;
  VisionConfig vision{};
  TextConfig text{};
  Activation activation = Activation::quick_gelu;

  bool operator==(ClipConfig const&) const = default;
};

/// Fails to compile with a sentence if the numbers do not fit together.
template <ClipConfig Config>
consteval bool valid() {
  static_assert(Config.embed_dim > 0, "kovos::ClipConfig: embed_dim must be positive");
  static_assert(Config.vision.patch_size > 0 && Config.vision.image_size % Config.vision.patch_size == 0,
                "kovos::ClipConfig: vision.patch_size must divide vision.image_size");
  constexpr bool is_transformer = Config.vision.kind == EncoderKind::vision_transformer;
  static_assert(!is_transformer || (Config.vision.heads > 0 && Config.vision.width % Config.vision.heads == 0),
                "kovos::ClipConfig: vision.heads must divide vision.width");
  static_assert(Config.text.heads > 0 && Config.text.width % Config.text.heads == 0,
                "kovos::ClipConfig: text.heads must divide text.width");
  static_assert((!is_transformer || Config.vision.layers > 0) && Config.text.layers > 0,
                "kovos::ClipConfig: both towers need at least one layer");
  static_assert(Config.text.context_length >= 3, "kovos::ClipConfig: text.context_length must hold a word");
  return true;
}

}  // namespace kovos
