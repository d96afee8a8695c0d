// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/text/text_file.hpp"

namespace kovos {

/// Sentences around a word. "{}" is its place; "{category}" is too, with "{article}" for "a" or "an" (ViLD).
using PromptTemplates = std::vector<std::string>;

namespace detail {

inline constexpr std::string_view single_templates[] = {"A photo of a {} in the scene"};

inline constexpr std::string_view photo_templates[] = {"a photo of a {}."};

// clang-format off
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
// clang-format on

struct TemplateSet {
  std::string_view name;
  std::span<std::string_view const> templates;
};

inline constexpr TemplateSet template_sets[] = {
    {"single", single_templates}, {"imagenet", imagenet_templates}, {"imagenet_select", imagenet_select_templates},
    {"vild", vild_templates},     {"fc_clip", fc_clip_templates},   {"photo", photo_templates},
};

/// Replaces every `from` in `text`, left to right, without looking at what was put in.
inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (;;) {
    std::size_t const at = text.find(from);
    result += text.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += to;
    text.remove_prefix(at + from.size());
  }
}

}  // namespace detail

/// Whether a template has a place for a word.
inline bool has_place(std::string_view pattern) {
  return pattern.find("{}") != std::string_view::npos || pattern.find("{category}") != std::string_view::npos;
}

/// The word in its sentence. For "{category}" the word is first prepared as ViLD does: '_' becomes a blank, '/'
/// " or ", letters small. Throws TextError if the template has no place for the word.
inline std::string fill(std::string_view pattern, std::string_view word) {
  if (!has_place(pattern)) {
    fail<TextError>("the prompt template ", detail::in_quotes(pattern),
                    " has no place for the word; write {} where it belongs");
  }
  if (pattern.find("{category}") == std::string_view::npos) return detail::replaced(pattern, "{}", word);
  std::string category = detail::replaced(detail::replaced(word, "_", " "), "/", " or ");
  for (char& c : category) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  bool const vowel = !category.empty() && std::string_view("aeiou").find(category[0]) != std::string_view::npos;
  return detail::replaced(detail::replaced(pattern, "{article}", vowel ? "an" : "a"), "{category}", category);
}

/// A template set by name: "single" (what CAT-Seg's released models were made for), "imagenet" (80),
/// "imagenet_select" (8), "vild" (63), "fc_clip" (14), "photo" (plain CLIP). Also a template itself, or a text file
/// with one per line ('#' starts a comment line). Throws TextError or FileError.
KOVOS_COLD inline PromptTemplates prompt_templates(std::string_view name) {
  for (auto const& set : detail::template_sets) {
    if (set.name == name) return {set.templates.begin(), set.templates.end()};
  }
  if (has_place(name)) return {std::string(name)};
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::path(name), error) || detail::looks_like_file(name)) {
    PromptTemplates own;
    std::string const text = detail::read_text(name);
    for (auto const& line : detail::text_lines(text)) {
      require<TextError>(has_place(line.text), detail::in_quotes(name), " line ", line.number, ": the template ",
                         detail::in_quotes(line.text), " has no place for the word; write {} where it belongs");
      own.emplace_back(line.text);
    }
    require<TextError>(!own.empty(), detail::in_quotes(name), " holds no prompt template; write one per line");
    return own;
  }
  std::string known;
  for (auto const& set : detail::template_sets) known += (known.empty() ? "" : ", ") + std::string(set.name);
  fail<TextError>("there is no template set ", detail::in_quotes(name), "; use one of ", known,
                  ", a sentence with {} in it, or a text file with one per line");
}

}  // namespace kovos
