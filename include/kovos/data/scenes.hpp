// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/scenes/captions.hpp"
#include "kovos/data/scenes/layout.hpp"
#include "kovos/data/scenes/renderer.hpp"
#include "kovos/data/scenes/scene.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos {

struct SceneOptions {
  std::size_t side = 96;  // pixels, at least 32
  SceneVocabulary vocabulary = SceneVocabulary::all;
  std::size_t most_objects = 4;  // at most 4; 0 for backgrounds alone
};

namespace detail {

/// Which objects are seen where, in the order of the layout.
inline std::vector<SceneObject> visible_objects(SceneLayout const& layout, ScenePainter const& painter,
                                                std::size_t side) {
  std::vector<SceneObject> objects(layout.objects.size());
  for (std::size_t i = 0; i < objects.size(); ++i) {
    auto const& look = layout.objects[i];
    objects[i].class_index = scene_object_class(look.surface, look.shape);
    objects[i].size_word = look.size < 0.29 ? "small" : look.size > 0.47 ? "large" : "";
    objects[i].left = objects[i].top = side;
    for (std::size_t j = 0; j < i; ++j)
      if (painter.hidden(i, j) * 1000 > side * side) objects[i].in_front_of.push_back(j);
  }
  for (std::size_t y = 0; y < side; ++y)
    for (std::size_t x = 0; x < side; ++x) {
      auto const owner = painter.owner(y * side + x);
      if (owner == ScenePainter::none) continue;
      auto& object = objects[owner];
      ++object.visible_pixels;
      object.left = std::min(object.left, x);
      object.right = std::max(object.right, x + 1);
      object.top = std::min(object.top, y);
      object.bottom = std::max(object.bottom, y + 1);
    }
  return objects;
}

}  // namespace detail

/// Another caption of a scene: a seed of its own gives words and order of its own. Everything it says is true.
inline std::string scene_caption(Scene const& scene, std::uint64_t seed) {
  detail::SceneRandom random(seed);
  return detail::SceneCaptioner(scene, random).caption();
}

/// Draws the scene of a seed: one or two textured backgrounds and up to four shaded objects, of which every one shows
/// at least 1 % of the picture. The same seed and options give the same scene always and everywhere. Needs no file and
/// about a millisecond. Throws ConfigError for a side below 32 or above 4096 or for more than 4 objects.
inline Scene render_scene(std::uint64_t seed, SceneOptions const& options = {}) {
  require<ConfigError>(options.side >= 32 && options.side <= 4096, "a scene's side is ", options.side,
                       " pixels, expected 32 to 4096");
  require<ConfigError>(options.most_objects <= 4, "a scene was asked for up to ", options.most_objects,
                       " objects, expected at most 4");
  std::size_t const side = options.side;
  auto layout = detail::sample_layout(seed, options.vocabulary, options.most_objects);
  for (;;) {
    detail::ScenePainter const painter(layout, side);
    auto objects = detail::visible_objects(layout, painter, side);
    auto const lost = std::find_if(objects.begin(), objects.end(), [&](SceneObject const& object) {
      return object.visible_pixels * 100 < side * side;
    });
    if (lost != objects.end()) {
      layout.objects.erase(layout.objects.begin() + (lost - objects.begin()));
      continue;
    }
    Scene scene{painter.develop(), painter.labels(), std::move(objects), {}, {}};
    for (auto const& look : layout.stuff) scene.stuff.push_back(detail::scene_stuff_class(look.stuff));
    scene.caption = scene_caption(scene, seed ^ 0x9E3779B97F4A7C15u);
    return scene;
  }
}

/// A range of seeds with a purpose. Ranges do not meet, so what one learns from is never what one is measured on.
struct SceneSplit {
  std::string_view name;
  std::uint64_t first_seed;
  std::uint64_t count;  // seeds
  SceneVocabulary vocabulary;
};

/// Measures: every class, seen or not.
inline constexpr SceneSplit benchmark_scenes{"benchmark", std::uint64_t{1} << 60, 200, SceneVocabulary::all};
/// Chooses among trained models: seen classes only, for choosing by unseen ones would be looking ahead.
inline constexpr SceneSplit validation_scenes{"validation", std::uint64_t{2} << 60, 200, SceneVocabulary::seen};
/// Trains segmentation: seen classes only.
inline constexpr SceneSplit training_scenes{"train", std::uint64_t{3} << 60, std::uint64_t{1} << 60,
                                            SceneVocabulary::seen};
/// Trains CLIP from captions: every class.
inline constexpr SceneSplit caption_scenes{"captions", std::uint64_t{4} << 60, std::uint64_t{1} << 60,
                                           SceneVocabulary::all};

/// Scene number `index` of a split. Throws ConfigError if the split is shorter.
inline Scene split_scene(SceneSplit const& split, std::uint64_t index, std::size_t side = 96) {
  require<ConfigError>(index < split.count, "scene ", index, " of the split ", detail::in_quotes(split.name),
                       " was asked for, which has ", split.count);
  return render_scene(split.first_seed + index, {.side = side, .vocabulary = split.vocabulary, .most_objects = 4});
}

/// Scene 0..199 of the benchmark.
inline Scene benchmark_scene(std::uint64_t index, std::size_t side = 96) {
  return split_scene(benchmark_scenes, index, side);
}

}  // namespace kovos
