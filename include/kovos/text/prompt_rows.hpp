// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/core/reduction.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/word_list.hpp"

namespace kovos {

/// Whether a model sees each prompt template, or one vector that is their mean.
enum class TemplateUse : std::uint8_t { each, mean };

/// How words become rows. The defaults are CAT-Seg's; FC-CLIP has {Reduction::maximum, TemplateUse::mean}, models that
/// take one vector per class {Reduction::mean, TemplateUse::mean}.
struct RowOptions {
  /// Of the words of one class. The mean is taken of their vectors, so that a class has one row; the maximum can only
  /// be taken of scores, so each word has a row of its own.
  Reduction words = Reduction::mean;
  TemplateUse templates = TemplateUse::each;
};

/// The prompts of a list of classes, and which of them are averaged to which row; text only, no model has seen it.
struct PromptRows {
  std::vector<std::string> names;       // [K], of the classes
  std::vector<std::int32_t> owner;      // [N], the class of each row, ascending
  std::size_t vectors_per_row = 1;      // P: 1, or one per template
  std::vector<std::string> prompts;     // in order of what they become
  std::vector<std::int32_t> vector_of;  // per prompt: row * P + template, ascending; each has a prompt at least

  std::size_t rows() const { return owner.size(); }
};

/// Fills every word of every class into every template. Throws TextError if there is no class, no template, a class
/// without words or a template without a place for the word.
inline PromptRows prompt_rows(ClassList const& classes, PromptTemplates const& templates,
                              RowOptions const& options = {}) {
  require<TextError>(!classes.empty(), "[prompt_rows] the list of classes is empty");
  require<TextError>(!templates.empty(), "[prompt_rows] there is no prompt template");
  PromptRows result;
  bool const each = options.templates == TemplateUse::each;
  result.vectors_per_row = each ? templates.size() : 1;
  auto const add = [&](std::string const& pattern, std::string const& word, std::size_t t) {
    result.prompts.push_back(fill(pattern, word));
    std::size_t const row = result.owner.size() - 1;
    result.vector_of.push_back(static_cast<std::int32_t>(row * result.vectors_per_row + (each ? t : 0)));
  };
  for (std::size_t k = 0; k < classes.size(); ++k) {
    auto const& [name, words] = classes[k];
    require<TextError>(!words.empty(), "[prompt_rows] the class ", detail::in_quotes(name), " has no words");
    result.names.push_back(name);
    if (options.words == Reduction::mean) {
      result.owner.push_back(static_cast<std::int32_t>(k));
      for (std::size_t t = 0; t < templates.size(); ++t)
        for (auto const& word : words) add(templates[t], word, t);
    } else {
      for (auto const& word : words) {
        result.owner.push_back(static_cast<std::int32_t>(k));
        for (std::size_t t = 0; t < templates.size(); ++t) add(templates[t], word, t);
      }
    }
  }
  return result;
}

}  // namespace kovos
