// SPDX-License-Identifier: Apache-2.0
// Bring your own model: one constexpr struct is the whole architecture.
//   own_model
// Builds a geometry that no preset has, fills it with seeded random weights and segments a made-up picture.

#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kovos/nn/parameter.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/segmentation/decode/labels.hpp"
#include "kovos/segmentation/merged_views.hpp"
#include "kovos/segmentation/sliding_window.hpp"

namespace {

constexpr kovos::CatSegConfig mine{
    .clip = {.embed_dim = 40,
             .vision = {.image_size = 96, .patch_size = 12, .width = 48, .layers = 3, .heads = 3},
             .text = {.context_length = 16, .vocabulary_size = 600, .width = 32, .layers = 1, .heads = 2}},
    .clip_resolution = 96,
    .hooked_blocks = {0, 1},
    .decoder_guidance_dims = {24, 12},
    .decoder_guidance_proj_dims = {12, 4},
    .decoder_dims = {32, 16},
    .hidden_dim = 24,
    .num_layers = 3,
    .num_heads = 2,
    .window_size = 4,
    .shift_size = 2,
    .appearance_guidance_dim = 8,
    .text_guidance_dim = 12,
    .class_attention = kovos::ClassAttention::full,
    .test = {.short_edge = 128, .longest_edge = 512, .canvas = 128, .window = 96, .stride = 32}};

using Network = kovos::CatSegNetwork<mine, float, Kokkos::HostSpace>;

/// Seeded random numbers in every parameter; a trainer or a checkpoint would stand here.
void initialise(Network& network) {
  std::mt19937 generator(7);
  for (auto const& parameter : kovos::parameters_of(network)) {
    kovos::DynamicTensor<float, 1> const values(kovos::dynamic_extents<1>{parameter.size()});
    std::normal_distribution<float> normal(parameter.role() == kovos::ParameterRole::norm_weight ? 1.0f : 0.0f, 0.1f);
    for (std::size_t i = 0; i < values.size(); ++i) values.data()[i] = normal(generator);
    parameter.give(values);
  }
}

}  // namespace

int main() {
  kovos::Runtime runtime;
  kovos::Context<Kokkos::DefaultHostExecutionSpace> const context;
  Network network;
  initialise(network);
  kovos::declare_constant(context, network);  // trained no more: packed once, not at every product
  std::printf("parameters: %zu\n", kovos::count_parameters(network));

  std::vector<std::vector<std::int32_t>> const prompts{{598, 5, 599}, {598, 6, 599}, {598, 7, 8, 599}};
  auto const text = kovos::l2_normalize(context, network.clip_model.text.encode(context, prompts))
                        .reshape(kovos::dynamic_extents<3>(3, 1, 40));

  kovos::Image picture{100, 150, std::vector<std::uint8_t>(100 * 150 * 3)};
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<std::uint8_t>(i / 7 % 256);
  auto const views = kovos::cut_views(context, kovos::image_tensor(context, picture), kovos::WindowMode::sliding,
                                      mine.test, mine.clip_resolution);
  auto const logits = network.transformer(context, network.image_features(context, views.pixels, text), text);
  kovos::MergedViews const maps(views, logits);
  auto const chosen = kovos::choose_labels(context, maps, picture.height, picture.width);
  std::printf("views: %zu, labels: %zu x %zu\n", logits.size(), chosen.labels.height, chosen.labels.width);
}
// Expected output:
//   parameters: 261630
//   views: 5, labels: 100 x 150
