// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/text/unicode.hpp"

namespace kovos::detail {

inline constexpr std::size_t longest_text_file = std::size_t{16} << 20;

/// The number, from 1, of the line a byte is in.
inline std::size_t line_of(std::string_view text, std::size_t byte) {
  auto const head = text.substr(0, byte);
  return 1 + static_cast<std::size_t>(std::count(head.begin(), head.end(), '\n'));
}

inline std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\v\f";
  std::size_t const first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Whether a command-line word can only be meant as a file, be it there or not.
inline bool looks_like_file(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.starts_with("~/") ||
         text.ends_with(".txt") || text.ends_with(".json");
}

/// Throws TextError naming file, line and byte where a text is not UTF-8.
inline void require_utf8(std::string_view text, std::string_view file) {
  if (auto const byte = find_invalid_utf8(text)) {
    fail<TextError>(in_quotes(file), " line ", line_of(text, *byte), ": not UTF-8 at byte ", *byte,
                    " of the file; save it as UTF-8");
  }
}

/// A UTF-8 text file without its byte order mark. Throws FileError or TextError.
inline std::string read_text(std::filesystem::path const& path) {
  auto const bytes = read_file(path, longest_text_file);
  std::string text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  require_utf8(text, path.string());
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

struct TextLine {
  std::size_t number;  // from 1
  std::string_view text;
};

/// The lines of a text, trimmed, without blank ones and without comments, which begin with '#'.
inline std::vector<TextLine> text_lines(std::string_view text) {
  std::vector<TextLine> lines;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::size_t const end = std::min(text.find('\n'), text.size());
    auto const line = trimmed(text.substr(0, end));
    if (!line.empty() && line.front() != '#') lines.push_back({number, line});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace kovos::detail
