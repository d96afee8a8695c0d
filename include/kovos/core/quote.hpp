// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kovos::detail {

/// Whether every byte belongs to a well-formed UTF-8 sequence (no surrogates, no overlong forms, at most U+10FFFF).
inline bool is_utf8(std::string_view text) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size();) {
    unsigned const lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    std::size_t const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - i < length) return false;
    unsigned const second = byte(i + 1);
    unsigned const lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned const highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (second < lowest || second > highest) return false;
    for (std::size_t k = 2; k < length; ++k)
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    i += length;
  }
  return true;
}

/// A name out of a file, made safe for a message: in quotes, control characters escaped, long ones cut.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 120;
  constexpr std::string_view digits = "0123456789abcdef";
  bool const readable = is_utf8(text);
  std::string result = "'";
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto const c = static_cast<unsigned char>(text[i]);
    bool const continues = readable && (c & 0xc0) == 0x80;
    if (i >= longest && !continues) {
      result += "...";
      break;
    }
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && !readable)) {
      result += {'\\', 'x', digits[c >> 4], digits[c & 15]};
    } else {
      result += text[i];
    }
  }
  return result + "'";
}

}  // namespace kovos::detail
