// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/tokenizer.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "kovos/text/prompt_template.hpp"
#include "kovos/text/word_list.hpp"
#include "text/sha256.hpp"
#include "text/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using Ids = std::vector<std::int32_t>;

namespace {

Tokenizer const& small() {
  static Tokenizer const tokenizer{Vocabulary(test::small_merges)};
  return tokenizer;
}

Ids numbers(std::string const& text) {
  std::istringstream stream(text);
  Ids ids;
  for (std::int32_t id; stream >> id;) ids.push_back(id);
  return ids;
}

/// Byte-pair encoding by its definition: look for the best pair, merge it everywhere, again.
Ids naive(Vocabulary const& v, std::string_view word) {
  Ids ids;
  for (char const c : word) ids.push_back(detail::byte_symbols[static_cast<std::uint8_t>(c)]);
  ids.back() += 256;
  for (;;) {
    std::int32_t best = v.end();
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) best = std::min(best, v.merged(ids[i], ids[i + 1]).value_or(best));
    if (best == v.end()) return ids;
    Ids next;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i + 1 < ids.size() && v.merged(ids[i], ids[i + 1]) == best) {
        next.push_back(best);
        ++i;
      } else {
        next.push_back(ids[i]);
      }
    }
    ids = next;
  }
}

}  // namespace

TEST_CASE("a vocabulary of our own tokenizes") {
  auto const letter = [](char c, bool last) { return c - 33 + (last ? 256 : 0); };
  CHECK(small().encode("") == Ids{});
  CHECK(small().encode(" \t\n ") == Ids{});
  CHECK(small().encode("the cat") == Ids{515, 513});
  CHECK(small().encode("THE\nCAT ") == Ids{515, 513});
  CHECK(small().encode("cats") == Ids{512, letter('t', false), letter('s', true)});
  CHECK(small().encode("a") == Ids{letter('a', true)});
  CHECK(small().encode("an") == Ids{letter('a', false), letter('n', true)});
  CHECK(small().encode("!!!") == Ids{518, letter('!', true)});
  CHECK(small().encode("caf\xC3\xA9") == Ids{512, letter('f', false), 519});
  CHECK(small().encode("12") == Ids{letter('1', true), letter('2', true)});
  CHECK(small().encode("<|startoftext|>cat<|ENDOFTEXT|>") == Ids{520, 513, 521});
  CHECK(small().encode(std::string("ca\0t", 4)) == Ids{513});
}

TEST_CASE("pieces: contractions only where they begin, digits alone, the rest together") {
  auto const pieces = [](std::u32string_view text) {
    std::vector<std::string> result;
    for (std::size_t i = 0; i < text.size();) {
      if (detail::between_pieces(text[i])) {
        ++i;
        continue;
      }
      std::size_t const end = detail::end_of_piece(text, i);
      result.push_back(encode_utf8(text.substr(i, end - i)));
      i = end;
    }
    return result;
  };
  using Pieces = std::vector<std::string>;
  CHECK(pieces(U"it's we'll 'saved") == Pieces{"it", "'s", "we", "'ll", "'s", "aved"});
  CHECK(pieces(U"?'d ''s o'clock") == Pieces{"?'", "d", "''", "s", "o", "'", "clock"});
  CHECK(pieces(U"'\u017F") == Pieces{"'\u017F"});
  CHECK(pieces(U"a1b22--_c") == Pieces{"a", "1", "b", "2", "2", "--_", "c"});
  CHECK(pieces(U"x\u0301y") == Pieces{"x", "\u0301", "y"});
  CHECK(pieces(U"a\u0345b!\u0345?") == Pieces{"a", "b", "!", "?"});
  CHECK(pieces(U"½²Ⅷ") == Pieces{"½", "²", "Ⅷ"});
  CHECK(pieces(U"!<|endoftext|>") == Pieces{"!<|", "endoftext", "|>"});
  CHECK(pieces(U"a<|endoftext|>!") == Pieces{"a", "<|endoftext|>", "!"});
}

TEST_CASE("byte-pair encoding follows its definition") {
  Vocabulary const v("a a\naa a\nb a\naa aa\na b\nb b</w>\naa b\nab ba\naaaa a</w>\n");
  Tokenizer const tokenizer(v);
  std::uint32_t random = 7;
  for (int round = 0; round < 300; ++round) {
    std::string word;
    for (int i = 0; i <= round % 23; ++i) {
      random = random * 1664525u + 1013904223u;
      word += random >> 30 == 0 ? 'b' : 'a';
    }
    CHECK_MESSAGE(tokenizer.encode(word) == naive(v, word), word);
  }
  // A word of a megabyte takes a moment, not hours.
  auto const ids = tokenizer.encode(std::string(1u << 20, 'a'));
  CHECK(ids.size() == (1u << 18) + 1);  // the last four do not end a word together
}

TEST_CASE("prompts: start, end, padding, the limit") {
  CHECK(small().encode_prompt("the cat") == Ids{520, 515, 513, 521});
  CHECK(small().encode_prompt("") == Ids{520, 521});
  CHECK(small().encode_prompt("the cat", 4).size() == 4);
  auto const message = message_of<TextError>([] { small().encode_prompt("the cat", 3); });
  CHECK(contains(message, "the prompt 'the cat' has 4 tokens with start and end, but the model reads at most 3"));
  std::string seventy_five, one_more;
  for (int i = 0; i < 75; ++i) seventy_five += "cat ";
  one_more = seventy_five + "cat";
  CHECK(small().encode_prompt(seventy_five).size() == 77);
  CHECK(contains(message_of<TextError>([&] { small().encode_prompt(one_more); }), "has 78 tokens"));

  std::vector<std::string> const texts = {"cat", "the cat"};
  CHECK(small().tokenize(texts, 5) == Ids{520, 513, 521, 0, 0, 520, 515, 513, 521, 0});
  CHECK(small().tokenize({}).empty());
  CHECK(contains(message_of<TextError>([&] { small().tokenize(texts, 3); }), "'the cat'"));
}

TEST_CASE("words that are not UTF-8 are refused") {
  CHECK(contains(message_of<TextError>([] { small().encode("sky \xC3("); }), "is not UTF-8 at byte 4"));
  CHECK(contains(message_of<TextError>([] { small().encode_prompt("\xFF"); }), "is not UTF-8 at byte 0"));
}

TEST_CASE("tokens decode for people") {
  CHECK(small().decode(small().encode("The CAT's café 12 !!!")) == "the cat 's café 1 2 !!!");
  CHECK(small().decode(small().tokenize(std::vector<std::string>{"the cat"}, 9)) == "the cat");
  CHECK(small().decode(small().encode("日本 🙂")) == "日本 🙂");
  CHECK(small().decode(Ids{detail::byte_symbols[0xC3]}) == "\uFFFD");
  CHECK(contains(message_of<TextError>([] { small().decode(Ids{522}); }), "token 522"));
}

TEST_CASE("a tokenizer serves several threads") {
  auto const expected = small().encode("the cat sat on the café!!!");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (auto& count : wrong) {
    threads.emplace_back([&] {
      Tokenizer const copy = small();
      for (int i = 0; i < 500; ++i) count += copy.encode("the cat sat on the café!!!") != expected;
    });
  }
  for (auto& thread : threads) thread.join();
  for (int const count : wrong) CHECK(count == 0);
}

TEST_CASE("the recorded strings: cleaning") {
  auto const rows = nlohmann::json::parse(std::ifstream(KOVOS_TEST_DATA "/text/strings.json"));
  REQUIRE(rows.size() == 236);
  for (auto const& row : rows) {
    auto const text = row[0].get<std::string>();
    CHECK_MESSAGE(clean_text(text) == row[1].get<std::string>(), text);
  }
}

TEST_CASE("the recorded strings: tokens of the public vocabulary and of its first 510 merges") {
  auto const file = test::public_vocabulary_file();
  if (!file) return;
  Tokenizer const full(Vocabulary::load(*file));
  std::string const text = full.vocabulary().merges_text();
  std::size_t end = 0;
  for (int line = 0; line < 511; ++line) end = text.find('\n', end) + 1;
  Tokenizer const truncated{Vocabulary(text.substr(0, end - 1))};
  REQUIRE(truncated.vocabulary().start() == 1022);
  auto const rows = nlohmann::json::parse(std::ifstream(KOVOS_TEST_DATA "/text/strings.json"));
  for (auto const& row : rows) {
    auto const string = row[0].get<std::string>();
    auto const ids = row[2].get<Ids>();
    CHECK_MESSAGE(full.encode(string) == ids, string);
    CHECK_MESSAGE(truncated.encode(string) == row[3].get<Ids>(), string);
    if (row[4].get<bool>()) {
      CHECK_MESSAGE(full.encode_prompt(string).size() == ids.size() + 2, string);
    } else {
      CHECK_THROWS_AS(full.encode_prompt(string), TextError);
    }
  }
}

TEST_CASE("published vectors of the public vocabulary") {
  auto const file = test::public_vocabulary_file();
  if (!file) return;
  Tokenizer const tokenizer(Vocabulary::load(*file));
  struct Vector {
    char const* text;
    char const* ids;
  };
  for (auto const& [text, ids] : std::initializer_list<Vector>{
           {"", ""},
           {"a photo of a cat", "320 1125 539 320 2368"},
           {"a photo of a dog", "320 1125 539 320 1929"},
           {"a diagram", "320 22697"},
           {"A pHotO  of a   CaT", "320 1125 539 320 2368"},
           {"Hello, world!", "3306 267 1002 256"},
           {"Hello World 123", "3306 1002 272 273 274"},
           {"it's", "585 568"},
           {"don't", "847 713"},
           {"I'LL we're", "328 1342 649 982"},
           {"2023", "273 271 273 274"},
           {"3.14", "274 269 272 275"},
           {"10%", "272 271 260"},
           {"!!!", "995"},
           {"...", "678"},
           {"-", "268"},
           {"_", "318"},
           {"a--b", "320 2432 321"},
           {"a_b-c/d", "320 318 321 268 322 270 323"},
           {"traffic light", "3399 1395"},
           {"potted plant", "48581 3912"},
           {"tv/monitor", "1583 270 10198"},
           {"dining-table", "8658 268 2175"},
           {"wall-other-merged", "2569 268 1010 268 46492"},
           {"building-other", "2307 268 1010"},
           {"a photo of a {}.", "320 1125 539 320 90 92 269"},
           {"A photo of a wall in the scene", "320 1125 539 320 2569 530 518 3562"},
           {"A photo of a aeroplane in the scene", "320 1125 539 320 27735 3980 530 518 3562"},
           {"A photo of a diningtable in the scene", "320 1125 539 320 1462 653 2175 530 518 3562"},
           {"A photo of a pottedplant in the scene", "320 1125 539 320 3547 4841 3912 530 518 3562"},
           {"A photo of a tvmonitor in the scene", "320 1125 539 320 3197 10198 530 518 3562"},
           {"A photo of a wall-concrete in the scene", "320 1125 539 320 2569 268 9637 530 518 3562"},
           {"a bad photo of a dog.", "320 2103 1125 539 320 1929 269"},
           {"itap of a cat.", "529 2728 539 320 2368 269"},
           {"robots (auvs/rovs/instruments)", "13473 263 627 1547 270 532 1547 270 14793 264"},
           {"background (waterbody)", "5994 263 2505 1774 264"},
           {"Black-footed Albatross", "1449 268 38040 42797 2158"},
           {"minibike, motorbike", "1810 3701 267 33341"},
           {"aaaaaaaaaaaaaaaaaaaaaaaa", "23126 23126 6727 19336"},
           {"A\n'll 11p223RF☆ho!!to?'d'd''d of a cat to-$''d.",
            "320 1342 272 272 335 273 273 274 16368 13439 2971 748 531 13610 323 1896 8445 323 539 320 2368 531 12 3 "
            "8445 323 269"},
           {"<|startoftext|> x <|endoftext|>", "49406 343 49407"},
           {"&lt;b&gt; &amp;amp; c", "283 321 285 261 322"},
           {"AT&T", "536 261 339"},
           {"&#65;", "320"},
           {"&copy 2020", "5811 273 271 273 271"},
           {"café", "15304"},
           {"cafe\u0301", "15304"},
           {"é", "4166"},
           {"naïve", "1097 35689 563"},
           {"ß", "127 509"},
           {"à", "21259"},
           {"½ ²", "33613 41175"},
           {"Ⅷ", "158 227 371"},
           {"٥", "149 354"},
           {"x\u0301", "343 136 479"},
           {"İstanbul", "328 16384 11231"},
           {"ΣΑΣ", "139 225 138 109 139 480"},
           {"日本語", "39121 44353 34002 508"},
           {"🙂", "14860"},
           {"—", "2005"},
           {"☆", "13439"},
           {"don’t", "847 713"},
           {"“quoted”", "257 27706 257"},
           {"ﬁne", "3797"},
           {"ＦＵＬＬ", "1476"},
           {"हिन्दी", "29446 26721 26090 19389 29552 25751"},
       }) {
    CHECK_MESSAGE(tokenizer.encode(text) == numbers(ids), text);
  }
  std::string hundred;
  for (int i = 0; i < 100; ++i) hundred += "word ";
  CHECK(tokenizer.encode(hundred) == Ids(100, 2653));
  CHECK(contains(message_of<TextError>([&] { tokenizer.encode_prompt(hundred); }),
                 "has 102 tokens with start and end, but the model reads at most 77"));
}

TEST_CASE("the benchmarks' prompts have the published check sums") {
  auto const file = test::public_vocabulary_file();
  if (!file) return;
  Tokenizer const tokenizer(Vocabulary::load(*file));
  struct Sum {
    char const* name;
    std::uint32_t crc;
    std::size_t longest;
    char const* sha;
  };
  for (auto const& [name, crc, longest, sha] : std::initializer_list<Sum>{
           {"voc20", 26911641, 12, "f117ac958d9436cd9705f97a6767c26d77005193023e5ddd4ee8052d2ce2c4a5"},
           {"voc20b", 172342909, 12, "8f554eacaae21569f68ffd7ef6bab6057c5f445c98a2a0ceeaa06e6264959ea4"},
           {"pc59", 3100803330, 12, "2bfc96fc0684b6fb753bf6a51fc5dc2c4482737a884a610251a82ffbb0e31b21"},
           {"pc459", 3997413375, 14, "a337ff86ea35ed6cdd424b80baf47a99c464c733cf2ce415d7067c5c35faec72"},
           {"ade150", 1386252404, 12, "b323f28159110cda26823ec4683dee7edd3e68128ba4d7b8436190b14eca1b2a"},
           {"ade847", 2971027883, 14, "c55def69f04a8526c79268adf6117cb29a76f5e85932259867ebbd6f8309841c"},
           {"coco171", 175111954, 12, "b8057d9c19169446bfa14b054b43b6df221c8d52925488a273e19252ba6a23c5"}}) {
    std::vector<std::string> prompts;
    std::size_t most = 0;
    for (auto const& entry : parse_classes(name)) {
      prompts.push_back(fill(prompt_templates("single")[0], entry.words.at(0)));
      most = std::max(most, tokenizer.encode_prompt(prompts.back()).size());
    }
    auto const rows = tokenizer.tokenize(prompts);
    std::string const bytes(reinterpret_cast<char const*>(rows.data()), rows.size() * sizeof(std::int32_t));
    CHECK_MESSAGE(test::sha256(bytes) == sha, name);
    CHECK_MESSAGE(::crc32(0, reinterpret_cast<Bytef const*>(bytes.data()), static_cast<uInt>(bytes.size())) == crc,
                  name);
    CHECK_MESSAGE(most == longest, name);
  }
}
