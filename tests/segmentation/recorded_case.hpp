// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/clip/word_encoder.hpp"
#include "kovos/kernels/label_choice.hpp"
#include "kovos/kernels/resize_u8.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"
#include "kovos/segmentation/sliding_window.hpp"
#include "support/oracle.hpp"

namespace kovos::test {

/// What was made of one recorded case.
struct Outcome {
  ObservedTensors tensors;
  std::vector<float> scores;
  std::vector<std::int32_t> labels;
};

/// The token ids of a case, all 77 positions as the authors run them, and the row of text features each belongs to.
struct RecordedPrompts {
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<std::int32_t> owner;
};

inline RecordedPrompts recorded_prompts(Oracle const& oracle, std::string const& name) {
  auto const& geometry = oracle.cases.at(name);
  std::size_t const templates = geometry.at("templates").size();
  RecordedPrompts result;
  auto const ids = oracle.stored(name, "text.tokens");
  for (std::size_t i = 0; i < ids.size() / 77; ++i) {
    result.ids.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(i * 77),
                            ids.begin() + static_cast<std::ptrdiff_t>((i + 1) * 77));
    result.owner.push_back(static_cast<std::int32_t>(i));
    if (geometry.contains("prompts")) {
      auto const& prompt = geometry.at("prompts").at(i);  // class, template, text
      result.owner.back() =
          static_cast<std::int32_t>(prompt[0].get<std::size_t>() * templates + prompt[1].get<std::size_t>());
    }
  }
  return result;
}

/// Runs a case from its token ids and its picture to scores and labels, as a CatSeg model does, everything observed.
/// T stores the matrices of the image encoder.
template <CatSegConfig Config, class T, class Exec>
Outcome run_recorded(Oracle const& oracle, std::string const& name, Context<Exec> const& context) {
  auto const& geometry = oracle.cases.at(name);
  using Memory = typename Exec::memory_space;
  CatSegNetwork<Config, T, Memory> network;
  load_parameters_or_throw(context, network, oracle.weights_of(name), "the geometry");

  Recorder<Exec> recorder(context);
  std::size_t const classes = geometry.at("classes").size();
  std::size_t const templates = geometry.at("templates").size();
  auto const prompts = recorded_prompts(oracle, name);
  auto const text =
      encode_rows(context, network.clip_model.text, prompts.ids, prompts.owner, classes * templates, recorder)
          .reshape(dynamic_extents<3>(classes, templates, Config.clip.embed_dim));

  // Picture.
  auto image = oracle.image_of(name);
  std::size_t const height = geometry.at("height").is_null() ? image.height : geometry.at("height").get<std::size_t>();
  std::size_t const width = geometry.at("width").is_null() ? image.width : geometry.at("width").get<std::size_t>();
  if (!geometry.at("shortest_edge").is_null()) {
    auto const [h, w] =
        shortest_edge_size(image.height, image.width, geometry.at("shortest_edge")[0], geometry.at("shortest_edge")[1]);
    image = resize_pillow(image, h, w, ResizeFilter::bilinear);
  }
  TestTimeConfig test = Config.test;
  auto mode = WindowMode::whole;
  if (!geometry.at("sliding").is_null()) {
    mode = WindowMode::sliding;
    test.window = geometry.at("sliding").at("kernel");
    test.stride = geometry.at("sliding").at("stride");
    test.canvas = geometry.at("sliding").at("out_res")[0];
  }
  auto const views = cut_views(context, image_tensor(context, image), mode, test, Config.clip_resolution);
  recorder("clip.input", views.pixels);

  typename Aggregator<Config, float, Memory>::Options options;
  for (std::size_t i = 0; i < Config.num_layers; ++i) options.pooling[i] = geometry.at("pooling")[i];
  options.class_tile = classes;  // whole tensors for the recorder
  options.views = 1;             // one after the other for the recorder
  auto const seen = network.image_features(context, views.pixels, text, nullptr, recorder);
  auto const logits = network.transformer(context, seen, text, options, recorder);
  options.views = seen.views();
  auto const together = network.transformer(context, seen, text, options);
  std::vector<float> padded_logits;
  for (std::size_t n = 0; n < logits.size(); ++n) {
    auto const host = to_host(context, logits[n].logits), same = to_host(context, together[n].logits);
    CHECK(logits[n].classes == together[n].classes);
    CHECK(std::equal(host.data(), host.data() + host.size(), same.data(), same.data() + same.size()));
    std::size_t const plane = host.extent(1) * host.extent(2);
    std::vector<float> full(classes * plane, -100.0f);
    for (std::size_t k = 0; k < host.extent(0); ++k)
      std::copy_n(host.data() + k * plane, plane, full.data() + logits[n].classes[k] * plane);
    padded_logits.insert(padded_logits.end(), full.begin(), full.end());
  }

  Outcome outcome;
  auto const scores = merge_views(context, views, logits, 0, classes, height, width);
  auto const host = to_host(context, scores);
  outcome.scores.assign(host.data(), host.data() + host.size());
  auto const labels = to_host(context, argmax(context, scores.reshape(dynamic_extents<2>(classes, height * width))));
  outcome.labels.assign(labels.data(), labels.data() + labels.size());

  outcome.tensors = recorder.tensors();
  auto& tensors = outcome.tensors;
  tensors["pre.resized"].assign(image.pixels.begin(), image.pixels.end());
  tensors["logits"] = padded_logits;
  auto const merged = to_host(context, merge_views_on_grid(context, views, logits, 0, classes));
  tensors["out.before_postprocess"].assign(merged.data(), merged.data() + merged.size());
  // What is cut out of the grid before it is resized, and to which size.
  bool const whole = mode == WindowMode::whole;
  for (std::size_t const extent :
       {whole ? image.height : test.canvas, whole ? image.width : test.canvas, height, width})
    tensors["out.postprocess_args"].push_back(static_cast<float>(extent));
  tensors["out.sem_seg"] = outcome.scores;
  auto& kept = tensors["agg.classes"];
  for (auto const& view : logits) kept.insert(kept.end(), view.classes.begin(), view.classes.end());
  // The authors record text features once per view.
  auto const features = to_host(context, text);
  for (std::size_t n = 0; n < logits.size(); ++n)
    tensors["text.features"].insert(tensors["text.features"].end(), features.data(), features.data() + features.size());
  // The authors record token embeddings before, and the image's positions with, what is added in between.
  auto const weights = oracle.weights_of(name);
  auto const positions = [&](char const* of) {
    return to_float(
        weights.tensors.at(std::string("sem_seg_head.predictor.clip_model.") + of + "positional_embedding"));
  };
  auto const of_text = positions(""), of_image = positions("visual.");
  auto& embedding = tensors["text.token_embedding"] = tensors.at("text.positioned");
  for (std::size_t i = 0; i < embedding.size(); ++i) embedding[i] -= of_text[i % of_text.size()];
  auto& table = tensors["clip.pos_embed_resized"] = tensors.at("clip.patch_positions");
  table.insert(table.begin(), of_image.begin(), of_image.begin() + Config.clip.vision.width);
  return outcome;
}

constexpr CatSegConfig tiny_with_full_attention() {
  auto config = cat_seg_tiny;
  config.class_attention = ClassAttention::full;
  return config;
}
constexpr CatSegConfig tiny_with_three_templates() {
  auto config = cat_seg_tiny;
  config.num_templates = 3;
  return config;
}
constexpr CatSegConfig tiny_with_stored_grid() {
  auto config = cat_seg_tiny;
  config.clip_resolution = 64;
  config.window_size = 2;
  return config;
}
constexpr CatSegConfig tiny_with_one_window() {
  auto config = cat_seg_tiny;
  config.window_size = 6;
  config.shift_size = 3;  // ignored: a window as large as the map is not shifted
  return config;
}

/// One of the authors' cases in the geometry it was recorded in.
template <class T, class Exec>
Outcome run_authors_case(std::string const& name, Context<Exec> const& context) {
  auto const& oracle = Oracle::instance();
  if (name.ends_with("_full")) return run_recorded<tiny_with_full_attention(), T>(oracle, name, context);
  if (name == "p3") return run_recorded<tiny_with_three_templates(), T>(oracle, name, context);
  if (name == "pos_exact") return run_recorded<tiny_with_stored_grid(), T>(oracle, name, context);
  if (name == "one_window") return run_recorded<tiny_with_one_window(), T>(oracle, name, context);
  return run_recorded<cat_seg_tiny, T>(oracle, name, context);
}

/// Share of pixels with the recorded label. Where two classes are closer than the rounding of the fp32 run that was
/// recorded (`fp32_err`), either of the two is right.
inline double label_agreement(Oracle const& oracle, std::string const& name, Outcome const& outcome) {
  auto const expected = oracle.stored(name, "out.argmax");
  auto const rounding = oracle.cases.at(name).at("tensors").at("out.sem_seg").at("fp32_err").get<float>();
  std::size_t const pixels = outcome.labels.size();
  REQUIRE(pixels > 0);
  REQUIRE(pixels == expected.size());
  std::size_t equal = 0;
  for (std::size_t i = 0; i < pixels; ++i) {
    auto const ours = static_cast<std::size_t>(outcome.labels[i]);
    auto const theirs = static_cast<std::size_t>(expected[i]);
    equal += ours == theirs ||
             std::fabs(outcome.scores[ours * pixels + i] - outcome.scores[theirs * pixels + i]) <= rounding;
  }
  return static_cast<double>(equal) / static_cast<double>(pixels);
}

/// Runs every case, run(name) -> Outcome, and compares all that was recorded of it. `cases` and `tensors`: how many
/// were recorded, so that neither a case nor a tensor gets lost unnoticed.
template <class Run>
void check_all_cases(Oracle const& oracle, std::size_t cases, std::size_t tensors, Run const& run) {
  std::size_t ran = 0, compared = 0;
  float most = 0;
  for (auto const& [name, geometry] : oracle.cases.items()) {
    CAPTURE(name);
    Outcome const outcome = run(name);
    auto const comparison = oracle.compare(name, outcome.tensors);
    for (auto const& complaint : comparison.complaints) FAIL_CHECK(complaint);
    CHECK(label_agreement(oracle, name, outcome) == 1);
    ++ran;
    compared += comparison.compared;
    most = std::max(most, comparison.most);
  }
  CHECK(ran == cases);
  CHECK(compared == tensors);
  MESSAGE("the worst tensor took " << 100 * most << " % of its bound");
}

}  // namespace kovos::test
