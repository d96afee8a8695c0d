// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/text/benchmark_classes.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/text_file.hpp"

namespace kovos {

/// One class: what it is called, and the words that are looked for (their features are averaged).
struct ClassEntry {
  std::string name;
  std::vector<std::string> words;
};

using ClassList = std::vector<ClassEntry>;

namespace detail {

/// Labels are 16-bit numbers and the largest means "unknown".
inline constexpr std::size_t most_classes = 65535;

/// Pieces of a text between separators; an empty text is one empty piece.
inline std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> pieces;
  for (;;) {
    std::size_t const at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + separator.size());
  }
}

/// Puts classes into a list and refuses what cannot be one. `source` names the list in messages, `place` ("line 3",
/// "entry 3") the class.
class ClassListBuilder {
 public:
  explicit ClassListBuilder(std::string source) : source_(std::move(source)) {}

  /// `key` tells classes apart: two that are equal once cleaned are an error.
  void add(std::string_view key, ClassEntry entry, std::string const& place) {
    require<TextError>(list_.size() < most_classes, source_, " has more than ", most_classes,
                       " classes, which is the most that labels can number");
    std::string cleaned = cleaned_word(key, place);
    for (auto const& word : entry.words) {
      if (word != key) cleaned_word(word, place);
    }
    auto const [other, is_new] = places_.try_emplace(std::move(cleaned), place);
    require<TextError>(is_new, source_, ' ', place, ": the class ", in_quotes(key), " is already there at ",
                       other->second, "; every class must be named once");
    list_.push_back(std::move(entry));
  }

  [[noreturn]] void refuse(std::string const& place, std::string_view what) const {
    fail<TextError>(source_, ' ', place, ": ", what);
  }

  ClassList finish() {
    require<TextError>(!list_.empty(), source_, " names no class; give at least one word");
    return std::move(list_);
  }

 private:
  std::string cleaned_word(std::string_view word, std::string const& place) const {
    if (auto const byte = find_invalid_utf8(word)) {
      fail<TextError>(source_, ' ', place, ": ", in_quotes(word), " is not UTF-8 at byte ", *byte,
                      "; save or type it as UTF-8");
    }
    std::string cleaned = clean_text(word);
    require<TextError>(!cleaned.empty(), source_, ' ', place, word.empty() ? " is empty" : " has no visible character",
                       "; write a word there or remove it");
    return cleaned;
  }

  std::string source_;
  ClassList list_;
  std::unordered_map<std::string, std::string> places_;  // by cleaned name
};

/// A class as the authors mean it: of "person, individual, someone" the first synonym only. The whole tells classes
/// apart: their lists have "bag" and "bag, handbag".
inline void add_authors_class(ClassListBuilder& builder, std::string_view name, std::string const& place) {
  std::string const first(trimmed(name.substr(0, name.find(','))));
  if (first.empty() && !trimmed(name).empty()) builder.refuse(place, "the first synonym is empty");
  builder.add(name, {first, {first}}, place);
}

/// A class as files name it: "name = word, word", else as the authors mean it.
inline void add_class(ClassListBuilder& builder, std::string_view text, std::string const& place) {
  std::size_t const equals = text.find('=');
  if (equals == std::string_view::npos) return add_authors_class(builder, text, place);
  ClassEntry entry{std::string(trimmed(text.substr(0, equals))), {}};
  for (auto const word : split(text.substr(equals + 1), ",")) entry.words.emplace_back(trimmed(word));
  std::string const key = entry.name;
  builder.add(key, std::move(entry), place);
}

inline ClassList parse_class_json(std::string_view text, std::string const& source) {
  using Json = nlohmann::json;
  ClassListBuilder builder(source);
  Json names;
  try {
    names = Json::parse(text, [&](int depth, Json::parse_event_t, Json const&) {
      require<TextError>(depth <= 2, source, " is nested; expected a JSON array of names");
      return true;
    });
  } catch (Json::parse_error const& error) {
    fail<TextError>(source, " line ", line_of(text, error.byte), ": not JSON at byte ", error.byte,
                    "; expected an array of names");
  } catch (Json::exception const&) {
    fail<TextError>(source, " holds a number that is too large; expected a JSON array of names");
  }
  require<TextError>(names.is_array(), source, " is not a JSON array; expected an array of names");
  std::size_t number = 0;
  for (auto const& name : names) {
    ++number;
    std::string const place = "entry " + std::to_string(number);
    if (!name.is_string()) builder.refuse(place, "is not a string; expected a name");
    add_class(builder, name.get_ref<std::string const&>(), place);
  }
  return builder.finish();
}

/// What stands before the ':' of a line of FC-CLIP's prompt files, "12:person,child,girl"; nothing in other lines.
inline std::optional<std::string_view> prompt_file_number(std::string_view line) {
  auto const colon = std::min(line.find(':'), line.size());
  auto const number = line.substr(0, colon);
  bool const digits = number.find_first_not_of("0123456789") == number.npos;
  return colon < line.size() && colon > 0 && digits ? std::optional(number) : std::nullopt;
}

/// FC-CLIP's prompt files: all synonyms are words, and what is called invalid_class_id is no class. The classes stand
/// in the order of the lines; numbers may be left out, as in COCO, but a file in another order would name them wrongly.
inline ClassList parse_prompt_file(std::vector<TextLine> const& lines, std::string const& source) {
  ClassListBuilder builder(source);
  std::string_view last;
  for (auto const& line : lines) {
    std::string const place = "line " + std::to_string(line.number);
    auto const number = prompt_file_number(line.text);
    if (!number)
      builder.refuse(place,
                     in_quotes(line.text) + " has no number, expected 'number:name,synonym' as in the other lines");
    auto const digits = number->substr(std::min(number->find_first_not_of('0'), number->size()));
    bool const rises =
        line.number == lines.front().number || std::pair(last.size(), last) < std::pair(digits.size(), digits);
    if (!rises)
      builder.refuse(place, "the number " + std::string(*number) +
                                " is not larger than that of the line before, expected the classes in their order");
    last = digits;
    auto const names = trimmed(line.text.substr(number->size() + 1));
    if (names == "invalid_class_id") continue;
    ClassEntry entry;
    for (auto const word : split(names, ",")) entry.words.emplace_back(trimmed(word));
    entry.name = entry.words.front();
    builder.add(names, std::move(entry), place);
  }
  return builder.finish();
}

inline ClassList parse_class_lines(std::string_view text, std::string const& source) {
  auto const lines = text_lines(text);
  if (!lines.empty() && prompt_file_number(lines.front().text)) return parse_prompt_file(lines, source);
  ClassListBuilder builder(source);
  for (auto const& line : lines) add_class(builder, line.text, "line " + std::to_string(line.number));
  return builder.finish();
}

inline ClassList parse_comma_list(std::string_view text) {
  ClassListBuilder builder("the list of classes");
  std::size_t number = 0;
  if (trimmed(text).empty()) return builder.finish();
  for (auto const piece : split(text, ",")) {
    std::string const name(trimmed(piece));
    builder.add(name, {name, {name}}, "entry " + std::to_string(++number));
  }
  return builder.finish();
}

}  // namespace detail

/// The classes of a benchmark as its authors use them.
inline ClassList benchmark_class_list(Benchmark const& benchmark) {
  detail::ClassListBuilder builder(std::string(benchmark.name));
  std::size_t number = 0;
  for (auto const name : detail::split(benchmark.classes, "|"))
    detail::add_authors_class(builder, name, "entry " + std::to_string(++number));
  return builder.finish();
}

/// Each name is one class and one word. Throws TextError for an empty list, an empty name, one that is not UTF-8, or
/// one that is there twice.
KOVOS_DOOR ClassList class_list(std::vector<std::string> const& names);

/// Reads a class list file of at most 16 MB: a JSON array of names, or text with a class per line where '#' begins a
/// comment line. In both
/// - "person, individual, someone" is looked for as "person": of a name with commas the authors use the first synonym;
/// - "c07 = person, child" is called c07 and looked for as both words.
/// Text whose lines are "7:person,child" is FC-CLIP's prompt file: all synonyms are words, invalid_class_id is no
/// class. Throws FileError, or TextError naming the file and the line or entry.
KOVOS_DOOR ClassList read_classes(std::filesystem::path const& path);

/// Classes as a person names them: the name of a benchmark ("ade150"), a file as in read_classes, or words with commas
/// between them ("sky, grass, house"). What exists as a file is one. Throws FileError or TextError.
KOVOS_DOOR ClassList parse_classes(std::string_view words);

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR ClassList class_list(std::vector<std::string> const& names) {
  detail::ClassListBuilder builder("the list of classes");
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::string const name(detail::trimmed(names[i]));
    builder.add(name, {name, {name}}, "entry " + std::to_string(i + 1));
  }
  return builder.finish();
}

KOVOS_DOOR ClassList read_classes(std::filesystem::path const& path) {
  std::string const text = detail::read_text(path);
  std::string const source = detail::shown(path);
  auto const content = detail::trimmed(text);
  bool const json = content.starts_with('[') || content.starts_with('{');
  return json ? detail::parse_class_json(text, source) : detail::parse_class_lines(text, source);
}

KOVOS_DOOR ClassList parse_classes(std::string_view words) {
  namespace fs = std::filesystem;
  if (auto const* const benchmark = find_benchmark(words)) return benchmark_class_list(*benchmark);
  std::error_code error;
  fs::path const path{words};
  bool const is_word = words.empty() || words.find('\0') != std::string_view::npos;
  bool const exists = !is_word && fs::exists(path, error);
  // A folder that happens to be called like the word is not what is meant, unless it is written as a path.
  bool const folder = exists && fs::is_directory(path, error) && words.find('/') == std::string_view::npos;
  if ((exists && !folder) ||
      (!is_word && words.find(',') == std::string_view::npos && detail::looks_like_file(words))) {
    return read_classes(path);
  }
  return detail::parse_comma_list(words);
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
