// SPDX-License-Identifier: Apache-2.0
#include "kovos/data/scenes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/hash.hpp"

using namespace kovos;

namespace {

using Words = std::vector<std::string>;

std::string fingerprint(Scene const& scene) {
  Fingerprint print;
  print.add(std::as_bytes(std::span(scene.image.pixels)));
  print.add(std::as_bytes(std::span(scene.labels.labels)));
  print.add(scene.caption);
  return print.to_string();
}

std::vector<std::size_t> histogram(Scene const& scene) {
  std::vector<std::size_t> counts(scene_classes().size());
  for (auto const label : scene.labels.labels) ++counts.at(label);
  return counts;
}

Words words_of(std::string const& text) {
  Words words(1);
  for (char const c : text) {
    if (c == ' ') words.emplace_back();
    else if (c != ',') words.back() += c;
  }
  return words;
}

/// Index of the class that is called so, or 79.
std::size_t class_called(std::string const& name) {
  static std::map<std::string, std::size_t> const indices = [] {
    std::map<std::string, std::size_t> made;
    for (std::size_t i = 0; i < scene_classes().size(); ++i)
      for (auto const& synonym : scene_classes()[i].synonyms) made[synonym] = i;
    return made;
  }();
  auto const found = indices.find(name);
  return found == indices.end() ? scene_classes().size() : found->second;
}

/// What a plural of a shape stands for, or nothing.
std::string singular(std::string const& word) {
  static std::map<std::string, std::string> const plurals = {
      {"balls", "ball"}, {"spheres", "ball"},  {"cubes", "cube"},         {"boxes", "cube"},
      {"cones", "cone"}, {"pyramids", "cone"}, {"cylinders", "cylinder"}, {"cans", "cylinder"},
      {"stars", "star"}, {"rings", "ring"},    {"donuts", "ring"},        {"hearts", "heart"}};
  auto const found = plurals.find(word);
  return found == plurals.end() ? std::string() : found->second;
}

/// Reads a caption as a person would and finds fault with it; empty if all of it is true.
std::string fault_of(Scene const& scene, std::string const& caption) {
  static std::set<std::string> const glue = {
      "a",  "an",   "the",   "photo", "picture", "image",  "of",  "and", "with",  "on",     "in",    "under", "front",
      "to", "left", "right", "above", "below",   "behind", "one", "two", "small", "little", "large", "big"};
  static std::set<std::string> const relations = {"left of ",  "to the left of ",  "above ", "in front of ",
                                                  "right of ", "to the right of ", "below ", "behind "};
  auto const is_size = [](std::string const& w) { return w == "small" || w == "little" || w == "large" || w == "big"; };
  auto const words = words_of(caption);
  auto const counts = histogram(scene);
  struct Named {
    std::size_t at, class_index;
  };
  std::vector<Named> objects;
  std::set<std::size_t> told;
  std::size_t counted = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string const two = i + 1 < words.size() ? words[i] + " " + words[i + 1] : "";
    if (auto const index = class_called(two); index < 79) {
      if (counts[index] == 0) return "'" + two + "' is not there";
      told.insert(index);
      if (index < 70) objects.push_back({i, index});
      ++i;
    } else if (auto const single = class_called(words[i]); single < 79) {
      if (counts[single] == 0) return "'" + words[i] + "' is not there";
    } else if (words[i] == "two") {
      bool const same = singular(words[i + 1]).empty();  // "two red balls", else "two balls one red and one dotted"
      std::string const shape = singular(words[i + (same ? 2 : 1)]);
      if (shape.empty()) return "two of what?";
      if (scene.objects.size() != 2) return "there are not two objects";
      std::vector<std::size_t> wanted, got;
      if (same) wanted = {class_called(words[i + 1] + " " + shape), class_called(words[i + 1] + " " + shape)};
      else wanted = {class_called(words[i + 3] + " " + shape), class_called(words[i + 6] + " " + shape)};
      for (auto const& object : scene.objects) got.push_back(object.class_index);
      std::sort(wanted.begin(), wanted.end());
      std::sort(got.begin(), got.end());
      if (wanted != got) return "the pair is another";
      told.insert(got.begin(), got.end());
      counted = 2;
      i += same ? 2 : 6;
    } else if (glue.count(words[i]) == 0) {
      return "the word '" + words[i] + "' is not known";
    }
  }
  auto const any = [&](std::size_t index, auto const& holds) {
    return std::any_of(scene.objects.begin(), scene.objects.end(),
                       [&](SceneObject const& o) { return o.class_index == index && holds(o); });
  };
  double const side = static_cast<double>(scene.labels.width);
  for (auto const& named : objects) {
    std::string const size = named.at > 0 ? words[named.at - 1] : "";
    if ((size == "small" || size == "little") && !any(named.class_index, [&](SceneObject const& o) {
          return static_cast<double>(std::max(o.right - o.left, o.bottom - o.top)) < 0.42 * side;
        }))
      return "nothing of that name is small";
    if ((size == "large" || size == "big") &&
        !any(named.class_index, [](SceneObject const& o) { return o.size_word == "large"; }))
      return "nothing of that name is large";
  }
  for (std::size_t k = 0; k + 1 < objects.size(); ++k) {
    std::string relation;
    for (std::size_t i = objects[k].at + 2; i < objects[k + 1].at; ++i)
      if (!is_size(words[i]) && words[i] != "a" && words[i] != "an") relation += words[i] + " ";
    if (relations.count(relation) == 0) continue;
    auto const has = [&](char const* word) { return relation.find(word) != std::string::npos; };
    bool const holds = any(objects[k].class_index, [&](SceneObject const& a) {
      return any(objects[k + 1].class_index, [&](SceneObject const& b) {
        if (&a == &b) return false;
        if (has("left")) return a.left + a.right < b.left + b.right;
        if (has("right")) return a.left + a.right > b.left + b.right;
        if (has("above")) return a.bottom <= b.top + 20 && a.top + a.bottom < b.top + b.bottom;
        if (has("below")) return b.bottom <= a.top + 20 && a.top + a.bottom > b.top + b.bottom;
        bool const touch = a.left <= b.right && b.left <= a.right && a.top <= b.bottom && b.top <= a.bottom;
        return touch && (has("behind") ? &a < &b : &a > &b);  // the list runs from back to front
      });
    });
    if (!holds) return "'" + relation + "' does not hold";
  }
  auto largest = scene.objects;
  std::sort(largest.begin(), largest.end(),
            [](auto const& a, auto const& b) { return a.visible_pixels > b.visible_pixels; });
  for (std::size_t i = 0; i < std::min<std::size_t>(2, largest.size()); ++i)
    if (told.count(largest[i].class_index) == 0) return "one of the two largest objects is not named";
  if (counted == 0 && objects.size() > scene.objects.size()) return "more objects are named than there are";
  return {};
}

/// Hue in degrees and saturation 0..1 of a mean colour.
std::array<double, 2> hue_and_saturation(std::array<double, 3> const& c) {
  double const high = std::max({c[0], c[1], c[2]}), low = std::min({c[0], c[1], c[2]}), range = high - low;
  double const hue = range == 0     ? 0
                     : high == c[0] ? (c[1] - c[2]) / range
                     : high == c[1] ? 2 + (c[2] - c[0]) / range
                                    : 4 + (c[0] - c[1]) / range;
  return {hue < 0 ? 360 + 60 * hue : 60 * hue, range / high};
}

}  // namespace

TEST_CASE("scene classes: 79 in a fixed order, 23 of them unseen, every word of those but two seen elsewhere") {
  auto const& classes = scene_classes();
  REQUIRE(classes.size() == 79);
  CHECK(classes[0].name == "red ball");
  CHECK(classes[0].synonyms == Words{"red ball", "red sphere"});
  CHECK(classes[30].synonyms == Words{"purple cone", "purple pyramid", "violet cone", "violet pyramid"});
  CHECK(classes[48].synonyms == Words{"white heart"});
  CHECK(classes[49].synonyms == Words{"striped ball", "striped sphere", "stripy ball", "stripy sphere"});
  CHECK(classes[70].name == "sky");
  CHECK(classes[77].synonyms == Words{"cobblestone", "stone pavement"});
  CHECK(classes[78].synonyms == Words{"tiled wall", "tiles"});
  std::set<std::string> synonyms, seen_words, unseen_words;
  std::size_t unseen = 0, count = 0;
  for (auto const& scene_class : classes) {
    count += scene_class.synonyms.size();
    synonyms.insert(scene_class.synonyms.begin(), scene_class.synonyms.end());
    unseen += !scene_class.seen;
    for (auto const& word : words_of(scene_class.name)) (scene_class.seen ? seen_words : unseen_words).insert(word);
  }
  CHECK(unseen == 23);
  CHECK(synonyms.size() == count);  // no word stands for two classes
  std::vector<std::string> only_unseen;
  std::set_difference(unseen_words.begin(), unseen_words.end(), seen_words.begin(), seen_words.end(),
                      std::back_inserter(only_unseen));
  CHECK(only_unseen == Words{"cobblestone", "heart"});
}

TEST_CASE("a seed gives one scene, always and everywhere") {
  CHECK(fingerprint(render_scene(1)) == "64825a284c1d85b6");
  CHECK(fingerprint(render_scene(2, {.side = 33, .vocabulary = SceneVocabulary::seen})) == "4194a8d8075b710b");
  CHECK(fingerprint(render_scene(3, {.side = 200})) == "77c91cbd274e63a1");
  CHECK(fingerprint(benchmark_scene(0)) == "4d1ceeb5bbecc3c4");
  CHECK(fingerprint(benchmark_scene(0, 144)) == "26513f550a478c46");
  CHECK(render_scene(7).caption == "a purple heart on a lawn in front of tiles");
  CHECK(scene_caption(render_scene(7), 1) == "a purple heart on grass");
}

TEST_CASE("scenes of seen classes hold no unseen one") {
  std::set<std::size_t> met;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    auto const scene = split_scene(i % 2 == 0 ? training_scenes : validation_scenes, i % 2 == 0 ? i : i % 200, 32);
    for (auto const label : scene.labels.labels) {
      if (!scene_classes().at(label).seen) FAIL_CHECK("scene " << i << " holds " << scene_classes()[label].name);
      met.insert(label);
    }
  }
  CHECK(met.size() == 56);
}

TEST_CASE("the benchmark shows every class, and its scenes are no others'") {
  std::vector<std::size_t> pixels(79), scenes(79);
  for (std::uint64_t i = 0; i < benchmark_scenes.count; ++i) {
    auto const counts = histogram(benchmark_scene(i));
    for (std::size_t k = 0; k < 79; ++k) {
      pixels[k] += counts[k];
      scenes[k] += counts[k] > 0;
    }
  }
  for (std::size_t k = 0; k < 79; ++k) {
    CAPTURE(scene_classes()[k].name);
    CHECK(scenes[k] >= 4);
    CHECK(pixels[k] >= 3300);
  }
  std::array const splits = {benchmark_scenes, validation_scenes, training_scenes, caption_scenes};
  for (std::size_t i = 0; i + 1 < splits.size(); ++i)
    CHECK(splits[i].first_seed + splits[i].count <= splits[i + 1].first_seed);
}

TEST_CASE("labels and objects agree with what is drawn") {
  // Without its objects a scene has the same background, light and noise: where they differ, an object or shadow is.
  std::size_t drawn = 0, differing = 0, open = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    auto const scene = render_scene(seed, {.side = 96}), empty = render_scene(seed, {.side = 96, .most_objects = 0});
    REQUIRE(empty.objects.empty());
    std::size_t const last = scene.stuff.back();
    bool const shadows = last != 70 && last != 74 && last != 78;
    std::vector<std::size_t> owned(79);
    for (std::size_t y = 0; y < 96; ++y)
      for (std::size_t x = 0; x < 96; ++x) {
        auto const label = scene.labels(y, x);
        bool near = false;
        for (std::size_t j = y - (y > 1 ? 2 : y); j < std::min<std::size_t>(96, y + 3); ++j)
          for (std::size_t i = x - (x > 1 ? 2 : x); i < std::min<std::size_t>(96, x + 3); ++i)
            near = near || scene.labels(j, i) < 70;
        bool const same =
            std::equal(scene.image.row(y) + 3 * x, scene.image.row(y) + 3 * x + 3, empty.image.row(y) + 3 * x);
        if (label < 70) {
          ++drawn;
          differing += !same;
          ++owned[label];
        } else {
          if (label != empty.labels(y, x)) FAIL_CHECK("the background's label changed in scene " << seed);
          if (!near && !shadows) {
            ++open;
            if (!same) FAIL_CHECK("scene " << seed << " is drawn over at " << x << ", " << y);
          }
        }
      }
    for (auto const& object : scene.objects) {
      CHECK(object.visible_pixels * 100 >= 96 * 96);
      bool const alone = std::count_if(scene.objects.begin(), scene.objects.end(),
                                       [&](auto const& other) { return other.class_index == object.class_index; }) == 1;
      if (alone) CHECK(owned[object.class_index] == object.visible_pixels);
      std::size_t inside = 0;
      for (std::size_t y = object.top; y < object.bottom; ++y)
        for (std::size_t x = object.left; x < object.right; ++x) inside += scene.labels(y, x) == object.class_index;
      CHECK(inside >= object.visible_pixels);
    }
  }
  CHECK(open > 100000);
  CHECK(static_cast<double>(differing) > 0.995 * static_cast<double>(drawn));
}

TEST_CASE("a plain object has the colour of its name") {
  struct Range {
    double low, high;  // degrees; red goes around
  };
  static constexpr Range hues[6] = {{340, 14}, {110, 160}, {215, 245}, {42, 64}, {265, 305}, {20, 40}};
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    auto const scene = render_scene(seed);
    std::array<std::array<double, 3>, 49> sums{};
    auto const counts = histogram(scene);
    for (std::size_t i = 0; i < scene.labels.labels.size(); ++i)
      if (auto const label = scene.labels.labels[i]; label < 49)
        for (std::size_t c = 0; c < 3; ++c) sums[label][c] += scene.image.pixels[3 * i + c];
    for (std::size_t k = 0; k < 49; ++k) {
      if (counts[k] < 200) continue;
      auto const look = hue_and_saturation(sums[k]);
      double const hue = look[0], saturation = look[1];
      CAPTURE(seed);
      CAPTURE(scene_classes()[k].name);
      CAPTURE(hue);
      CAPTURE(saturation);
      if (k / 7 == 6) {
        CHECK(saturation < 0.2);
        continue;
      }
      CHECK(saturation > 0.5);
      auto const range = hues[k / 7];
      CHECK((range.low < range.high ? hue > range.low && hue < range.high : hue > range.low || hue < range.high));
    }
  }
}

TEST_CASE("captions are true") {
  std::map<std::string, std::size_t> used;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    auto const scene = split_scene(caption_scenes, i, 64);
    for (auto const& caption : {scene.caption, scene_caption(scene, i)}) {
      std::string const fault = fault_of(scene, caption);
      if (!fault.empty()) FAIL_CHECK("scene " << i << ": " << caption << ": " << fault);
      for (auto const& word : words_of(caption)) ++used[word];
    }
  }
  for (auto const& scene_class : scene_classes())
    for (auto const& synonym : scene_class.synonyms)
      for (auto const& word : words_of(synonym)) {
        CAPTURE(word);
        CHECK(used[word] >= 50);
      }
  for (char const* word : {"left", "right", "above", "below", "front", "behind", "two", "small", "large", "under"}) {
    CAPTURE(word);
    CHECK(used[word] >= 50);
  }
}

TEST_CASE("the reader of captions finds what is false") {
  auto const scene = render_scene(1, {.most_objects = 1});
  REQUIRE(scene.objects.size() == 1);
  auto const& name = scene_classes()[scene.objects[0].class_index].name;
  auto const& other = scene_classes()[(scene.objects[0].class_index + 8) % 70].name;
  CHECK(fault_of(scene, "a " + name) == "");
  CHECK(fault_of(scene, "a " + other) == "'" + other + "' is not there");
  CHECK(fault_of(scene, "a " + name + " left of a " + name) == "'left of ' does not hold");
  CHECK(fault_of(scene, "a pretty " + name) == "the word 'pretty' is not known");
  CHECK(fault_of(scene, "a photo of the") == "one of the two largest objects is not named");
}

TEST_CASE("options of scenes that make no sense") {
  CHECK_THROWS_WITH_AS(render_scene(0, {.side = 31}), "a scene's side is 31 pixels, expected 32 to 4096", ConfigError);
  CHECK_THROWS_AS(render_scene(0, {.side = 5000}), ConfigError);
  CHECK_THROWS_AS(render_scene(0, {.most_objects = 5}), ConfigError);
  CHECK_THROWS_WITH_AS(render_scene(0, {.wanted_class = 70}),
                       "an object of class 70 was wanted in a scene, expected 0 to 69", ConfigError);
  CHECK_THROWS_WITH_AS(render_scene(0, {.vocabulary = SceneVocabulary::seen, .wanted_class = 6}),
                       "a red heart was wanted in a scene of seen classes, which it is not", ConfigError);
  CHECK_THROWS_WITH_AS(benchmark_scene(200), "scene 200 of the split 'benchmark' was asked for, which has 200",
                       ConfigError);
  auto const wanted = render_scene(5, {.wanted_class = 6});
  CHECK(wanted.objects.back().class_index == 6);
}
