// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/io/file.hpp"
#include "kovos/text/benchmark_classes.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/unicode.hpp"

namespace kovos {

/// One class: what it is called in results, and the words its embedding is the mean of.
struct ClassEntry {
  std::string name;
  std::vector<std::string> words;
};

using ClassList = std::vector<ClassEntry>;

namespace detail {

inline std::string trimmed(std::string_view text) {
  auto const first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0;;) {
    auto const end = text.find(separator, at);
    parts.push_back(trimmed(text.substr(at, end == std::string_view::npos ? end : end - at)));
    if (end == std::string_view::npos) return parts;
    at = end + 1;
  }
}

/// Collects classes and refuses what cannot be one; `where` says which entry of which source.
class ClassListBuilder {
 public:
  explicit ClassListBuilder(std::string source) : source_(std::move(source)) {}

  /// key: what must not appear twice.
  void add(std::string name, std::vector<std::string> words, std::string const& where, std::string_view key) {
    auto const check = [&](std::string const& text) {
      auto const invalid = find_invalid_utf8(text);
      require<TextError>(!invalid, source_, ": ", where, " is not UTF-8 at byte ", invalid.value_or(0), "; save it as UTF-8");
      require<TextError>(!clean_text(text).empty(), source_, ": ", where, " is empty; remove it or give it a name");
    };
    check(name);
    for (auto const& word : words) check(word);
    auto const [first, fresh] = seen_.emplace(clean_text(key), where);
    require<TextError>(fresh, source_, ": '", std::string(key), "' is there twice (", first->second, " and ", where,
                       "); every class needs a name of its own");
    require<TextError>(list_.size() < 65535, source_, ": more than 65535 classes, which is all a label map can tell apart");
    list_.push_back({std::move(name), std::move(words)});
  }

  ClassList finish() {
    require<TextError>(!list_.empty(), source_, ": there are no classes; give at least one word");
    return std::move(list_);
  }

 private:
  std::string source_;
  ClassList list_;
  std::map<std::string, std::string> seen_;
};

/// "wall, partition" -> "wall": of the authors' synonyms only the first is used.
inline std::string first_synonym(std::string_view name) { return trimmed(name.substr(0, name.find(", "))); }

inline ClassList classes_from_json(std::string const& text, std::string const& source) {
  auto const json = nlohmann::json::parse(text, nullptr, false);
  require<TextError>(!json.is_discarded() && json.is_array(), source, ": expected a JSON array of class names");
  ClassListBuilder builder(source);
  for (auto const& item : json) {
    std::string const where = "entry " + std::to_string(&item - &json[0] + 1);
    require<TextError>(item.is_string(), source, ": ", where, " is not a string");
    auto const name = item.get<std::string>();
    builder.add(first_synonym(name), {first_synonym(name)}, where, name);
  }
  return builder.finish();
}

inline ClassList classes_from_lines(std::string_view text, std::string const& source) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  ClassListBuilder builder(source);
  std::size_t number = 0;
  for (auto const& line : split(text, '\n')) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    auto const equals = line.find('=');
    std::string const name = trimmed(std::string_view(line).substr(0, equals));
    std::vector<std::string> words{name};
    if (equals != std::string::npos) words = split(std::string_view(line).substr(equals + 1), ',');
    builder.add(name, words, "line " + std::to_string(number), name);
  }
  return builder.finish();
}

}  // namespace detail

/// Each name is one class of one word. Throws TextError for an empty list, an empty or double name, or broken UTF-8.
inline ClassList class_list(std::vector<std::string> const& names) {
  detail::ClassListBuilder builder("classes");
  for (std::size_t i = 0; i < names.size(); ++i)
    builder.add(detail::trimmed(names[i]), {detail::trimmed(names[i])}, "class " + std::to_string(i + 1), names[i]);
  return builder.finish();
}

/// The benchmark list of that name, or nullptr.
inline BenchmarkClasses const* find_benchmark(std::string_view name) {
  for (auto const& benchmark : benchmark_classes)
    if (benchmark.name == name) return &benchmark;
  return nullptr;
}

/// The classes of a benchmark, the first synonym of each as the authors use them.
inline ClassList benchmark_class_list(BenchmarkClasses const& benchmark) {
  ClassList list;
  for (auto const& line : detail::split(benchmark.lines, '\n'))
    if (!line.empty()) list.push_back({detail::first_synonym(line), {detail::first_synonym(line)}});
  return list;
}

/// What a user hands over as classes: the name of a file (a JSON array as the authors', or text with one class per line,
/// `name = synonym, synonym` allowed), the name of a benchmark, or a comma list.
/// Throws TextError, or FileError if a file cannot be read.
inline ClassList parse_classes(std::string const& argument) {
  std::error_code ignored;
  if (argument.size() < 4096 && std::filesystem::is_regular_file(argument, ignored)) {
    auto const size = std::filesystem::file_size(argument, ignored);
    require<TextError>(size <= (std::uintmax_t{16} << 20), argument, ": longer than 16 MB, so it is not a list of classes");
    auto const bytes = read_file(argument);
    std::string const text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
    auto const invalid = find_invalid_utf8(text);
    require<TextError>(!invalid, argument, ": not UTF-8 at byte ", invalid.value_or(0), "; save the list as UTF-8");
    auto const first = text.find_first_not_of(" \t\r\n");
    if (first != std::string::npos && text[first] == '[') return detail::classes_from_json(text, argument);
    return detail::classes_from_lines(text, argument);
  }
  if (auto const* benchmark = find_benchmark(argument)) return benchmark_class_list(*benchmark);
  bool const looks_like_a_file = argument.find(',') == std::string::npos &&
                                 (argument.ends_with(".txt") || argument.ends_with(".json") || argument.find('/') != std::string::npos);
  require<TextError>(!looks_like_a_file, "the list of classes '", argument, "' does not exist");
  detail::ClassListBuilder builder("classes");
  std::size_t number = 0;
  for (auto const& name : detail::split(argument, ',')) {
    ++number;
    builder.add(name, {name}, "class " + std::to_string(number), name);
  }
  return builder.finish();
}

}  // namespace kovos
