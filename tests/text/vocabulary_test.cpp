// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/vocabulary.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "text/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;

namespace {

std::string packed(std::string_view text) {
  ::z_stream stream{};
  ::deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string result(::deflateBound(&stream, static_cast<uLong>(text.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  CHECK(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  result.resize(result.size() - stream.avail_out);
  ::deflateEnd(&stream);
  return result;
}

nlohmann::json tokenizer_json(Vocabulary const& vocabulary, bool pairs) {
  nlohmann::json model = {{"type", "BPE"}, {"end_of_word_suffix", "</w>"}, {"merges", nlohmann::json::array()}};
  for (std::int32_t id = 0; id < vocabulary.end() + 1; ++id) {
    model["vocab"][vocabulary.symbol(id)] = id;
    if (id < 512 || id >= vocabulary.start()) continue;
    auto const [left, right] = vocabulary.parts(id);
    auto const& a = vocabulary.symbol(left);
    auto const& b = vocabulary.symbol(right);
    model["merges"].push_back(pairs ? nlohmann::json{a, b} : nlohmann::json(a + " " + b));
  }
  return {{"version", "1.0"}, {"model", model}};
}

std::string refusal(std::string_view content) {
  return message_of<TextError>([&] { Vocabulary::parse(content, "file.txt"); });
}

/// Sets $KOVOS_HOME for a while.
class Home {
 public:
  explicit Home(std::string const& folder) {
    if (char const* old = std::getenv("KOVOS_HOME")) old_ = old;
    ::setenv("KOVOS_HOME", folder.c_str(), 1);
  }
  ~Home() {
    if (old_) {
      ::setenv("KOVOS_HOME", old_->c_str(), 1);
    } else {
      ::unsetenv("KOVOS_HOME");
    }
  }

 private:
  std::optional<std::string> old_;
};

}  // namespace

TEST_CASE("bytes are numbered printable ones first") {
  Vocabulary const v(test::small_merges);
  auto const closed_form = [](int b) {
    if (b >= 33 && b <= 126) return b - 33;
    if (b >= 161 && b <= 172) return b - 161 + 94;
    if (b >= 174) return b - 174 + 106;
    if (b <= 32) return 188 + b;
    return b == 173 ? 255 : 221 + b - 127;
  };
  for (int b = 0; b < 256; ++b) CHECK(detail::byte_symbols[static_cast<std::size_t>(b)] == closed_form(b));
  CHECK(v.symbol(0) == "!");
  CHECK(v.symbol(93) == "~");
  CHECK(v.symbol(94) == "¡");
  CHECK(v.symbol(188) == "Ā");
  CHECK(v.symbol(220) == "Ġ");
  CHECK(v.symbol(256) == "!</w>");
  CHECK(v.symbol(511) == "Ń</w>");
}

TEST_CASE("a vocabulary of our own: numbers, merges, text") {
  Vocabulary const v(test::small_merges);
  CHECK(v.merge_count() == 8);
  CHECK(v.size() == 522);
  CHECK(v.start() == 520);
  CHECK(v.end() == 521);
  CHECK(v.symbol(513) == "cat</w>");
  CHECK(v.symbol(521) == "<|endoftext|>");
  CHECK(v.parts(513) == std::pair<std::int32_t, std::int32_t>(512, 't' - 33 + 256));
  CHECK(v.merged(512, 't' - 33 + 256) == 513);
  CHECK_FALSE(v.merged(512, 't' - 33));
  CHECK(v.merges_text() == test::small_merges);
  CHECK(contains(message_of<TextError>([&] { v.symbol(522); }), "token 522 is not in the vocabulary of 522 symbols"));
  CHECK(contains(message_of<TextError>([&] { v.symbol(-1); }), "token -1 "));
  CHECK(contains(message_of<TextError>([&] { v.parts(511); }), "token 511 is not a merge"));
}

TEST_CASE("every form of file gives the same vocabulary") {
  Vocabulary const v(test::small_merges);
  std::string const text(test::small_merges);
  auto const same = [&](std::string const& content) { return Vocabulary::parse(content).merges_text() == text; };
  CHECK(same(text));
  CHECK(same(text.substr(0, text.size() - 1)));                      // no line break at the end
  CHECK(same(text.substr(text.find('\n') + 1)));                     // no header
  CHECK(same("\"bpe#version: 0.2" + text.substr(text.find('\n'))));  // OpenAI's header
  CHECK(same(text + "\n\n"));
  CHECK(same("\xEF\xBB\xBF" + text));
  std::string windows;
  for (char const c : text) windows += c == '\n' ? "\r\n" : std::string(1, c);
  CHECK(same(windows));
  CHECK(same(packed(text)));
  CHECK(same(tokenizer_json(v, false).dump()));
  CHECK(same(tokenizer_json(v, true).dump(2)));
  auto json = tokenizer_json(v, true);
  json["model"].erase("vocab");
  CHECK(same(json.dump()));
}

TEST_CASE("broken merges are refused with file and line") {
  CHECK(contains(refusal("#version: 0.2\na b\nab\n"), "'file.txt' line 3: expected two symbols"));
  CHECK(contains(refusal("#version: 0.2\na b c\n"), "line 2: expected two symbols"));
  CHECK(contains(refusal("a  b\n"), "line 1: expected two symbols"));
  CHECK(contains(refusal("a b\nxy z\n"), "line 2: the symbol 'xy' is neither a byte nor made by an earlier merge"));
  CHECK(contains(refusal("a b\n c\n"), "line 2: the symbol '' is neither"));
  CHECK(contains(refusal("a b\nb c\nab c\na bc\n"), "line 4: the symbol 'abc' is already in the vocabulary"));
  CHECK(contains(refusal("a b\na b\n"), "line 2: the symbol 'ab' is already"));
  CHECK(contains(refusal("a</w> b\n"), "line 1: 'a</w>' ends a word"));
  CHECK(contains(refusal("a b\n\nb c\n"), "line 3: a merge behind a blank line"));
  CHECK(contains(refusal("a b\nc \xFF\n"), "'file.txt' line 2: not UTF-8 at byte 6"));
  for (char const* nothing : {"", "#version: 0.2\n", "\n\n"}) CHECK(contains(refusal(nothing), "holds no merges"));
  std::string doubling = "a a\n", symbol = "aa";
  for (int i = 0; i < 12; ++i, symbol += symbol) doubling += symbol + " " + symbol + "\n";
  CHECK(contains(refusal(doubling), "makes a symbol of more than 1024 bytes"));
}

TEST_CASE("broken gzip files are refused") {
  std::string const good = packed(test::small_merges);
  CHECK(contains(refusal(good.substr(0, good.size() / 2)), "'file.txt' ends too early for a gzip file"));
  CHECK(contains(refusal(good.substr(0, 2)), "ends too early"));
  CHECK(contains(refusal(good + "x"), "has 1 bytes behind the end"));
  std::string damaged = good;
  damaged[good.size() - 6] = static_cast<char>(damaged[good.size() - 6] ^ 1);  // in the check sum
  CHECK(contains(refusal(damaged), "is damaged"));
  CHECK(contains(refusal(packed(std::string(17u << 20, 'a'))), "unpacks to more than 16777216 bytes"));
}

TEST_CASE("a tokenizer.json of something else is refused") {
  Vocabulary const v(test::small_merges);
  auto const good = tokenizer_json(v, false);
  auto const changed = [&](char const* pointer, nlohmann::json value) {
    auto json = good;
    json[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return refusal(json.dump());
  };
  CHECK(contains(refusal("{\"a\": 1,\n oops}"), "'file.txt' line 2: not JSON at byte"));
  CHECK(contains(refusal("{}"), "has no object \"model\""));
  CHECK(contains(changed("/model", 3), "has no object \"model\""));
  CHECK(contains(changed("/model/type", "WordPiece"), "model.type is '\"WordPiece\"', expected \"BPE\""));
  CHECK(contains(changed("/model/end_of_word_suffix", ""), "end_of_word_suffix"));
  CHECK(contains(changed("/model/merges", "a b"), "has no list model.merges"));
  CHECK(contains(changed("/model/merges", nlohmann::json::array()), "has no list model.merges"));
  CHECK(contains(changed("/model/merges/1", 7), "model.merges[1]: expected \"A B\""));
  CHECK(contains(changed("/model/merges/1", "xy z"), "model.merges[1]: the symbol 'xy' is neither"));
  CHECK(contains(changed("/model/merges/1", {"a", "b", "c"}), "model.merges[1]: expected"));
  CHECK(contains(changed("/model/vocab/cat<~1w>", 7), "model.vocab numbers 'cat</w>' '7', expected 513"));
  auto missing = good;
  missing["model"]["vocab"].erase("ca");
  CHECK(contains(refusal(missing.dump()), "model.vocab has no symbol 'ca'"));
  CHECK(contains(refusal("{\"model\": 1e999}"), "number that is too large"));
  CHECK(contains(refusal("{\"a\":" + std::string(100, '[')), "nested too deeply"));
}

TEST_CASE("the vocabulary is found: given, beside the weights, in $KOVOS_HOME") {
  test::TemporaryFolder const weights, home, other;
  std::string const text(test::small_merges);
  Home const environment(home.path().string());

  auto const message = message_of<TextError>([&] { find_vocabulary(weights.path() / "model.pth"); });
  CHECK(
      contains(message, "no CLIP vocabulary found in '" + weights.path().string() + "' and '" + home.path().string()));
  CHECK(contains(message, "bpe_simple_vocab_16e6.txt.gz"));
  CHECK(contains(message, "--vocabulary"));

  home.write("bpe_mine.txt", "a b\nab c\n");
  CHECK(find_vocabulary(weights.path() / "model.pth").merge_count() == 2);
  home.write("tokenizer.json", tokenizer_json(Vocabulary("a b\nab c\nabc d\n"), true).dump());
  CHECK(find_vocabulary(weights.path() / "model.pth").merge_count() == 3);
  weights.write("merges.txt", "a b\n");
  CHECK(find_vocabulary(weights.path() / "model.pth").merge_count() == 1);
  CHECK(find_vocabulary(weights.path()).merge_count() == 1);
  weights.write("bpe_simple_vocab_16e6.txt.gz", packed(text));
  CHECK(find_vocabulary(weights.path() / "model.pth").merge_count() == 8);
  auto const given = other.write("some.name", "a b\nab c\nabc d\nabcd e\n");
  CHECK(find_vocabulary(weights.path() / "model.pth", given).merge_count() == 4);
  CHECK(find_vocabulary(weights.path() / "model.pth", weights.path()).merge_count() == 8);

  CHECK(contains(message_of<TextError>([&] { find_vocabulary(weights.path(), other.path()); }),
                 "found in '" + other.path().string()));
  CHECK(contains(message_of<FileError>([&] { find_vocabulary(weights.path(), other.path() / "none"); }),
                 "does not exist"));
  auto const broken = weights.write("bpe_simple_vocab_16e6.txt.gz", "\x1F\x8B broken");
  CHECK(contains(message_of<TextError>([&] { find_vocabulary(weights.path()); }), broken.string()));
}

TEST_CASE("the public vocabulary") {
  auto const file = test::public_vocabulary_file();
  if (!file) return;
  auto const v = Vocabulary::load(*file);
  CHECK(v.size() == 49408);
  CHECK(v.start() == 49406);
  CHECK(v.end() == 49407);
  CHECK(v.symbol(512) == "in");
  CHECK(v.symbol(513) == "th");
  CHECK(v.symbol(49405) == "jekyll</w>");
  std::set<std::string> all;
  for (std::int32_t id = 0; id < 49408; ++id) all.insert(v.symbol(id));
  CHECK(all.size() == 49408);
  CHECK(Vocabulary(v.merges_text()).merges_text() == v.merges_text());
  CHECK(Vocabulary::parse(tokenizer_json(v, true).dump()).merges_text() == v.merges_text());
}
