// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/scenes/captions.hpp"
#include "kovos/data/scenes/layout.hpp"
#include "kovos/data/scenes/renderer.hpp"
#include "kovos/data/scenes/scene.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos {

/// Pixels along each side of a scene unless another number is asked for: what the embedded model works at.
inline constexpr std::size_t default_scene_side = 192;

struct SceneOptions {
  std::size_t side = default_scene_side;  // pixels, at least 32
  SceneVocabulary vocabulary = SceneVocabulary::all;
  std::size_t most_objects = 4;                            // at most 4; 0 for backgrounds alone
  std::optional<std::size_t> wanted_class = std::nullopt;  // of the object in front; the rest is left to chance
};

namespace detail {

/// Which objects are seen where, in the order of the layout.
inline std::vector<SceneObject> visible_objects(SceneLayout const& layout, ScenePainter const& painter,
                                                std::size_t side) {
  std::vector<SceneObject> objects(layout.objects.size());
  for (std::size_t i = 0; i < objects.size(); ++i) {
    auto const& look = layout.objects[i];
    objects[i].class_index = scene_object_class(look.surface, look.shape);
    objects[i].size_word = look.size < 0.37 ? "small" : look.size > 0.52 ? "large" : "";
    objects[i].left = objects[i].top = side;
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
  for (std::size_t i = 0; i < objects.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      auto const &a = objects[i], &b = objects[j];
      // A third may have covered the place where they met.
      bool const meet = a.left <= b.right && b.left <= a.right && a.top <= b.bottom && b.top <= a.bottom;
      if (meet && painter.hidden(i, j) * 200 > side * side) objects[i].in_front_of.push_back(j);
    }
  return objects;
}

}  // namespace detail

/// Another caption of a scene: a seed of its own gives words and order of its own. Everything it says is true.
inline std::string scene_caption(Scene const& scene, std::uint64_t seed) {
  detail::SceneRandom random(seed);
  return detail::SceneCaptioner(scene, random).caption();
}

/// One of the ways to call a class of the scenes: "stripy sphere".
inline std::string scene_word(std::size_t class_index, std::uint64_t seed) {
  auto const& names = scene_classes().at(class_index).synonyms;
  return names[detail::SceneRandom(seed).below(names.size())];
}

/// Draws the scene of a seed: one or two textured backgrounds and up to four shaded objects, of which every one shows
/// at least 1 % of the picture. The same seed and options give the same scene always and everywhere. Needs no file and
/// about a millisecond. Throws ConfigError for a side below 32 or above 4096, for more than 4 objects, or for a wanted
/// class that is no object of the vocabulary.
KOVOS_DOOR Scene render_scene(std::uint64_t seed, SceneOptions const& options = {});

/// A range of seeds with a purpose. Ranges do not meet, so what one learns from is never what one is measured on.
struct SceneSplit {
  std::string_view name;
  std::uint64_t first_seed;
  std::uint64_t count;  // seeds
  SceneVocabulary vocabulary;
  bool every_class = false;  // whether scenes want the object classes in turn, so that none is rare
};

/// Measures: every class, seen or not, in at least 4 of its scenes; the first seed was chosen for that.
inline constexpr SceneSplit benchmark_scenes{"benchmark", (std::uint64_t{1} << 60) + 78000, 200, SceneVocabulary::all,
                                             true};
/// Chooses among trained models: seen classes only, for choosing by unseen ones would be looking ahead.
inline constexpr SceneSplit validation_scenes{"validation", std::uint64_t{2} << 60, 200, SceneVocabulary::seen};
/// Trains segmentation: seen classes only.
inline constexpr SceneSplit training_scenes{"train", std::uint64_t{3} << 60, std::uint64_t{1} << 60,
                                            SceneVocabulary::seen};
/// Trains CLIP from captions: every class.
inline constexpr SceneSplit caption_scenes{"captions", std::uint64_t{4} << 60, std::uint64_t{1} << 60,
                                           SceneVocabulary::all};

/// Scene number `index` of a split. Throws ConfigError if the split is shorter.
inline Scene split_scene(SceneSplit const& split, std::uint64_t index, std::size_t side = default_scene_side,
                         std::size_t most_objects = 4) {
  require<ConfigError>(index < split.count, "scene ", index, " of the split ", detail::in_quotes(split.name),
                       " was asked for, which has ", split.count);
  SceneOptions options{.side = side, .vocabulary = split.vocabulary, .most_objects = most_objects};
  if (split.every_class) options.wanted_class = index % detail::scene_stuff_class(0);
  return render_scene(split.first_seed + index, options);
}

/// Scene 0..199 of the benchmark.
inline Scene benchmark_scene(std::uint64_t index, std::size_t side = default_scene_side) {
  return split_scene(benchmark_scenes, index, side);
}

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Scene render_scene(std::uint64_t seed, SceneOptions const& options) {
  require<ConfigError>(options.side >= 32 && options.side <= 4096, "a scene's side is ", options.side,
                       " pixels, expected 32 to 4096");
  require<ConfigError>(options.most_objects <= 4, "a scene was asked for up to ", options.most_objects,
                       " objects, expected at most 4");
  if (options.wanted_class) {
    std::size_t const wanted = *options.wanted_class;
    require<ConfigError>(wanted < detail::scene_stuff_class(0), "an object of class ", wanted,
                         " was wanted in a scene, expected 0 to ", detail::scene_stuff_class(0) - 1);
    require<ConfigError>(detail::scene_class_allowed(wanted, options.vocabulary), "a ", scene_classes()[wanted].name,
                         " was wanted in a scene of seen classes, which it is not");
  }
  std::size_t const side = options.side;
  auto layout = detail::sample_layout(seed, options.vocabulary, options.most_objects, options.wanted_class);
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

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
