// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/segmentation/cat_seg_config.hpp"
#include "kovos/segmentation/segmentation.hpp"
#include "kovos/segmentation/sliding_window.hpp"

namespace kovos {

/// What a stage must do at least, counted from the geometry; stages are called as in Segmentation::times.
/// Floating point operations (a multiply-add is two): only what the result needs, each once: prompts as long as they
/// are, class padding in closed form, the last image block without its unused attention, what guidance contributes once
/// per view and not once per class. Matrix products, convolutions and attention count; pointwise work, normalisation,
/// softmax and resampling do not. Bytes: weights, inputs and outputs of the stage once each to or from memory, in fp32,
/// as if everything between them stayed in cache.
struct StageWork {
  std::string stage;
  double operations = 0;
  double bytes = 0;

  /// Seconds on a machine of these peaks, operations and bytes per second, that does both at once.
  double floor_seconds(double operations_peak, double bytes_peak) const {
    return std::max(operations / operations_peak, bytes / bytes_peak);
  }
};

/// The work of one of them; none if there is no such stage.
inline StageWork work_of(std::vector<StageWork> const& work, std::string_view stage) {
  for (auto const& one : work)
    if (one.stage == stage) return one;
  return {std::string(stage)};
}

/// prompt_lengths: tokens of each prompt, with start and end. -> the stage "text encoder".
inline StageWork text_work(CatSegConfig const& c, std::vector<std::size_t> const& prompt_lengths) {
  double const d = static_cast<double>(c.clip.text.width), layers = static_cast<double>(c.clip.text.layers);
  double sum = 0;
  for (std::size_t const length : prompt_lengths) {
    double const l = static_cast<double>(length);
    sum += layers * (12 * l * d * d + 2 * l * l * d) + d * static_cast<double>(c.clip.embed_dim);
  }
  double const prompts = static_cast<double>(prompt_lengths.size()), embed = static_cast<double>(c.clip.embed_dim);
  return {"text encoder", 2 * sum, 4 * (12 * layers * d * d + d * embed + prompts * embed)};
}

/// All stages but the text, as the options have them, with the head. height, width: of the picture, pixels.
/// Throws ConfigError for more layers than the model has.
inline std::vector<StageWork> segment_work(CatSegConfig const& c, std::size_t class_count,
                                           SegmentOptions const& options, std::size_t height, std::size_t width) {
  auto const real = [](std::size_t n) { return static_cast<double>(n); };
  auto const at_most = [](std::size_t n, std::size_t limit) { return limit == 0 ? n : std::min(n, limit); };
  std::size_t const kept_count = at_most(std::min(class_count, c.pad_len), options.most_classes);
  std::size_t const decoded_count = c.grid() % 2 == 0 ? at_most(kept_count, options.most_decoded) : kept_count;
  double const classes = real(class_count), kept = real(kept_count), decoded = real(decoded_count);
  double const coarse =
      decoded_count < kept_count ? 0.25 : 0;  // of each map's pixels, once more to choose what to decode
  double const views = real(view_count(c.test, options.window));
  double const pixels = real(c.grid() * c.grid()), tokens = pixels + 1;
  double const d = real(c.clip.vision.width), patch = real(c.clip.vision.patch_size), embed = real(c.clip.embed_dim);
  double const h = real(c.hidden_dim), heads = real(c.num_heads), templates = real(c.num_templates);
  double const appearance = real(c.appearance_guidance_dim), words = real(c.text_guidance_dim);
  std::array<double, 2> const guide{real(c.decoder_guidance_dims[0]), real(c.decoder_guidance_dims[1])};
  std::array<double, 2> const joined{real(c.decoder_guidance_proj_dims[0]), real(c.decoder_guidance_proj_dims[1])};
  std::array<double, 2> const out{real(c.decoder_dims[0]), real(c.decoder_dims[1])};
  double const layers = real(aggregation_layers(c, options.layers));

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
    side *= 4;
    // The transposed convolution and the one behind it are one of 2 x 2 pixels; then a second one.
    decoder += side * pixels * (4 * in * out[i] + 9 * out[i] * out[i]);
    decoder_guidance += side * pixels * 9 * joined[i] * (guide[i] + (1 + coarse) * out[i]);
    in = out[i];
  }
  decoder += side * pixels * 9 * in;  // head

  double const twice = 2 * views;
  double const side_1 = 4 * pixels, side_2 = 16 * pixels;  // pixels after each step of the decoder
  double const hooks = side_1 * guide[0] + side_2 * guide[1];
  double const picture = real(height) * real(width), input = 3 * real(c.clip_resolution) * real(c.clip_resolution);
  double const image_weights =
      real(c.clip.vision.layers) * 12 * d * d + 3 * patch * patch * d + d * embed + d * (guide[0] * 4 + guide[1] * 16);
  double const head_weights_per_layer = 2 * (12 * h * h + 2 * appearance * h) + 11 * h * h + 2 * words * h;
  double const maps = kept * pixels * h;  // the tensor between the stages of the head
  return {{"preprocessing", 0, picture * 3 + 4 * views * input},
          {"image encoder", twice * image, 4 * (image_weights + views * (input + pixels * embed + hooks))},
          {"cost volume", twice * classes * templates * pixels * embed,
           4 * (classes * templates * embed + views * pixels * (embed + classes * templates))},
          {"guidance", twice * pixels * 9 * embed * appearance,
           4 * (9 * embed * appearance + views * pixels * (embed + appearance))},
          {"cost embedding", twice * kept * pixels * 49 * templates * h,
           4 * (49 * templates * h + views * (kept * pixels * templates + maps))},
          {"spatial aggregation", twice * layers * 2 * (kept * swin + swin_guidance),
           4 * layers * (head_weights_per_layer + views * 2 * maps)},
          {"class aggregation", twice * layers * kept * (per_class_layer + class_guidance),
           4 * layers * (head_weights_per_layer + views * 2 * maps)},
          {"decoder", twice * ((decoded + coarse * kept) * decoder + decoder_guidance),
           4 * views * (maps + hooks + decoded * side_2)},
          {"labels", 0, 4 * views * decoded * side_2 + 6 * picture}};
}

}  // namespace kovos
