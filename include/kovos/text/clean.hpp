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

#include "kovos/text/html_entities.hpp"
#include "kovos/text/unicode.hpp"

namespace kovos {

namespace detail {

/// Windows-1252's characters for the bytes 0x80..0x9F; 0 where it has none.
inline constexpr std::array<char32_t, 32> windows_1252 = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
    0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178};

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

}  // namespace detail

/// Replaces HTML character references once, as Python's html.unescape: numeric ones, named ones, and the old names that
/// work without a semicolon by their longest prefix. `strict` keeps all but well-formed references that end in ';'.
inline std::string unescape_html(std::string_view text, bool strict = false) {
  std::string result;
  std::size_t i = 0;
  while (i < text.size()) {
    if (text[i] != '&') {
      result += text[i++];
      continue;
    }
    std::size_t end = i + 1;
    if (end < text.size() && text[end] == '#') {
      bool const hexadecimal = end + 1 < text.size() && (text[end + 1] == 'x' || text[end + 1] == 'X');
      std::size_t const first = end + (hexadecimal ? 2 : 1);
      std::size_t last = first;
      std::uint64_t number = 0;
      for (; last < text.size(); ++last) {
        char const c = text[last];
        std::uint64_t digit;
        if (c >= '0' && c <= '9') digit = static_cast<std::uint64_t>(c - '0');
        else if (hexadecimal && c >= 'a' && c <= 'f') digit = static_cast<std::uint64_t>(c - 'a') + 10;
        else if (hexadecimal && c >= 'A' && c <= 'F') digit = static_cast<std::uint64_t>(c - 'A') + 10;
        else break;
        number = std::min<std::uint64_t>(number * (hexadecimal ? 16 : 10) + digit, 0x110000);
      }
      bool const closed = last < text.size() && text[last] == ';';
      if (last > first && (closed || !strict)) {
        result += detail::numeric_reference(number);
        i = last + (closed ? 1 : 0);
        continue;
      }
      result += text[i++];
      continue;
    }
    while (end < text.size() && end - i <= 32 && std::string_view("\t\n\f <&#;").find(text[end]) == std::string_view::npos) ++end;
    if (end < text.size() && text[end] == ';') ++end;
    std::string_view const name = text.substr(i + 1, end - i - 1);
    bool replaced = false;
    for (std::size_t length = name.size(); length > 1 && !replaced; --length) {
      if (strict && (length != name.size() || name.back() != ';')) break;
      auto const found = detail::find_html_entity(name.substr(0, length));
      if (found.empty()) continue;
      result += found;
      i += 1 + length;
      replaced = true;
    }
    if (!replaced) result += text[i++];
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

/// Undoes "cafÃ©": sequences of characters that are exactly the bytes of one UTF-8 character. Only leads that ordinary
/// text does not continue that way are taken (Â, Ã and those of three and four bytes).
inline std::u32string repair_mojibake(std::u32string const& text) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    auto const lead = sloppy_byte(text[i]);
    std::size_t const length = !lead ? 1 : *lead == 0xC2 || *lead == 0xC3 ? 2 : *lead >= 0xE0 && *lead <= 0xEF ? 3 : *lead >= 0xF0 && *lead <= 0xF4 ? 4 : 1;
    bool whole = length > 1 && i + length <= text.size();
    std::string bytes;
    for (std::size_t j = 0; whole && j < length; ++j) {
      auto const byte = sloppy_byte(text[i + j]);
      whole = byte && (j == 0 || (*byte >= 0x80 && *byte <= 0xBF));
      if (whole) bytes += static_cast<char>(*byte);
    }
    if (whole && !find_invalid_utf8(bytes)) {
      result += decode_utf8(bytes);
      i += length;
    } else {
      result += text[i++];
    }
  }
  return result;
}

/// One pass of the repairs of ftfy's default pipeline.
inline std::u32string fix_text_once(std::u32string const& input) {
  std::string utf8 = encode_utf8(input);
  if (utf8.find('<') == std::string::npos && utf8.find('&') != std::string::npos) utf8 = unescape_html(utf8, true);
  std::u32string const text = repair_mojibake(decode_utf8(utf8));
  std::u32string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t p = text[i];
    if (p >= 0x80 && p <= 0x9F && windows_1252[p - 0x80]) p = windows_1252[p - 0x80];
    bool const ligature = (p >= 0xFB00 && p <= 0xFB06) || p == 0x132 || p == 0x133 || p == 0x149 ||
                          (p >= 0x1C4 && p <= 0x1CC) || (p >= 0x1F1 && p <= 0x1F3);
    if (ligature || (p >= 0xFF01 && p <= 0xFFEF)) {
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
      bool const letter = end < text.size() && ((text[end] >= U'a' && text[end] <= U'z') || (text[end] >= U'A' && text[end] <= U'Z'));
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

/// Strips, and makes every run of white space one blank.
inline std::u32string collapse_white_space(std::u32string_view text) {
  std::u32string result;
  for (char32_t const p : text) {
    bool const space = is_white_space(p) || (p >= 0x1C && p <= 0x1F);
    if (!space) result += p;
    else if (!result.empty() && result.back() != U' ') result += U' ';
  }
  if (!result.empty() && result.back() == U' ') result.pop_back();
  return result;
}

}  // namespace detail

/// CLIP's text cleaning: ftfy's default repairs until nothing changes, HTML references twice, white space, lower case.
/// Mojibake is repaired character by character instead of by ftfy's statistics; everything else follows it.
/// Printable ASCII without '&' takes a short way with the same result. Throws TextError if the text is not UTF-8.
inline std::string clean_text(std::string_view text) {
  bool const plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7E && c != '&'; });
  if (plain) {
    std::string result;
    for (char const c : text) {
      if (c != ' ') result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      else if (!result.empty() && result.back() != ' ') result += ' ';
    }
    if (!result.empty() && result.back() == ' ') result.pop_back();
    return result;
  }
  std::u32string fixed = decode_utf8(text);
  for (int round = 0; round < 16; ++round) {
    std::u32string next = detail::fix_text_once(fixed);
    bool const stable = next == fixed;
    fixed = std::move(next);
    if (stable) break;
  }
  std::string const unescaped = unescape_html(unescape_html(encode_utf8(fixed)));
  return encode_utf8(to_lower(detail::collapse_white_space(decode_utf8(unescaped))));
}

}  // namespace kovos
