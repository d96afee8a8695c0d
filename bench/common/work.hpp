// SPDX-License-Identifier: Apache-2.0
// How much a segmentation has to compute, counted by hand from the geometry.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "kovos/segmentation/cat_seg_config.hpp"

namespace kovos::bench {

/// Floating point operations (a multiply-add is two) of each stage, as the stages of Segmentation::times are called.
/// Only what the result needs, each once: prompts as long as they are, class padding in closed form, the last image
/// block without its unused attention, what guidance contributes once per image and not once per class. Matrix
/// products, convolutions and attention count; pointwise work, normalisation, softmax and resampling do not.
using Work = std::vector<std::pair<std::string, double>>;

inline double operations_of(Work const& work, std::string const& stage) {
  for (auto const& [name, operations] : work)
    if (name == stage) return operations;
  return 0;
}

/// prompt_lengths: tokens of each prompt, with start and end. -> the stage "text encoder".
inline Work text_work(CatSegConfig const& c, std::vector<std::size_t> const& prompt_lengths) {
  double const d = static_cast<double>(c.clip.text.width), layers = static_cast<double>(c.clip.text.layers);
  double sum = 0;
  for (std::size_t const length : prompt_lengths) {
    double const l = static_cast<double>(length);
    sum += layers * (12 * l * d * d + 2 * l * l * d) + d * static_cast<double>(c.clip.embed_dim);
  }
  return {{"text encoder", 2 * sum}};
}

/// All stages but the text, for the given number of classes and of views.
inline Work segment_work(CatSegConfig const& c, std::size_t class_count, std::size_t view_count) {
  auto const real = [](std::size_t n) { return static_cast<double>(n); };
  double const classes = real(class_count), kept = real(std::min(class_count, c.pad_len)), views = real(view_count);
  double const pixels = real(c.grid() * c.grid()), tokens = pixels + 1;
  double const d = real(c.clip.vision.width), patch = real(c.clip.vision.patch_size), embed = real(c.clip.embed_dim);
  double const h = real(c.hidden_dim), heads = real(c.num_heads), templates = real(c.num_templates);
  double const appearance = real(c.appearance_guidance_dim), words = real(c.text_guidance_dim);
  std::array<double, 2> const guide{real(c.decoder_guidance_dims[0]), real(c.decoder_guidance_dims[1])};
  std::array<double, 2> const joined{real(c.decoder_guidance_proj_dims[0]), real(c.decoder_guidance_proj_dims[1])};
  std::array<double, 2> const out{real(c.decoder_dims[0]), real(c.decoder_dims[1])};
  double const layers = real(c.num_layers);

  double const block = 12 * tokens * d * d + 2 * tokens * tokens * d;
  double const last_block = 10 * pixels * d * d;  // value and output projection, mlp
  double const image = pixels * 3 * patch * patch * d + real(c.clip.vision.layers - 1) * block + last_block +
                       tokens * d * embed + pixels * d * (guide[0] * 4 + guide[1] * 16);

  double const window = real(c.window_size * c.window_size);
  double const swin = pixels * 12 * h * h + 2 * pixels * window * h;  // per class
  double const swin_guidance = pixels * 2 * appearance * h;           // per view
  double const per_class_layer = pixels * 11 * h * h + 2 * pixels * h * h / heads;
  double const class_guidance = 2 * words * h;  // per class

  double decoder = 0, decoder_guidance = 0, in = h, side = 1;
  for (std::size_t i = 0; i < 2; ++i) {
    double const plain = in - joined[i];
    decoder += side * pixels * in * plain * 4;  // transposed convolution
    side *= 4;
    decoder += side * pixels * 9 * (plain * out[i] + out[i] * out[i]);
    decoder_guidance += side * pixels * 9 * (guide[i] * joined[i] + joined[i] * out[i]);
    in = out[i];
  }
  decoder += side * pixels * 9 * in;  // head

  double const twice = 2 * views;
  return {{"image encoder", twice * image},
          {"cost volume", twice * classes * templates * pixels * embed},
          {"guidance", twice * pixels * 9 * embed * appearance},
          {"cost embedding", twice * kept * pixels * 49 * templates * h},
          {"spatial aggregation", twice * layers * 2 * (kept * swin + swin_guidance)},
          {"class aggregation", twice * layers * kept * (per_class_layer + class_guidance)},
          {"decoder", twice * (kept * decoder + decoder_guidance)}};
}

}  // namespace kovos::bench
