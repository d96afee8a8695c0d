// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/bpe_trainer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "kovos/io/safetensors.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "text/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using Texts = std::vector<std::string>;

namespace {

std::string file(std::string const& name) {
  std::ifstream stream(KOVOS_TEST_DATA "/text/" + name, std::ios::binary);
  REQUIRE(stream);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Texts lines(std::string const& text) {
  Texts result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

std::string first_lines(std::string const& text, std::size_t count) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < count; ++i) at = text.find('\n', at) + 1;
  return text.substr(0, at);
}

std::string learn(Texts const& texts, std::size_t merges) { return learn_merges(texts, merges); }

}  // namespace

TEST_CASE("merges equal those of tests/reference/bpe_reference.py") {
  auto const corpus = lines(file("bpe_corpus.txt"));
  auto const expected = file("bpe_merges.txt");  // learned until nothing was left
  auto const count = static_cast<std::size_t>(std::count(expected.begin(), expected.end(), '\n')) - 1;
  CHECK(count == 232);
  CHECK(learn(corpus, 5000) == expected);
  for (std::size_t const merges : {std::size_t{1}, std::size_t{100}, count}) {
    CHECK(learn(corpus, merges) == first_lines(expected, merges + 1));
  }
  auto reversed = corpus;
  std::reverse(reversed.begin(), reversed.end());
  CHECK(learn(reversed, 5000) == expected);
}

TEST_CASE("ties, runs and the end of words by hand") {
  CHECK(learn({"ab cd"}, 9) == "#version: 0.2\na b</w>\nc d</w>\n");
  CHECK(learn({"cd cd ab"}, 1) == "#version: 0.2\nc d</w>\n");
  // aaaab: (a,a) occurs three times, then aa aa b</w>.
  CHECK(learn({"aaaab"}, 9) == "#version: 0.2\na a\naa aa\naaaa b</w>\n");
  CHECK(learn({"  AB\t\nab "}, 9) == "#version: 0.2\na b</w>\n");
}

TEST_CASE("what cannot be learned from") {
  auto const refusal = [](Texts const& texts, std::size_t merges) {
    return message_of<TextError>([&] { learn(texts, merges); });
  };
  CHECK(contains(refusal({}, 3), "the 0 texts hold no word of two bytes"));
  CHECK(contains(refusal({"a b 2023", "", "<|startoftext|> <|endoftext|>"}, 3), "the 3 texts hold no word"));
  CHECK(contains(refusal({"ab"}, 0), "cannot learn 0 merges: expected 1 to 48894"));
  CHECK(contains(refusal({"ab"}, 48895), "cannot learn 48895 merges"));
  CHECK(contains(refusal({"a\xFF"}, 1), "UTF-8"));
}

TEST_CASE("a symbol never gets longer than a vocabulary takes") {
  auto const merges = learn({std::string(4096, 'a'), std::string(3000, 'b') + "c"}, 200);
  Vocabulary const vocabulary(merges);
  std::size_t longest = 0;
  for (std::int32_t id = 0; id < vocabulary.start(); ++id) longest = std::max(longest, vocabulary.symbol(id).size());
  CHECK(longest > 512);
  CHECK(longest <= Vocabulary::longest_symbol);
}

TEST_CASE("a learned vocabulary encodes and decodes, also what it has not seen") {
  auto const corpus = lines(file("bpe_corpus.txt"));
  Vocabulary const vocabulary(learn(corpus, 100));
  CHECK(vocabulary.merge_count() == 100);
  CHECK(vocabulary.size() == 512 + 100 + 2);
  CHECK(vocabulary.start() == 612);
  CHECK(vocabulary.end() == 613);
  CHECK(vocabulary.merges_text() == learn(corpus, 100));
  Tokenizer const tokenizer(vocabulary);
  for (std::string const text : {"a photo of a blue circle", "zebra crossing", "日本の空", "über"}) {
    CHECK(tokenizer.decode(tokenizer.encode(text)) == text);
  }
  // Fully learned, every word of the corpus is one token.
  Tokenizer const full{Vocabulary(learn(corpus, 5000))};
  CHECK(full.encode("photography triangles 日本の海 façade").size() == 4);
  CHECK(full.encode_prompt("a photo of a photo").size() == 5 + 2);
}

TEST_CASE("a checkpoint carries its tokenizer") {
  test::TemporaryFolder const folder;
  auto const merges = learn(lines(file("bpe_corpus.txt")), 100);
  auto const path = folder.path() / "model.safetensors";
  auto const tensor = vocabulary_tensor(merges);
  CHECK(tensor.dtype == DType::u8);
  CHECK(tensor.shape == std::vector<std::size_t>{merges.size()});
  write_safetensors(path, {{std::string(embedded_merges_key), tensor}, {"w", make_tensor_bytes({1}, {2})}});
  auto const read = read_safetensors(path);
  CHECK(embedded_merges(read) == merges);
  CHECK(find_vocabulary(read, path).size() == 614);

  // A vocabulary that is named wins over the checkpoint's; without either, the folder is searched.
  auto const other = folder.write("other.txt", test::small_merges);
  CHECK(find_vocabulary(read, path, other).size() == 522);
  NamedTensors without = read;
  without.tensors.erase("tokenizer.merges");
  CHECK_FALSE(embedded_merges(without).has_value());
  CHECK(contains(message_of<TextError>([&] { find_vocabulary(without, path, folder.path()); }), "no CLIP vocabulary"));
  folder.write("merges.txt", test::small_merges);
  CHECK(find_vocabulary(without, path).size() == 522);
}

TEST_CASE("carried tokenizers that cannot be used") {
  CHECK(contains(message_of<TextError>([] { vocabulary_tensor("#version: 0.2\n"); }), "holds no merges"));
  CHECK(contains(message_of<TextError>([] { vocabulary_tensor("a b\nab\n"); }), "'tokenizer.merges' line 2"));
  NamedTensors file;
  file.source = "m.safetensors";
  file.tensors["tokenizer.merges"] = make_tensor_bytes({1}, {2});
  CHECK(contains(message_of<TextError>([&] { embedded_merges(file); }),
                 "'m.safetensors': 'tokenizer.merges' is F32 of rank 1, expected the bytes of a merges file"));
  auto matrix = vocabulary_tensor("a b\n");
  matrix.shape = {2, 2};
  file.tensors["tokenizer.merges"] = matrix;
  CHECK(contains(message_of<TextError>([&] { embedded_merges(file); }), "is U8 of rank 2"));
  std::string const damaged = "x\nb";
  file.tensors["tokenizer.merges"] = {DType::u8, {3}, std::as_bytes(std::span<char const>(damaged)), nullptr};
  CHECK(contains(message_of<TextError>([&] { find_vocabulary(file, "m.safetensors"); }),
                 "'m.safetensors: tokenizer.merges' line 1"));
}
