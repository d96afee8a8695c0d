// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/clean.hpp"

#include <doctest/doctest.h>

#include <iterator>
#include <string>

#include "text/support.hpp"

using namespace kovos;

TEST_CASE("named references: sorted, complete, with and without semicolon") {
  CHECK(std::size(detail::html_entities) == 2231);
  CHECK(std::is_sorted(std::begin(detail::html_entities), std::end(detail::html_entities),
                       [](auto const& a, auto const& b) { return a.name < b.name; }));
  CHECK(unescape_html("&lt;b&gt; &amp;amp; &copy 2020") == "<b> &amp; © 2020");
  CHECK(unescape_html("&notit; &notin; &hearts; &nosuch; & &; &x") == "¬it; ∉ ♥ &nosuch; & &; &x");
  CHECK(unescape_html("&NotEqualTilde;") == "≂̸");  // two code points
  CHECK(unescape_html("&CounterClockwiseContourIntegral;") == "∳");
  CHECK(unescape_html("AT&T &amp") == "AT&T &");
}

TEST_CASE("numeric references follow HTML5") {
  CHECK(unescape_html("&#65;&#x42;&#X43;&#68") == "ABCD");
  CHECK(unescape_html("&#128;&#150;") == "€–");
  CHECK(unescape_html("&#129;") == "\xC2\x81");
  CHECK(unescape_html("&#0;&#xD800;&#x110000;&#99999999999999999999999;") == "\uFFFD\uFFFD\uFFFD\uFFFD");
  CHECK(unescape_html("a&#1;&#11;&#127;&#xFFFE;&#xFDD0;b") == "ab");
  CHECK(unescape_html("&#;&#x;&#") == "&#;&#x;&#");
  CHECK(unescape_html("&#13;") == "\r");
}

TEST_CASE("cleaning: white space and case") {
  CHECK(clean_text("") == "");
  CHECK(clean_text("  A pHotO  of a   CaT ") == "a photo of a cat");
  CHECK(clean_text("a\tb\r\nc\fd\re") == "a b c d e");
  CHECK(clean_text("\xE3\x80\x80wide\xC2\xA0 \xE2\x80\xA8line ") == "wide line");
  CHECK(clean_text("zero\u200Bwidth \uFFFD") == "zero\u200Bwidth \uFFFD");
  CHECK(clean_text("İ ΣΑΣ") == "i̇ σας");
}

TEST_CASE("cleaning: characters that disappear") {
  CHECK(clean_text("a\x0B"
                   "b") == "ab");
  CHECK(clean_text(std::string("n\0ul\x7F", 5)) == "nul");
  CHECK(clean_text("\uFEFF"
                   "bom") == "bom");
  CHECK(clean_text("\x1B[31mred\x1B[0m \x1B[;m \x1Bx \x1B[12") == "red x [12");
}

TEST_CASE("cleaning: ligatures, width, quotes, composition") {
  CHECK(clean_text("ﬁne ﬄ ĳ Ǆ ŉ ﬆ") == "fine ffl ij dž 'n st");
  CHECK(clean_text("ﬅ") == "ſt");
  CHECK(clean_text("ＦＵＬＬ，！ ｶﾞ") == "full,! ガ");
  CHECK(clean_text("don’t “quoted” ʼ") == "don't \"quoted\" '");
  CHECK(clean_text("cafe\u0301") == "café");
  CHECK(clean_text("\u0085x \u0093y\u0094") == "…x \"y\"");  // C1 controls are Windows-1252
}

TEST_CASE("cleaning: HTML references, also twice wrapped, and with '<' in the line") {
  CHECK(clean_text("&amp;amp;lt;tag&amp;gt;") == "<tag>");
  CHECK(clean_text("&EACUTE;&eacute; &AMP;") == "éé &");
  CHECK(clean_text("&COPY &copy 2020") == "© © 2020");
  // ftfy leaves references alone beside '<', so that two rounds remain.
  CHECK(clean_text("< &amp;amp;amp;") == "< &amp;");
  CHECK(clean_text("&amp;amp;amp; <") == "&amp; <");
  CHECK(clean_text("&amp;amp;amp;\n<") == "& <");
  CHECK(clean_text("<\n&amp;amp;amp;") == "< &amp;");
}

TEST_CASE("cleaning: mojibake") {
  CHECK(clean_text("cafÃ©") == "café");
  CHECK(clean_text("â€œmojibakeâ€\u009D") == "\"mojibake\"");
  CHECK(clean_text("ðŸ˜€ âœ” æ—¥æœ¬") == "😀 ✔ 日本");
  CHECK(clean_text("Ð¿Ñ€Ð¸Ð²ÐµÑ‚") == "привет");
  SUBCASE("ordinary text stays") {
    for (char const* text : {"são é» ñandú à… über «café»” ã", "«é»”", "ô, ü", "à² ", "ã™®"}) {
      CHECK(clean_text(text) == encode_utf8(to_lower(detail::collapse_white_space([&] {
              auto plain = decode_utf8(text);
              for (char32_t& p : plain) p = p == 0x201D ? U'"' : p;
              return plain;
            }()))));
    }
  }
}

TEST_CASE("the short way of printable ASCII gives what the long way gives") {
  std::string text;
  for (char c = 0x20; c < 0x7F; ++c) text += c == '&' ? ' ' : c;
  text = "  " + text + " Some  Words ";
  auto const slow = encode_utf8(to_lower(detail::collapse_white_space(detail::fix_text(decode_utf8(text)))));
  CHECK(clean_text(text) == slow);
}

TEST_CASE("text that is not UTF-8 is refused; deeply wrapped text ends") {
  CHECK(test::contains(test::message_of<TextError>([] { clean_text("sk\xFFy"); }), "not UTF-8 at byte 2"));
  std::string wrapped = "&";
  for (int i = 0; i < 20000; ++i) wrapped += "amp;";
  CHECK(clean_text(wrapped).starts_with("&amp;"));
}
