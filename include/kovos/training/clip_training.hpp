// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/core/image.hpp"
#include "kovos/training/losses.hpp"
#include "kovos/training/parameters.hpp"
#include "kovos/training/pixels.hpp"

namespace kovos {

/// CLIP is trained whole; gains, biases and the temperature do not decay (Radford et al. 2021, section 2.5).
struct ClipParameterRule {
  double weight_decay = 0.1;

  std::optional<ParameterRule> operator()(std::string_view, ParameterRole role) const {
    return ParameterRule{1, is_matrix(role) ? weight_decay : 0};
  }
};

/// How the contrastive loss of clip_loss is made up.
struct ClipLossConfig {
  std::array<float, 3> mean{}, deviation{};  ///< of the pixels 0..255
  std::size_t resolution = 0;                ///< side of the pictures; 0: image_size
  double dense_share = 0;       ///< of the loss, that is dense_contrastive_loss instead of the class token's
  double dense_sharpness = 20;  ///< of its soft maximum
};

/// Things that the captions of a batch name, each once, and which picture's caption names which.
struct NamedThings {
  std::vector<std::vector<std::int32_t>> prompts;  ///< start and end included
  std::vector<std::uint8_t> named;                 ///< [prompts, pictures], 1 where a caption names the thing, else 0
};

/// The contrastive loss of pictures of resolution x resolution pixels and their captions, start and end included. At
/// another resolution than image_size the positions are interpolated, as CAT-Seg does.
/// things: what the dense share looks for in the patches; none: the captions themselves. -> [1].
/// Throws ShapeError if there are not as many captions as pictures, or things.named is of another size.
template <ClipConfig Config, class T, class Exec, Recompute Policy>
auto clip_loss(Tape<Exec, Policy> const& tape, ClipModel<Config, T, typename Exec::memory_space> const& model,
               std::span<Image const> images, std::span<std::vector<std::int32_t> const> captions,
               NamedThings const& things, ClipLossConfig const& config) {
  std::size_t const side = config.resolution == 0 ? Config.vision.image_size : config.resolution, n = images.size();
  require<ShapeError>(side % Config.vision.patch_size == 0, "[clip_loss] pictures of ", side,
                      " pixels cannot be cut into patches of ", Config.vision.patch_size);
  auto const pixels = normalized_pixels(tape, images, side, side, config.mean, config.deviation);
  auto const texts = model.text.encode(tape, captions);
  if (config.dense_share == 0)
    return contrastive_loss(tape, model.visual.encode(tape, pixels), texts, model.logit_scale);
  auto const features = model.visual.encode_joint(tape, pixels);
  auto const& patches = features.dense;
  auto const loss = contrastive_loss(tape, features.embedding, texts, model.logit_scale, 1 - config.dense_share);
  auto const depth = patches.extent(3);
  auto const list = patches.reshape(dynamic_extents<3>(n, patches.size() / n / depth, depth));
  auto const sharpness = static_cast<float>(config.dense_sharpness);
  if (things.prompts.empty()) {
    add_in_place(tape, loss,
                 dense_contrastive_loss(tape, list, texts, model.logit_scale, sharpness, config.dense_share));
    return loss;
  }
  std::size_t const count = things.prompts.size();
  require_extent("clip_loss", "things.named.size()", things.named.size(), count * n);
  Tensor<std::uint8_t, dynamic_extents<2>> said(dynamic_extents<2>(count, n));
  std::copy(things.named.begin(), things.named.end(), said.data());
  TextsOfPictures<typename Exec::memory_space> const pairs{
      to_device(tape.context(), said),
      static_cast<std::size_t>(std::count(things.named.begin(), things.named.end(), std::uint8_t{1}))};
  auto const prompts = model.text.encode(tape, std::span<std::vector<std::int32_t> const>(things.prompts));
  add_in_place(tape, loss,
               dense_contrastive_loss(tape, list, prompts, pairs, model.logit_scale, sharpness, config.dense_share));
  return loss;
}

}  // namespace kovos
