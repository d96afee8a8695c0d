// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"

namespace kovos {

namespace detail {

/// OpenAI's 80 ImageNet templates.
inline constexpr std::string_view imagenet_templates[] = {
    "a bad photo of a {}.", "a photo of many {}.", "a sculpture of a {}.", "a photo of the hard to see {}.",
    "a low resolution photo of the {}.", "a rendering of a {}.", "graffiti of a {}.", "a bad photo of the {}.",
    "a cropped photo of the {}.", "a tattoo of a {}.", "the embroidered {}.", "a photo of a hard to see {}.",
    "a bright photo of a {}.", "a photo of a clean {}.", "a photo of a dirty {}.", "a dark photo of the {}.",
    "a drawing of a {}.", "a photo of my {}.", "the plastic {}.", "a photo of the cool {}.",
    "a close-up photo of a {}.", "a black and white photo of the {}.", "a painting of the {}.", "a painting of a {}.",
    "a pixelated photo of the {}.", "a sculpture of the {}.", "a bright photo of the {}.", "a cropped photo of a {}.",
    "a plastic {}.", "a photo of the dirty {}.", "a jpeg corrupted photo of a {}.", "a blurry photo of the {}.",
    "a photo of the {}.", "a good photo of the {}.", "a rendering of the {}.", "a {} in a video game.",
    "a photo of one {}.", "a doodle of a {}.", "a close-up photo of the {}.", "a photo of a {}.", "the origami {}.",
    "the {} in a video game.", "a sketch of a {}.", "a doodle of the {}.", "a origami {}.",
    "a low resolution photo of a {}.", "the toy {}.", "a rendition of the {}.", "a photo of the clean {}.",
    "a photo of a large {}.", "a rendition of a {}.", "a photo of a nice {}.", "a photo of a weird {}.",
    "a blurry photo of a {}.", "a cartoon {}.", "art of a {}.", "a sketch of the {}.", "a embroidered {}.",
    "a pixelated photo of a {}.", "itap of the {}.", "a jpeg corrupted photo of the {}.", "a good photo of a {}.",
    "a plushie {}.", "a photo of the nice {}.", "a photo of the small {}.", "a photo of the weird {}.",
    "the cartoon {}.", "art of the {}.", "a drawing of the {}.", "a photo of the large {}.",
    "a black and white photo of a {}.", "the plushie {}.", "a dark photo of a {}.", "itap of a {}.",
    "graffiti of the {}.", "a toy {}.", "itap of my {}.", "a photo of a cool {}.", "a photo of a small {}.",
    "a tattoo of the {}.",
};

/// The 8 templates CAT-Seg calls imagenet_select.
inline constexpr std::string_view imagenet_select_templates[] = {
    "itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game.",
    "art of the {}.", "a photo of the small {}.", "A photo of a {} in the scene",
};

/// The 63 templates of ViLD; {article} is "a" or "an".
inline constexpr std::string_view vild_templates[] = {
    "There is {article} {category} in the scene.", "There is the {category} in the scene.",
    "a photo of {article} {category} in the scene.", "a photo of the {category} in the scene.",
    "a photo of one {category} in the scene.", "itap of {article} {category}.", "itap of my {category}.",
    "itap of the {category}.", "a photo of {article} {category}.", "a photo of my {category}.",
    "a photo of the {category}.", "a photo of one {category}.", "a photo of many {category}.",
    "a good photo of {article} {category}.", "a good photo of the {category}.",
    "a bad photo of {article} {category}.", "a bad photo of the {category}.", "a photo of a nice {category}.",
    "a photo of the nice {category}.", "a photo of a cool {category}.", "a photo of the cool {category}.",
    "a photo of a weird {category}.", "a photo of the weird {category}.", "a photo of a small {category}.",
    "a photo of the small {category}.", "a photo of a large {category}.", "a photo of the large {category}.",
    "a photo of a clean {category}.", "a photo of the clean {category}.", "a photo of a dirty {category}.",
    "a photo of the dirty {category}.", "a bright photo of {article} {category}.",
    "a bright photo of the {category}.", "a dark photo of {article} {category}.", "a dark photo of the {category}.",
    "a photo of a hard to see {category}.", "a photo of the hard to see {category}.",
    "a low resolution photo of {article} {category}.", "a low resolution photo of the {category}.",
    "a cropped photo of {article} {category}.", "a cropped photo of the {category}.",
    "a close-up photo of {article} {category}.", "a close-up photo of the {category}.",
    "a jpeg corrupted photo of {article} {category}.", "a jpeg corrupted photo of the {category}.",
    "a blurry photo of {article} {category}.", "a blurry photo of the {category}.",
    "a pixelated photo of {article} {category}.", "a pixelated photo of the {category}.",
    "a black and white photo of the {category}.", "a black and white photo of {article} {category}.",
    "a plastic {category}.", "the plastic {category}.", "a toy {category}.", "the toy {category}.",
    "a plushie {category}.", "the plushie {category}.", "a cartoon {category}.", "the cartoon {category}.",
    "an embroidered {category}.", "the embroidered {category}.", "a painting of the {category}.",
    "a painting of a {category}.",
};

/// The 14 templates of FC-CLIP.
inline constexpr std::string_view fc_clip_templates[] = {
    "a photo of a {}.", "This is a photo of a {}", "There is a {} in the scene", "There is the {} in the scene",
    "a photo of a {} in the scene", "a photo of a small {}.", "a photo of a medium {}.", "a photo of a large {}.",
    "This is a photo of a small {}.", "This is a photo of a medium {}.", "This is a photo of a large {}.",
    "There is a small {} in the scene.", "There is a medium {} in the scene.", "There is a large {} in the scene.",
};

}  // namespace detail

/// Sentences with a place for a name: "{}", or ViLD's "{category}" with "{article}".
using PromptTemplates = std::vector<std::string>;

/// The authors' template sets by name: "single" (what the released CAT-Seg models were made for), "imagenet" (80),
/// "imagenet_select" (8), "vild" (63), "fc_clip" (14), and "photo" ("a photo of a {}."). Throws ConfigError for another.
inline PromptTemplates prompt_templates(std::string_view name) {
  auto const list = [](auto const& items) { return PromptTemplates(std::begin(items), std::end(items)); };
  if (name == "single") return {"A photo of a {} in the scene"};
  if (name == "photo") return {"a photo of a {}."};
  if (name == "imagenet") return list(detail::imagenet_templates);
  if (name == "imagenet_select") return list(detail::imagenet_select_templates);
  if (name == "vild") return list(detail::vild_templates);
  if (name == "fc_clip") return list(detail::fc_clip_templates);
  fail<ConfigError>("there is no template set '", std::string(name),
                    "'; choose one of single, photo, imagenet, imagenet_select, vild, fc_clip");
}

/// Puts a name into a template. ViLD's rules for {category}: '_' becomes a blank, '/' " or ", lower case, and {article}
/// is "an" before a, e, i, o, u. Throws ConfigError if the template has no place for a name.
inline std::string fill(std::string_view prompt_template, std::string_view name) {
  auto const replace = [](std::string text, std::string_view from, std::string_view to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
    return text;
  };
  std::string const text(prompt_template);
  if (text.find("{category}") != std::string::npos) {
    std::string word = replace(replace(std::string(name), "_", " "), "/", " or ");
    for (auto& c : word)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    bool const vowel = !word.empty() && std::string_view("aeiou").find(word[0]) != std::string_view::npos;
    return replace(replace(text, "{article}", vowel ? "an" : "a"), "{category}", word);
  }
  auto const place = text.find("{}");
  require<ConfigError>(place != std::string::npos, "the template '", text, "' has no {} where the name goes");
  return text.substr(0, place) + std::string(name) + text.substr(place + 2);
}

}  // namespace kovos
