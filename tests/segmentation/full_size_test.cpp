// SPDX-License-Identifier: Apache-2.0
// The full-size presets against our PyTorch reference: not run by CI, for it needs weights of 0.6 and 1.7 GB.
//   python3 tests/reference/write_full_size.py --model vit_b16     --format safetensors --output b.safetensors
//   python3 tests/reference/write_full_size.py --model vit_l14_336 --format safetensors --output l.safetensors
//   KOVOS_FULL_SIZE_B=b.safetensors KOVOS_FULL_SIZE_L=l.safetensors ctest -R segmentation

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/kernels/label_choice.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/segmentation/sliding_window.hpp"
#include "support/oracle.hpp"

namespace {

using namespace kovos;

/// The picture of full_size.json.
Image formula_picture() {
  std::size_t const side = 384;
  Image image{side, side, std::vector<std::uint8_t>(side * side * 3)};
  for (std::size_t y = 0; y < side; ++y)
    for (std::size_t x = 0; x < side; ++x)
      for (std::size_t c = 0; c < 3; ++c)
        image.pixels[(y * side + x) * 3 + c] =
            static_cast<std::uint8_t>((37 * y + 11 * x * (c + 1) + 5 * (x * y / 7)) % 256);
  return image;
}

using Tensors = std::map<std::string, std::vector<float>, std::less<>>;

nlohmann::json reference() {
  nlohmann::json record;
  std::ifstream(std::string(KOVOS_TEST_DATA) + "/oracle/full_size.json") >> record;
  return record;
}

void compare(std::string const& model, Tensors const& tensors, std::vector<std::int32_t> const& labels) {
  auto const record = reference().at("models").at(model);
  auto const samples = read_safetensors(std::string(KOVOS_TEST_DATA) + "/oracle/full_size.safetensors");
  std::size_t compared = 0;
  for (auto const& [name, entry] : record.at("tensors").items()) {
    CAPTURE(name);
    REQUIRE(tensors.contains(name));
    ++compared;
    auto const& actual = tensors.at(name);
    auto const stride = entry.at("stride").get<std::size_t>();
    auto const sample = to_float(samples.tensors.at(model + "/" + name + "@" + std::to_string(stride)));
    REQUIRE(actual.size() > (sample.size() - 1) * stride);
    bool const final = name == "logits" || name == "out.sem_seg";
    float const rounding = entry.at("fp32_err").get<float>();
    float const bound = std::max(2 * rounding, final ? 1e-3f : 1e-4f * entry.at("max_abs").get<float>());
    float worst = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) worst = std::fmax(worst, std::fabs(actual[i * stride] - sample[i]));
    CHECK(worst <= bound);
    double sum = 0, sum_abs = 0;
    for (float const x : actual) {
      sum += static_cast<double>(x);
      sum_abs += static_cast<double>(std::fabs(x));
    }
    CHECK(std::fabs(sum - entry.at("sum").get<double>()) <= 1e-4 * entry.at("sum_abs").get<double>());
    CHECK(std::fabs(sum_abs - entry.at("sum_abs").get<double>()) <= 1e-4 * entry.at("sum_abs").get<double>());
    MESSAGE(model << " " << name << ": largest difference " << worst << ", PyTorch's own fp32 rounding " << rounding);
  }
  CHECK(compared == 22);

  std::vector<long> const theirs = record.at("labels");
  std::vector<long> ours(theirs.size());
  for (auto const label : labels) ++ours[static_cast<std::size_t>(label)];
  for (std::size_t t = 0; t < ours.size(); ++t) CHECK(std::labs(ours[t] - theirs[t]) <= 15);  // 0.01 % of the pixels
}

template <CatSegConfig Config>
void check_full_size(char const* variable, std::string const& model) {
  char const* const weights = std::getenv(variable);
  if (weights == nullptr) {
    MESSAGE("skipped: " << variable << " does not name the weights of " << model);
    return;
  }
  Context<> const context;
  using Memory = Context<>::memory_space;
  CatSegNetwork<Config, float, Memory> network;
  load_parameters_or_throw(context, network, with_canonical_names(read_checkpoint(weights)), model);
  test::Recorder<Kokkos::DefaultExecutionSpace> recorder(context);
  std::vector<std::vector<std::int32_t>> prompts = reference().at("token_ids");
  std::size_t const classes = prompts.size();
  for (auto& prompt : prompts) prompt.resize(77);  // as the reference ran them
  auto const text = l2_normalize(context, network.clip_model.text.encode(context, prompts, recorder))
                        .reshape(dynamic_extents<3>(classes, 1, Config.clip.embed_dim));
  recorder("text.features", text);
  auto const views = cut_views(context, image_tensor(context, formula_picture()), WindowMode::whole, Config.test,
                               Config.clip_resolution);
  recorder("clip.input", views.pixels);
  typename Aggregator<Config, float, Memory>::Options options;
  options.class_tile = classes;  // whole tensors for the recorder
  // The class token's row of the positions is not observed, but recorded.
  auto const first = to_host(context, network.clip_model.visual.positional_embedding);
  auto const features = network.image_features(context, views.pixels, text, nullptr, recorder);
  auto const logits = network.transformer(context, features, text, options, recorder);
  auto const scores = merge_views(context, views, logits, 0, classes, 384, 384);
  recorder("out.sem_seg", scores.reshape(dynamic_extents<3>(classes, std::size_t{384}, std::size_t{384})));

  auto const labels = to_host(context, argmax(context, scores.reshape(dynamic_extents<2>(classes, 384 * 384))));
  auto tensors = recorder.tensors();
  auto& positions = tensors["clip.pos_embed_resized"] = tensors.at("clip.patch_positions");
  positions.insert(positions.begin(), first.data(), first.data() + Config.clip.vision.width);
  compare(model, tensors, {labels.data(), labels.data() + labels.size()});
}

}  // namespace

TEST_CASE("ViT-B/16 at full size equals PyTorch on the same weights") {
  check_full_size<cat_seg_vit_b16>("KOVOS_FULL_SIZE_B", "vit_b16");
}
TEST_CASE("ViT-L/14 at full size equals PyTorch on the same weights") {
  check_full_size<cat_seg_vit_l14_336>("KOVOS_FULL_SIZE_L", "vit_l14_336");
}
