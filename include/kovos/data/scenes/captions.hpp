// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/data/scenes/layout.hpp"
#include "kovos/data/scenes/random.hpp"
#include "kovos/data/scenes/scene.hpp"
#include "kovos/data/scenes/vocabulary.hpp"

namespace kovos::detail {

/// Says about a scene what is true of it, in random words.
class SceneCaptioner {
 public:
  SceneCaptioner(Scene const& scene, SceneRandom& random) : scene_(scene), random_(random) {}

  std::string caption() {
    choose_objects();
    place_is_told_ = random_.chance(0.85);
    std::string const text = body();
    static constexpr std::string_view openings[] = {"", "", "", "a photo of ", "a picture of ", "an image of "};
    return std::string(openings[random_.below(std::size(openings))]) + text;
  }

 private:
  static std::size_t shape_of(SceneObject const& object) { return object.class_index % scene_shapes; }
  static std::size_t surface_of(SceneObject const& object) { return object.class_index / scene_shapes; }
  static std::string with_article(std::string const& noun) {
    return (std::string_view("aeiou").find(noun[0]) != std::string_view::npos ? "an " : "a ") + noun;
  }

  std::string_view word(SceneWords const& words) { return words.words[random_.below(words.count())]; }
  std::string stuff_phrase(std::size_t class_index) {
    auto const& words = scene_stuff_words[class_index - scene_stuff_class(0)];
    return std::string(words.captions[random_.below(words.count())]);
  }
  std::string phrase(SceneObject const& object) {
    std::string text;
    if (!object.size_word.empty() && random_.chance(0.6)) {
      bool const small = object.size_word == "small";
      text = random_.chance(0.7) ? (small ? "small " : "large ") : (small ? "little " : "big ");
    }
    text += word(scene_surface_words[surface_of(object)]);
    text += " ";
    text += word(scene_shape_words[shape_of(object)]);
    return with_article(text);
  }

  /// The largest objects in random order: all of them, or sometimes two of three or four.
  void choose_objects() {
    for (auto const& object : scene_.objects) named_.push_back(&object);
    std::stable_sort(named_.begin(), named_.end(),
                     [](SceneObject const* a, SceneObject const* b) { return a->visible_pixels > b->visible_pixels; });
    if (named_.size() > 2 && random_.chance(0.25)) named_.resize(2);
    for (std::size_t i = named_.size(); i > 1; --i) std::swap(named_[i - 1], named_[random_.below(i)]);
  }

  std::string body() {
    if (named_.empty()) return backgrounds();
    if (random_.chance(0.12)) {
      std::string const first = backgrounds() + (random_.chance(0.5) ? " and " : " with ");
      return first + listing(0);
    }
    std::string text;
    if (named_.size() == 2 && scene_.objects.size() == 2 && shape_of(*named_[0]) == shape_of(*named_[1]) &&
        random_.chance(0.5)) {
      text = pair();
    } else if (named_.size() >= 2 && random_.chance(0.6)) {
      std::string const relation = relation_of(*named_[0], *named_[1]);
      text = phrase(*named_[0]);
      if (relation.empty()) return text + (named_.size() > 2 ? ", " : " and ") + listing(1) + place();
      text += relation + phrase(*named_[1]);
      std::string const where = place();
      return named_.size() == 2 ? text + where : text + where + ", with " + listing(2);
    } else {
      text = listing(0);
    }
    return text + place();
  }

  /// "a red ball, a blue cube and a white star", from one of the named on.
  std::string listing(std::size_t first) {
    std::string text;
    for (std::size_t i = first; i < named_.size(); ++i) {
      if (i > first) text += i + 1 == named_.size() ? " and " : ", ";
      text += phrase(*named_[i]);
    }
    return text;
  }

  /// "two balls, one red and one dotted", "two red balls".
  std::string pair() {
    auto const& words = scene_shape_words[shape_of(*named_[0])];
    std::string const plural(words.captions[random_.below(words.count())]);
    std::string const first(word(scene_surface_words[surface_of(*named_[0])]));
    if (surface_of(*named_[0]) == surface_of(*named_[1])) return "two " + first + " " + plural;
    return "two " + plural + ", one " + first + " and one " +
           std::string(word(scene_surface_words[surface_of(*named_[1])])) + (place_is_told_ ? "," : "");
  }

  /// What the first is to the second, with spaces around it; empty where nothing is clear.
  std::string relation_of(SceneObject const& a, SceneObject const& b) {
    auto const centre = [](std::size_t low, std::size_t high) { return static_cast<double>(low + high) / 2; };
    double const ax = centre(a.left, a.right), bx = centre(b.left, b.right);
    double const ay = centre(a.top, a.bottom), by = centre(b.top, b.bottom);
    auto const index = [&](SceneObject const& o) { return static_cast<std::size_t>(&o - scene_.objects.data()); };
    auto const hides = [&](SceneObject const& front, SceneObject const& behind) {
      auto const& list = front.in_front_of;
      return std::find(list.begin(), list.end(), index(behind)) != list.end();
    };
    auto const before = [](double low, double high, std::size_t end, std::size_t start) {
      return low < static_cast<double>(start) && static_cast<double>(end) < high;
    };
    std::vector<std::string> true_ones;
    if (before(ax, bx, a.right, b.left)) true_ones = {" left of ", " to the left of "};
    if (before(bx, ax, b.right, a.left)) true_ones = {" right of ", " to the right of "};
    if (before(ay, by, a.bottom, b.top) && a.left < b.right && b.left < a.right) true_ones.emplace_back(" above ");
    if (before(by, ay, b.bottom, a.top) && a.left < b.right && b.left < a.right) true_ones.emplace_back(" below ");
    if (hides(a, b)) true_ones = {" in front of "};
    if (hides(b, a)) true_ones = {" behind "};
    return true_ones.empty() ? std::string() : true_ones[random_.below(true_ones.size())];
  }

  /// The backgrounds by themselves, the lower one first: "grass", "sand under the sky".
  std::string backgrounds() {
    std::string text = stuff_phrase(scene_.stuff.back());
    if (scene_.stuff.size() == 1 || random_.chance(0.3)) return text;
    bool const open = scene_.stuff.front() == scene_stuff_class(sky);
    return text + (open ? " under " : " in front of ") + stuff_phrase(scene_.stuff.front());
  }

  /// " on grass under the sky": where the objects are, or nothing.
  std::string place() {
    if (!place_is_told_) return {};
    auto const behind = [&](std::size_t stuff) {
      if (stuff == scene_stuff_class(sky)) return scene_.stuff.size() == 1 ? " in " : " under ";
      return " in front of ";
    };
    std::size_t const lower = scene_.stuff.back();
    std::string text = stands_upright(lower - scene_stuff_class(0)) ? behind(lower) : " on ";
    text += stuff_phrase(lower);
    if (scene_.stuff.size() == 2 && random_.chance(0.6))
      text += behind(scene_.stuff.front()) + stuff_phrase(scene_.stuff.front());
    return text;
  }

  Scene const& scene_;
  SceneRandom& random_;
  std::vector<SceneObject const*> named_;
  bool place_is_told_ = false;
};

}  // namespace kovos::detail
