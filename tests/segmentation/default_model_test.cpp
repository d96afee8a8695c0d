// SPDX-License-Identifier: Apache-2.0
// The embedded model as it is shipped.
#include "kovos/segmentation/default_model.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "kovos/data/scenes.hpp"
#include "kovos/segmentation/any_model.hpp"

using namespace kovos;

namespace {

std::filesystem::path weights() {
  return std::filesystem::path(KOVOS_TEST_DATA) / "../../weights/cat_seg_scenes.safetensors";
}

ClassList all_classes() {
  std::vector<std::string> names;
  for (auto const& entry : scene_classes()) names.push_back(entry.name);
  return class_list(names);
}

}  // namespace

TEST_CASE("the embedded model knows most of what is in scenes that it has never seen, in fp32 and in bf16 alike") {
  SegmentOptions options;
  options.window = WindowMode::whole;
  options.keep_scores = true;
  auto const exact = AnyModel<>::load(weights());
  auto const rounded = AnyModel<>::load(weights(), {}, AnyModel<>::Precision::bf16);
  auto const words = exact.encode(all_classes());
  auto const rounded_words = rounded.encode(all_classes());
  std::size_t pixels = 0, right = 0, equal = 0;
  float worst = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    auto const scene = benchmark_scene(i);
    auto const a = exact.segment(scene.image, words, options), b = rounded.segment(scene.image, rounded_words, options);
    for (std::size_t p = 0; p < scene.labels.labels.size(); ++p) {
      right += a.labels.labels[p] == scene.labels.labels[p];
      equal += a.labels.labels[p] == b.labels.labels[p];
    }
    pixels += scene.labels.labels.size();
    for (std::size_t k = 0; k < a.scores.size(); ++k)
      worst = std::max(worst, std::fabs(a.scores.data()[k] - b.scores.data()[k]));
  }
  double const share = 100.0 / static_cast<double>(pixels);
  MESSAGE("right " << share * static_cast<double>(right) << " % of the pixels; bf16 agrees on "
                   << share * static_cast<double>(equal) << " %, scores differ by at most " << worst);
  CHECK(share * static_cast<double>(right) > 88);
  CHECK(share * static_cast<double>(equal) >= 99.5);
}
