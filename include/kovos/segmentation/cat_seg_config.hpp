// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kovos/clip/config.hpp"
#include "kovos/clip/presets.hpp"
#include "kovos/core/error.hpp"

namespace kovos {

/// How classes attend to each other.
enum class ClassAttention : std::uint8_t {
  linear,  ///< feature map elu(x) + 1, as the released models
  full,    ///< softmax
};

/// How a picture is cut at test time, in pixels.
struct TestTimeConfig {
  std::size_t short_edge = 640;        ///< the picture's short side is resized to this first
  std::size_t longest_edge = 2560;     ///< unless the long side would exceed this
  std::size_t canvas = 640;            ///< sliding: the side the picture is squashed to
  std::size_t window = 384;            ///< sliding: side of a window, and of the whole picture beside the windows
  std::size_t stride = 256;            ///< sliding: between windows
  std::size_t size_divisibility = 32;  ///< whole: the picture is padded to a multiple of this
  std::array<float, 3> pixel_mean{122.7709383f, 116.7460125f, 104.09373615f};  ///< RGB, of 0..255
  std::array<float, 3> pixel_std{68.5005327f, 66.6321579f, 70.3231630f};

  bool operator==(TestTimeConfig const&) const = default;
};

/// Geometry of a CAT-Seg model (Cho et al., CVPR 2024). The defaults are the released ViT-B/16 model.
struct CatSegConfig {
  ClipConfig clip = clip_vit_b16;
  std::size_t clip_resolution = 384;               ///< side of the image encoder's input, pixels
  std::array<std::size_t, 2> hooked_blocks{3, 7};  ///< levels of the image encoder that guide the decoder: ViT blocks
  std::array<std::size_t, 2> decoder_guidance_dims{256, 128};  ///< after upsample1, upsample2
  std::array<std::size_t, 2> decoder_guidance_proj_dims{32, 16};
  std::array<std::size_t, 2> decoder_dims{64, 32};
  std::size_t num_templates = 1;  ///< prompt templates = input channels of conv1
  std::size_t hidden_dim = 128;
  std::size_t num_layers = 2;
  std::size_t num_heads = 4;
  std::size_t window_size = 12;  ///< of the spatial aggregation, in tokens
  std::size_t shift_size = 6;
  std::size_t appearance_guidance_dim = 128;
  std::size_t text_guidance_dim = 128;
  std::size_t pad_len = 256;  ///< classes are padded to, and pruned to, this number
  ClassAttention class_attention = ClassAttention::linear;
  TestTimeConfig test{};

  /// Tokens per side: the feature resolution.
  constexpr std::size_t grid() const { return clip_resolution / clip.vision.patch_size; }
  bool operator==(CatSegConfig const&) const = default;
};

/// How many aggregation layers are run where `wanted` are asked for, 0 being all. Throws ConfigError for more than the
/// model has.
inline std::size_t aggregation_layers(CatSegConfig const& c, std::size_t wanted) {
  require<ConfigError>(wanted <= c.num_layers, "[CatSegConfig] ", wanted,
                       " aggregation layers were asked for, but the ", "model has ", c.num_layers,
                       "; give a smaller number, or 0 for all of them");
  return wanted == 0 ? c.num_layers : wanted;
}

/// Fails to compile with a sentence if the numbers do not fit together.
template <CatSegConfig Config>
consteval bool valid() {
  static_assert(valid<Config.clip>());
  static_assert(Config.clip_resolution > 0 && Config.test.window > 0 && Config.test.size_divisibility > 0,
                "kovos::CatSegConfig: clip_resolution, test.window and test.size_divisibility must be positive");
  static_assert(Config.test.pixel_std[0] > 0 && Config.test.pixel_std[1] > 0 && Config.test.pixel_std[2] > 0,
                "kovos::CatSegConfig: test.pixel_std must be positive");
  static_assert(Config.clip_resolution % Config.clip.vision.patch_size == 0,
                "kovos::CatSegConfig: clip.vision.patch_size must divide clip_resolution");
  static_assert(
      Config.clip.vision.kind != EncoderKind::vision_transformer ||
          (Config.hooked_blocks[0] < Config.clip.vision.layers && Config.hooked_blocks[1] < Config.clip.vision.layers),
      "kovos::CatSegConfig: hooked_blocks must name blocks of the image encoder");
  static_assert(Config.num_heads > 0 && Config.hidden_dim % Config.num_heads == 0,
                "kovos::CatSegConfig: num_heads must divide hidden_dim");
  static_assert(Config.window_size > 0 && Config.grid() % Config.window_size == 0,
                "kovos::CatSegConfig: window_size must divide the token grid clip_resolution / patch_size");
  static_assert(Config.shift_size < Config.window_size, "kovos::CatSegConfig: shift_size must be below window_size");
  static_assert(Config.decoder_guidance_proj_dims[0] < Config.hidden_dim &&
                    Config.decoder_guidance_proj_dims[1] < Config.decoder_dims[0],
                "kovos::CatSegConfig: decoder_guidance_proj_dims must be below the width of what they guide");
  static_assert(Config.decoder_dims[0] % 16 == 0 && Config.decoder_dims[1] % 16 == 0,
                "kovos::CatSegConfig: decoder_dims must be multiples of 16, the width of a normalisation group");
  static_assert(Config.num_templates > 0 && Config.num_layers > 0 && Config.pad_len > 0,
                "kovos::CatSegConfig: num_templates, num_layers and pad_len must be positive");
  static_assert(Config.test.window <= Config.test.canvas && Config.test.stride > 0 &&
                    (Config.test.canvas - Config.test.window) % Config.test.stride == 0,
                "kovos::CatSegConfig: windows of test.window every test.stride pixels must cover test.canvas exactly");
  return true;
}

}  // namespace kovos
