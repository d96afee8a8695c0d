// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/unicode.hpp"

#include <doctest/doctest.h>

#include "text/support.hpp"

using namespace kovos;

TEST_CASE("the first byte that is not UTF-8 is found") {
  CHECK_FALSE(find_invalid_utf8(""));
  CHECK_FALSE(find_invalid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  CHECK_FALSE(find_invalid_utf8(std::string_view("\0", 1)));
  CHECK(find_invalid_utf8("ab\xFF") == 2);
  CHECK(find_invalid_utf8("\x80") == 0);
  CHECK(find_invalid_utf8("\xC0\x80") == 0);          // overlong
  CHECK(find_invalid_utf8("\xE0\x80\x80") == 0);      // overlong
  CHECK(find_invalid_utf8("a\xED\xA0\x80") == 1);     // surrogate
  CHECK(find_invalid_utf8("\xF4\x90\x80\x80") == 0);  // beyond Unicode
  CHECK(find_invalid_utf8("a\xE2\x82") == 1);         // cut
}

TEST_CASE("UTF-8 decodes to code points and back") {
  std::string const text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  CHECK(decode_utf8(text) == U"aé€\U0001F600");
  CHECK(encode_utf8(decode_utf8(text)) == text);
  CHECK(encode_utf8(std::u32string(1, 0xD800)) == "\xEF\xBF\xBD");
  CHECK(encode_utf8(std::u32string(1, 0x110000)) == "\xEF\xBF\xBD");
  auto const message = test::message_of<TextError>([] { decode_utf8("ab\xFF"); });
  CHECK(test::contains(message, "'ab\\xff' is not UTF-8 at byte 2"));
}

TEST_CASE("normalisation composes, and with compatibility replaces") {
  CHECK(normalize(U"e\u0301") == U"\u00E9");
  CHECK(normalize(U"\u1112\u1161\u11AB") == U"\uD55C");
  CHECK(normalize(U"\uFB01") == U"\uFB01");
  CHECK(normalize(U"\uFB01", true) == U"fi");
  CHECK(normalize(U"") == U"");
}

TEST_CASE("classes of characters") {
  for (char32_t const p : {U'a', U'Z', U'é', U'\u4E2D', U'\u02B0', U'\u01C5'}) CHECK(is_letter(p));
  for (char32_t const p : {U'1', U'_', U'\u0301', U' ', U'\u2160'}) CHECK_FALSE(is_letter(p));
  for (char32_t const p : {U'7', U'\u00BD', U'\u2160', U'\u0665'}) CHECK(is_number(p));
  CHECK_FALSE(is_number(U'x'));
  int spaces = 0;
  for (char32_t p = 0; p < 0x110000; ++p) spaces += is_white_space(p) ? 1 : 0;
  CHECK(spaces == 25);
  CHECK_FALSE(is_white_space(0x200B));
  CHECK_FALSE(is_white_space(0x1C));
}

TEST_CASE("lower case is the full one") {
  CHECK(to_lower(U"AbC É \u212A") == U"abc é k");
  CHECK(to_lower(U"\u0130") == U"i\u0307");
  CHECK(to_lower(U"\u1E9E") == U"ß");
  SUBCASE("a sigma at the end of a word") {
    CHECK(to_lower(U"ΣΑΣ") == U"σας");
    CHECK(to_lower(U"Σ") == U"σ");
    CHECK(to_lower(U"ΑΣ.") == U"ας.");
    CHECK(to_lower(U"ΑΣ'Α") == U"ασ'α");
    CHECK(to_lower(U"Α Σ") == U"α σ");
  }
  CHECK(to_upper(U"aéß") == U"AÉSS");
}
