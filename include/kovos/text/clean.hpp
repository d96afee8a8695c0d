// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kovos/text/html_entities.hpp"
#include "kovos/text/unicode.hpp"

namespace kovos {

namespace detail {

/// Windows-1252's characters for the bytes 0x80..0x9F; 0 where it has none.
inline constexpr std::array<char32_t, 32> windows_1252 = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

/// What a reference stands for, by its name with the semicolon if it has one; empty if there is no such name.
inline std::string_view find_html_entity(std::string_view name) {
  auto const* const end = std::end(html_entities);
  auto const* const found = std::lower_bound(std::begin(html_entities), end, name,
                                             [](HtmlEntity const& e, std::string_view n) { return e.name < n; });
  return found != end && found->name == name ? found->text : std::string_view{};
}

/// What a numeric character reference stands for, by the rules of HTML5.
inline std::string numeric_reference(std::uint64_t number) {
  if (number >= 0x80 && number <= 0x9F) {
    char32_t const mapped = windows_1252[number - 0x80];
    return encode_utf8(std::u32string(1, mapped ? mapped : static_cast<char32_t>(number)));
  }
  if (number == 0 || number > 0x10FFFF || (number >= 0xD800 && number <= 0xDFFF)) return "\xEF\xBF\xBD";
  bool const control = number < 0x20 && number != 0x09 && number != 0x0A && number != 0x0C && number != 0x0D;
  bool const no_character = (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
  if (control || number == 0x7F || number == 0x0B || no_character) return {};
  return encode_utf8(std::u32string(1, static_cast<char32_t>(number)));
}

struct NumericReference {
  std::uint64_t number;
  std::size_t end;  // behind the reference and its semicolon
  bool closed;      // whether it has one
};

/// Reads "&#65;" or "&#x41;" at text[begin]; numbers beyond Unicode stop at 0x110000.
inline std::optional<NumericReference> read_numeric_reference(std::string_view text, std::size_t begin) {
  std::size_t i = begin + 1;
  if (i >= text.size() || text[i] != '#') return std::nullopt;
  ++i;
  bool const hexadecimal = i < text.size() && (text[i] == 'x' || text[i] == 'X');
  if (hexadecimal) ++i;
  std::size_t const first = i;
  std::uint64_t number = 0;
  for (; i < text.size(); ++i) {
    char const c = text[i];
    std::uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint64_t>(c - '0');
    } else if (hexadecimal && c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint64_t>(c - 'a') + 10;
    } else if (hexadecimal && c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint64_t>(c - 'A') + 10;
    } else {
      break;
    }
    number = std::min<std::uint64_t>(number * (hexadecimal ? 16 : 10) + digit, 0x110000);
  }
  if (i == first) return std::nullopt;
  bool const closed = i < text.size() && text[i] == ';';
  return NumericReference{number, i + (closed ? 1 : 0), closed};
}

}  // namespace detail

/// Replaces HTML character references once, as Python's html.unescape: numeric ones, named ones, and the old names that
/// work without a semicolon by their longest prefix.
inline std::string unescape_html(std::string_view text) {
  std::string result;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text[i] != '&') {
      result += text[i++];
      continue;
    }
    if (auto const reference = detail::read_numeric_reference(text, i)) {
      result += detail::numeric_reference(reference->number);
      i = reference->end;
      continue;
    }
    std::size_t end = i + 1;
    constexpr std::string_view closing = "\t\n\f <&#;";
    while (end < text.size() && end - i <= 32 && closing.find(text[end]) == std::string_view::npos) ++end;
    if (end < text.size() && text[end] == ';') ++end;
    std::string_view found;
    std::size_t length = end - i - 1;
    for (; length > 1; --length) {
      found = detail::find_html_entity(text.substr(i + 1, length));
      if (!found.empty()) break;
    }
    if (found.empty()) {
      result += text[i++];
    } else {
      result += found;
      i += 1 + length;
    }
  }
  return result;
}

namespace detail {

/// The byte a character stands for in text that was UTF-8 and was read as Windows-1252 (or Latin-1).
inline std::optional<std::uint8_t> sloppy_byte(char32_t p) {
  if (p < 0x100) return static_cast<std::uint8_t>(p);
  for (std::size_t i = 0; i < windows_1252.size(); ++i)
    if (windows_1252[i] == p) return static_cast<std::uint8_t>(0x80 + i);
  return std::nullopt;
}

/// HTML references as ftfy reads them: only whole ones of at most 24 letters and digits that end in a semicolon, and
/// names that were written in capitals throughout ("&EACUTE;").
inline std::string unescape_whole_references(std::string_view text) {
  auto const is_alphanumeric = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  std::string result;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text[i] != '&') {
      result += text[i++];
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && end - i <= 24 && is_alphanumeric(text[end])) ++end;
    bool const whole = end > i + 1 && end < text.size() && text[end] == ';';
    auto const reference = read_numeric_reference(text, i);
    if (reference && reference->closed) {
      result += numeric_reference(reference->number);
      i = reference->end;
      continue;
    }
    if (whole) {
      std::string_view const name = text.substr(i + 1, end - i);
      std::string replacement(find_html_entity(name));
      std::string lower(name);
      for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      bool const capitals = std::none_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; });
      std::string const reference_text = "&" + std::string(name);
      if (replacement.empty() && capitals && lower != name && unescape_html(reference_text) == reference_text) {
        replacement = encode_utf8(to_upper(decode_utf8(find_html_entity(lower))));
      }
      if (!replacement.empty()) {
        result += replacement;
        i = end + 1;
        continue;
      }
    }
    result += text[i++];
  }
  return result;
}

/// Signs that stand beside a letter in ordinary text: dashes, quotation marks, marks of trade, raised figures.
inline bool follows_words(std::uint8_t byte) {
  constexpr std::string_view bytes =
      "\x82\x84\x85\x8B\x91\x92\x93\x94\x95\x96\x97\x99\x9B\xA0\xA9\xAB\xAE\xB0\xB2\xB3\xB7\xB9\xBB";
  return bytes.find(static_cast<char>(byte)) != std::string_view::npos;
}

/// Undoes "cafÃ©": runs of characters that are exactly the bytes of UTF-8 characters. ftfy weighs a whole line; here a
/// single character is taken where ordinary text does not look like that (leads Â and Ã, and three or four bytes that
/// are not all punctuation), two-byte characters of other scripts only where several follow each other.
inline std::u32string repair_mojibake(std::u32string_view text) {
  auto const character_at = [&](std::size_t i) -> std::string {
    auto const lead = i < text.size() ? sloppy_byte(text[i]) : std::nullopt;
    if (!lead || *lead < 0xC2 || *lead > 0xF4) return {};
    std::size_t const length = *lead < 0xE0 ? 2 : *lead < 0xF0 ? 3 : 4;
    if (text.size() - i < length) return {};
    std::string bytes(1, static_cast<char>(*lead));
    for (std::size_t j = 1; j < length; ++j) {
      auto const byte = sloppy_byte(text[i + j]);
      if (!byte || (*byte & 0xC0) != 0x80) return {};
      bytes += static_cast<char>(*byte);
    }
    return find_invalid_utf8(bytes) ? std::string() : bytes;
  };
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    std::string run;
    std::size_t end = i;
    bool certain = false;
    for (std::string next = character_at(end); !next.empty(); next = character_at(end)) {
      auto const lead = static_cast<std::uint8_t>(next[0]);
      bool const punctuation =
          std::all_of(next.begin() + 1, next.end(), [](char c) { return follows_words(static_cast<std::uint8_t>(c)); });
      certain = certain || end > i || lead <= 0xC3 || lead == 0xE2 || (lead >= 0xE0 && !punctuation);
      run += next;
      end += next.size();
    }
    if (certain) {
      result += decode_utf8(run);
      i = end;
    } else {
      result += text[i++];
    }
  }
  return result;
}

/// One pass of the repairs of ftfy's default pipeline over one line.
inline std::u32string fix_line_once(std::u32string const& line, bool unescape) {
  std::u32string const text =
      repair_mojibake(unescape ? decode_utf8(unescape_whole_references(encode_utf8(line))) : line);
  std::u32string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t p = text[i];
    if (p >= 0x80 && p <= 0x9F && windows_1252[p - 0x80]) p = windows_1252[p - 0x80];
    bool const ligature = (p >= 0xFB00 && p <= 0xFB06) || p == 0x132 || p == 0x133 || p == 0x149 ||
                          (p >= 0x1C4 && p <= 0x1CC) || (p >= 0x1F1 && p <= 0x1F3);
    if (p == 0xFB05) {
      result += U"\u017Ft";
    } else if (ligature || (p >= 0xFF01 && p <= 0xFFEF)) {
      for (char32_t const q : normalize(std::u32string_view(&p, 1), true)) result += q == 0x2BC ? U'\'' : q;
    } else if (p == 0x3000) {
      result += U' ';
    } else if (p == 0x2BC || (p >= 0x2018 && p <= 0x201B)) {
      result += U'\'';
    } else if (p >= 0x201C && p <= 0x201F) {
      result += U'"';
    } else if (p == 0x0D) {
      result += U'\n';
      if (i + 1 < text.size() && text[i + 1] == 0x0A) ++i;
    } else if (p == 0x2028 || p == 0x2029 || p == 0x85) {
      result += U'\n';
    } else if (p == 0x1B && i + 1 < text.size() && text[i + 1] == U'[') {
      std::size_t end = i + 2;
      while (end < text.size() && ((text[end] >= U'0' && text[end] <= U'9') || text[end] == U';')) ++end;
      bool const letter =
          end < text.size() && ((text[end] >= U'a' && text[end] <= U'z') || (text[end] >= U'A' && text[end] <= U'Z'));
      if (letter) i = end;  // a terminal escape; a lone ESC is deleted as a control character
    } else if (p <= 0x08 || p == 0x0B || (p >= 0x0E && p <= 0x1F) || p == 0x7F || (p >= 0x206A && p <= 0x206F) ||
               p == 0xFEFF || (p >= 0xFFF9 && p <= 0xFFFC)) {
      continue;
    } else {
      result += p;
    }
  }
  return normalize(result);
}

/// ftfy.fix_text: each line repaired until nothing changes. HTML references stay from the first line with a '<' on.
inline std::u32string fix_text(std::u32string_view text) {
  // Every pass of a text that goes on changing undoes one level of "&amp;amp;"; the bound keeps hostile ones cheap.
  constexpr int most_passes = 32;
  std::u32string result;
  bool unescape = true;
  while (!text.empty()) {
    std::size_t const length = std::min(text.find(U'\n'), text.size() - 1) + 1;
    std::u32string line(text.substr(0, length));
    text.remove_prefix(length);
    unescape = unescape && line.find(U'<') == std::u32string::npos;
    for (int pass = 0; pass < most_passes; ++pass) {
      std::u32string next = fix_line_once(line, unescape);
      if (next == line) break;
      line = std::move(next);
    }
    result += line;
  }
  return result;
}

/// Strips, and makes every run of white space one blank.
inline std::u32string collapse_white_space(std::u32string_view text) {
  std::u32string result;
  for (char32_t const p : text) {
    if (!is_white_space(p)) {
      result += p;
    } else if (!result.empty() && result.back() != U' ') {
      result += U' ';
    }
  }
  if (!result.empty() && result.back() == U' ') result.pop_back();
  return result;
}

}  // namespace detail

/// CLIP's text cleaning: ftfy's default repairs until nothing changes, HTML references twice, white space, lower case.
/// Mojibake is repaired by local rules instead of ftfy's statistics of a whole line; everything else follows it.
/// Printable ASCII without '&' takes a short way with the same result. Throws TextError if the text is not UTF-8.
inline std::string clean_text(std::string_view text) {
  bool const plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7E && c != '&'; });
  if (plain) {
    std::string result;
    for (char const c : text) {
      if (c != ' ') {
        result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      } else if (!result.empty() && result.back() != ' ') {
        result += ' ';
      }
    }
    if (!result.empty() && result.back() == ' ') result.pop_back();
    return result;
  }
  std::string const fixed = encode_utf8(detail::fix_text(decode_utf8(text)));
  std::string const unescaped = unescape_html(unescape_html(fixed));
  return encode_utf8(to_lower(detail::collapse_white_space(decode_utf8(unescaped))));
}

}  // namespace kovos
