// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kovos {

/// A class of the procedural scenes: its name, everything it is called (the name first), and whether it occurs in
/// pictures for segmentation training.
struct SceneClass {
  std::string name;
  std::vector<std::string> synonyms;
  bool seen;
};

/// Which classes may occur in a scene: all of them, or only those for segmentation training.
enum class SceneVocabulary { all, seen };

namespace detail {

/// The same thing in up to two words; the second may be empty.
struct SceneWords {
  std::string_view words[2];
  std::string_view captions[2];  // shapes: plurals; stuff: with the article a sentence wants
  std::size_t count() const { return words[1].empty() ? 1 : 2; }
};

enum SceneShape : std::size_t { ball, cube, cone, cylinder, star, ring, heart, scene_shapes };
enum SceneSurface : std::size_t { first_pattern = 7, striped = 7, checkered, dotted, scene_surfaces };
enum SceneStuff : std::size_t {
  sky,
  grass,
  water,
  sand,
  brick_wall,
  wooden_floor,
  snow,
  cobblestone,
  tiled_wall,
  scene_stuffs
};

inline constexpr SceneWords scene_shape_words[scene_shapes] = {
    {{"ball", "sphere"}, {"balls", "spheres"}},
    {{"cube", "box"}, {"cubes", "boxes"}},
    {{"cone", "pyramid"}, {"cones", "pyramids"}},
    {{"cylinder", "can"}, {"cylinders", "cans"}},
    {{"star", ""}, {"stars", ""}},
    {{"ring", "donut"}, {"rings", "donuts"}},
    {{"heart", ""}, {"hearts", ""}},
};
inline constexpr SceneWords scene_surface_words[scene_surfaces] = {
    {{"red", ""}, {}},           {{"green", ""}, {}},         {{"blue", ""}, {}},
    {{"yellow", ""}, {}},        {{"purple", "violet"}, {}},  {{"orange", ""}, {}},
    {{"white", ""}, {}},         {{"striped", "stripy"}, {}}, {{"checkered", "checked"}, {}},
    {{"dotted", "spotted"}, {}},
};
inline constexpr SceneWords scene_stuff_words[scene_stuffs] = {
    {{"sky", "open sky"}, {"the sky", "the open sky"}},
    {{"grass", "lawn"}, {"grass", "a lawn"}},
    {{"water", "lake"}, {"water", "a lake"}},
    {{"sand", "beach"}, {"sand", "a beach"}},
    {{"brick wall", "bricks"}, {"a brick wall", "bricks"}},
    {{"wooden floor", "wood planks"}, {"a wooden floor", "wood planks"}},
    {{"snow", "snowy ground"}, {"snow", "snowy ground"}},
    {{"cobblestone", "stone pavement"}, {"cobblestone", "a stone pavement"}},
    {{"tiled wall", "tiles"}, {"a tiled wall", "tiles"}},
};

/// Held out beside every heart and the cobblestone; each of these words is still seen in other company.
inline constexpr std::string_view scene_held_out[] = {
    "blue ball",      "striped ball",    "purple cube", "dotted cube", "red cone",    "checkered cone",
    "white cylinder", "orange cylinder", "green star",  "blue star",   "yellow ring", "red ring"};

inline constexpr std::size_t scene_object_class(std::size_t surface, std::size_t shape) {
  return surface * scene_shapes + shape;
}
inline constexpr std::size_t scene_stuff_class(std::size_t stuff) {
  return std::size_t{scene_surfaces} * scene_shapes + stuff;
}

inline std::vector<SceneClass> make_scene_classes() {
  std::vector<SceneClass> classes;
  for (auto const& surface : scene_surface_words)
    for (auto const& shape : scene_shape_words) {
      SceneClass made;
      for (std::size_t i = 0; i < surface.count(); ++i)
        for (std::size_t j = 0; j < shape.count(); ++j)
          made.synonyms.push_back(std::string(surface.words[i]) + " " + std::string(shape.words[j]));
      made.name = made.synonyms.front();
      bool const held_out =
          std::find(std::begin(scene_held_out), std::end(scene_held_out), made.name) != std::end(scene_held_out);
      made.seen = !held_out && &shape != &scene_shape_words[heart];
      classes.push_back(std::move(made));
    }
  for (auto const& stuff : scene_stuff_words) {
    std::vector<std::string> synonyms(stuff.words, stuff.words + stuff.count());
    classes.push_back({synonyms.front(), synonyms, &stuff != &scene_stuff_words[cobblestone]});
  }
  return classes;
}

}  // namespace detail

/// The 79 classes in the order of the labels: 49 "<colour> <shape>" and 21 "<pattern> <shape>" (shapes change fastest),
/// then the 9 backgrounds. 23 are unseen: 12 combinations, all 10 hearts, and cobblestone.
inline std::vector<SceneClass> const& scene_classes() {
  static std::vector<SceneClass> const classes = detail::make_scene_classes();
  return classes;
}

}  // namespace kovos
