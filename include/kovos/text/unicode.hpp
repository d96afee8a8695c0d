// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utf8proc.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

namespace kovos {

/// Byte offset of the first place that is not UTF-8, if there is one.
inline std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    utf8proc_int32_t code = 0;
    auto const* const p = reinterpret_cast<utf8proc_uint8_t const*>(text.data() + i);
    auto const length = utf8proc_iterate(p, static_cast<utf8proc_ssize_t>(text.size() - i), &code);
    if (length <= 0) return i;
    i += static_cast<std::size_t>(length);
  }
  return std::nullopt;
}

/// Code points of a UTF-8 text. Throws TextError naming the byte where it is not UTF-8.
inline std::u32string decode_utf8(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) {
    utf8proc_int32_t code = 0;
    auto const* const p = reinterpret_cast<utf8proc_uint8_t const*>(text.data() + i);
    auto const length = utf8proc_iterate(p, static_cast<utf8proc_ssize_t>(text.size() - i), &code);
    if (length <= 0) {
      fail<TextError>("the text ", detail::in_quotes(text), " is not UTF-8 at byte ", i, "; save or type it as UTF-8");
    }
    points.push_back(static_cast<char32_t>(code));
    i += static_cast<std::size_t>(length);
  }
  return points;
}

/// UTF-8 of code points; surrogates and numbers beyond Unicode become U+FFFD.
inline std::string encode_utf8(std::u32string_view points) {
  std::string text;
  text.reserve(points.size());
  for (char32_t const point : points) {
    utf8proc_uint8_t bytes[4];
    auto const code = static_cast<utf8proc_int32_t>(point);
    auto length = utf8proc_codepoint_valid(code) ? utf8proc_encode_char(code, bytes) : 0;
    if (length <= 0) length = utf8proc_encode_char(0xFFFD, bytes);
    text.append(reinterpret_cast<char const*>(bytes), static_cast<std::size_t>(length));
  }
  return text;
}

/// Unicode normalisation form C, or KC with `compatibility`.
inline std::u32string normalize(std::u32string_view points, bool compatibility = false) {
  std::string const text = encode_utf8(points);
  utf8proc_uint8_t* result = nullptr;
  auto const options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | (compatibility ? UTF8PROC_COMPAT : 0));
  auto const length = utf8proc_map(reinterpret_cast<utf8proc_uint8_t const*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &result, options);
  if (length < 0) return std::u32string(points);
  std::string const normalized(reinterpret_cast<char const*>(result), static_cast<std::size_t>(length));
  std::free(result);
  return decode_utf8(normalized);
}

/// \p{L}.
inline bool is_letter(char32_t point) {
  auto const category = utf8proc_category(static_cast<utf8proc_int32_t>(point));
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

/// \p{N}.
inline bool is_number(char32_t point) {
  auto const category = utf8proc_category(static_cast<utf8proc_int32_t>(point));
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

/// Unicode White_Space.
inline bool is_white_space(char32_t p) {
  return (p >= 0x09 && p <= 0x0D) || p == 0x20 || p == 0x85 || p == 0xA0 || p == 0x1680 ||
         (p >= 0x2000 && p <= 0x200A) || p == 0x2028 || p == 0x2029 || p == 0x202F || p == 0x205F || p == 0x3000;
}

/// Upper-casing as Python's str.upper where one character becomes one, and of ß.
inline std::u32string to_upper(std::u32string_view points) {
  std::u32string upper;
  for (char32_t const p : points) {
    if (p == 0xDF) {
      upper += U"SS";
    } else {
      upper.push_back(static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(p))));
    }
  }
  return upper;
}

/// Full lower-casing: U+0130 becomes two code points, a sigma at the end of a word its final form.
inline std::u32string to_lower(std::u32string_view points) {
  auto const is_cased = [](char32_t p) {
    auto const category = utf8proc_category(static_cast<utf8proc_int32_t>(p));
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
  };
  auto const is_ignorable = [](char32_t p) {
    auto const category = utf8proc_category(static_cast<utf8proc_int32_t>(p));
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_LM || category == UTF8PROC_CATEGORY_SK || p == U'\'' || p == U'.' ||
           p == U':' || p == 0xB7 || p == 0x2019;
  };
  std::u32string lower;
  lower.reserve(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    char32_t const p = points[i];
    if (p == 0x130) {
      lower += U"i\u0307";
    } else if (p == 0x3A3) {
      std::size_t before = i;
      while (before > 0 && is_ignorable(points[before - 1])) --before;
      std::size_t after = i + 1;
      while (after < points.size() && is_ignorable(points[after])) ++after;
      bool const ends_word =
          before > 0 && is_cased(points[before - 1]) && !(after < points.size() && is_cased(points[after]));
      lower.push_back(ends_word ? 0x3C2 : 0x3C3);
    } else {
      lower.push_back(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(p))));
    }
  }
  return lower;
}

}  // namespace kovos
