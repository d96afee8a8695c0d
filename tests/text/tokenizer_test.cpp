// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kovos/text/benchmark_classes.hpp"
#include "kovos/text/clean.hpp"
#include "kovos/text/prompt_template.hpp"
#include "kovos/text/tokenizer.hpp"
#include "kovos/text/vocabulary.hpp"
#include "kovos/text/word_list.hpp"

namespace {

using namespace kovos;
using Merges = std::vector<std::pair<std::string, std::string>>;

/// A vocabulary of our own: enough to see merging at work.
Tokenizer small() {
  return Tokenizer(Vocabulary(Merges{{"c", "a"}, {"ca", "t</w>"}, {"h", "e"}, {"a", "a"}, {"aa", "aa"}}));
}

/// OpenAI's vocabulary is not ours to commit: $KOVOS_HOME, or the acceptance data.
std::optional<Tokenizer> public_tokenizer() {
  std::vector<std::filesystem::path> places;
  if (char const* home = std::getenv("KOVOS_HOME")) places.emplace_back(home);
  places.emplace_back(std::string(KOVOS_SHARED_DIR) + "/data");
  for (auto const& place : places)
    if (std::filesystem::exists(place / "bpe_simple_vocab_16e6.txt.gz"))
      return Tokenizer(Vocabulary::read(place / "bpe_simple_vocab_16e6.txt.gz"));
  MESSAGE("skipped: bpe_simple_vocab_16e6.txt.gz is neither in $KOVOS_HOME nor in the acceptance data");
  return std::nullopt;
}

std::span<std::byte const> as_bytes_of(std::string const& text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::filesystem::path fresh_folder() {
  static int number = 0;
  auto const path = std::filesystem::temp_directory_path() / ("kovos_text_" + std::to_string(getpid()) + "_" + std::to_string(number++));
  std::filesystem::create_directories(path);
  return path;
}

void write(std::filesystem::path const& path, std::string const& text) { std::ofstream(path, std::ios::binary) << text; }

}  // namespace

TEST_CASE("byte symbols come in the order of the printable alphabet, not of the bytes") {
  Vocabulary const v(Merges{});
  CHECK(v.size() == 514);
  CHECK(v.symbol(0) == "!");
  CHECK(v.symbol(220) == "\u0120");
  CHECK(v.symbol(255) == "\u0143");
  CHECK(v.symbol(256) == "!</w>");
  CHECK(v.start_of_text() == 512);
  CHECK(v.end_of_text() == 513);
  std::set<std::string> all;
  for (std::size_t i = 0; i < 512; ++i) all.insert(v.symbol(i));
  CHECK(all.size() == 512);
}

TEST_CASE("merging takes the lowest rank first and all its places") {
  auto const t = small();
  std::int32_t const a = 'a' - 33;
  CHECK(t.encode("cat") == std::vector<std::int32_t>{513});
  CHECK(t.encode("ca") == std::vector<std::int32_t>{'c' - 33, 256 + a});
  CHECK(t.encode("aaaaa") == std::vector<std::int32_t>{516, 256 + a});
  CHECK(t.encode_prompt("cat") == std::vector<std::int32_t>{517, 513, 518});
  CHECK(t.decode(t.encode("the cat!")) == "the cat !");
}

TEST_CASE("prompts longer than the context are refused by name, never cut") {
  auto const t = small();
  std::string long_name;
  for (int i = 0; i < 76; ++i) long_name += "1";
  CHECK_THROWS_WITH_AS((void)t.encode_prompt(long_name), doctest::Contains("is 78 tokens long with start and end, the model takes at most 77"), TextError);
  CHECK(t.encode_prompt(long_name.substr(1)).size() == 77);
  std::string const both[] = {"cat", "1"};
  auto const rows = t.tokenize(both, 5);
  CHECK(rows == std::vector<std::int32_t>{517, 513, 518, 0, 0, 517, 256 + '1' - 33, 518, 0, 0});
}

TEST_CASE("invalid UTF-8 is refused with its place") {
  CHECK_THROWS_WITH_AS((void)small().encode("ab\xff"), doctest::Contains("not UTF-8 at byte 2"), TextError);
  CHECK_THROWS_WITH_AS((void)class_list({"ok", "\xc3("}), doctest::Contains("class 2 is not UTF-8"), TextError);
}

TEST_CASE("every recorded string is cleaned and cut as the authors do") {
  std::ifstream file(std::string(KOVOS_TEST_DATA) + "/text/strings.json");
  auto const rows = nlohmann::json::parse(file);
  REQUIRE(rows.size() == 236);
  auto const tokenizer = public_tokenizer();
  for (auto const& row : rows) {
    auto const text = row["text"].get<std::string>();
    CAPTURE(text);
    CHECK(clean_text(text) == row["cleaned"].get<std::string>());
    if (!tokenizer) continue;
    CHECK(tokenizer->encode(text) == row["ids"].get<std::vector<std::int32_t>>());
    if (row["fits_77"].get<bool>()) CHECK_NOTHROW((void)tokenizer->encode_prompt(text));
    else CHECK_THROWS_AS((void)tokenizer->encode_prompt(text), TextError);
  }
}

TEST_CASE("published test vectors of the public vocabulary") {
  auto const t = public_tokenizer();
  if (!t) return;
  using Ids = std::vector<std::int32_t>;
  CHECK(t->vocabulary().size() == 49408);
  CHECK(t->vocabulary().symbol(49405) == "jekyll</w>");
  CHECK(t->encode_prompt("A photo of a cat in the scene") == Ids{49406, 320, 1125, 539, 320, 2368, 530, 518, 3562, 49407});
  CHECK(t->encode("it's") == Ids{585, 568});
  CHECK(t->encode("I'LL we're") == Ids{328, 1342, 649, 982});
  CHECK(t->encode("2023") == Ids{273, 271, 273, 274});
  CHECK(t->encode("A\n'll 11p223RF\u2606ho!!to?'d'd''d of a cat to-$''d.") ==
        Ids{320, 1342, 272, 272, 335, 273, 273, 274, 16368, 13439, 2971, 748, 531, 13610, 323, 1896, 8445, 323, 539, 320, 2368, 531, 12, 3, 8445, 323, 269});
  CHECK(t->encode("<|startoftext|> x <|endoftext|>") == Ids{49406, 343, 49407});
  CHECK(t->encode("&lt;b&gt; &amp;amp; c") == Ids{283, 321, 285, 261, 322});
  CHECK(t->encode("AT&T") == Ids{536, 261, 339});
  CHECK(t->encode("&copy 2020") == Ids{5811, 273, 271, 273, 271});
  CHECK(t->encode("cafe\u0301") == Ids{15304});
  CHECK(t->encode("don\u2019t") == Ids{847, 713});
  CHECK(t->encode("\u03a3\u0391\u03a3") == Ids{139, 225, 138, 109, 139, 480});
}

TEST_CASE("the benchmarks' prompts have the recorded ids") {
  // CRC-32 of int32 rows padded with 0 to 77, "A photo of a {} in the scene", first synonym only.
  struct Expected { char const* list; std::size_t classes; unsigned long crc; };
  Expected const all[] = {{"ade150", 150, 1386252404}, {"ade847", 847, 2971027883}, {"coco171", 171, 175111954}, {"pc459", 459, 3997413375},
                          {"pc59", 59, 3100803330},    {"voc20", 20, 26911641},     {"voc20b", 59, 172342909}};
  auto const t = public_tokenizer();
  for (auto const& [list, classes, crc] : all) {
    CAPTURE(list);
    auto const entries = parse_classes(list);
    REQUIRE(entries.size() == classes);
    if (!t) continue;
    std::vector<std::string> prompts;
    for (auto const& entry : entries) prompts.push_back(fill(prompt_templates("single")[0], entry.words[0]));
    auto const rows = t->tokenize(prompts);
    CHECK(crc32(0, reinterpret_cast<Bytef const*>(rows.data()), static_cast<uInt>(rows.size() * 4)) == crc);
  }
  CHECK(find_benchmark("voc20b")->background_from == 20);
  CHECK(find_benchmark("nothing") == nullptr);
}

TEST_CASE("template sets") {
  CHECK(prompt_templates("imagenet").size() == 80);
  CHECK(prompt_templates("imagenet_select").size() == 8);
  CHECK(prompt_templates("vild").size() == 63);
  CHECK(prompt_templates("fc_clip").size() == 14);
  // The SHA-256 of these lists was checked when they were written down; the CRC keeps them so.
  auto const crc = [](char const* name) {
    std::string joined;
    for (auto const& item : prompt_templates(name)) joined += (joined.empty() ? "" : "\n") + item;
    return crc32(0, reinterpret_cast<Bytef const*>(joined.data()), static_cast<uInt>(joined.size()));
  };
  CHECK(crc("imagenet") == 3066435271u);
  CHECK(crc("imagenet_select") == 3880905480u);
  CHECK(crc("vild") == 2645482014u);
  CHECK(crc("fc_clip") == 4063762887u);
  CHECK(fill("A photo of a {} in the scene", "cat") == "A photo of a cat in the scene");
  CHECK(fill("There is {article} {category} in the scene.", "Apple_tree/bush") == "There is an apple tree or bush in the scene.");
  CHECK_THROWS_WITH_AS((void)fill("nothing here", "cat"), doctest::Contains("has no {}"), ConfigError);
  CHECK_THROWS_WITH_AS((void)prompt_templates("other"), doctest::Contains("choose one of single"), ConfigError);
}

TEST_CASE("vocabularies are recognised by content") {
  std::string const lines = "#version: 0.2\nc a\nca t</w>\n";
  auto const text = Vocabulary::parse(as_bytes_of(lines), "merges.txt");
  CHECK(text.merges() == 2);
  CHECK(Vocabulary::parse(as_bytes_of("\"bpe#version: 0.2\r\nc a\r\nca t</w>"), "crlf").merges() == 2);
  CHECK(Vocabulary::parse(as_bytes_of(R"({"model": {"merges": ["c a", ["ca", "t</w>"]]}})"), "tokenizer.json").merges() == 2);
  auto const folder = fresh_folder();
  gzFile gz = gzopen((folder / "v.gz").c_str(), "wb");
  gzwrite(gz, lines.data(), static_cast<unsigned>(lines.size()));
  gzclose(gz);
  CHECK(Vocabulary::read(folder / "v.gz").merges() == 2);
  auto const throws = [](std::string const& content, char const* sentence) {
    CHECK_THROWS_WITH_AS((void)Vocabulary::parse(as_bytes_of(content), "v"), doctest::Contains(sentence), TextError);
  };
  throws("", "the vocabulary is empty");
  throws("c a\nnonsense\n", "line 2 is not a merge of two symbols");
  throws("c a\nxy z\n", "joins a symbol that no earlier merge made");
  throws("c a\nc a\n", "appears twice");
  throws("{\"model\": 3}", "no model.merges");
  throws("{\"model\"", "the JSON is damaged");
  throws("\x1f\x8b\x08garbage", "truncated or damaged");
  throws("c \xff\n", "not UTF-8 at byte 2");
  std::filesystem::remove_all(folder);
}

TEST_CASE("the vocabulary is looked for beside the weights and in KOVOS_HOME") {
  auto const folder = fresh_folder();
  auto const home = fresh_folder();
  char const* const before = std::getenv("KOVOS_HOME");
  std::string const kept = before ? before : "";
  setenv("KOVOS_HOME", home.c_str(), 1);
  CHECK_THROWS_WITH_AS((void)find_vocabulary(folder / "model.pth"), doctest::Contains("CLIP's vocabulary was not found in"), TextError);
  write(home / "merges.txt", "#version: 0.2\nc a\n");
  CHECK(find_vocabulary(folder / "model.pth").merges() == 1);
  write(folder / "merges.txt", "#version: 0.2\nc a\nca t</w>\n");
  CHECK(find_vocabulary(folder / "model.pth").merges() == 2);
  write(folder / "other.txt", "");
  CHECK_THROWS_AS((void)find_vocabulary(folder / "model.pth", folder / "other.txt"), TextError);
  CHECK_THROWS_AS((void)find_vocabulary(folder / "model.pth", folder / "missing.txt"), Error);
  if (before) setenv("KOVOS_HOME", kept.c_str(), 1);
  else unsetenv("KOVOS_HOME");
  std::filesystem::remove_all(folder);
  std::filesystem::remove_all(home);
}

TEST_CASE("lists of classes") {
  auto const names = [](ClassList const& list) {
    std::vector<std::string> result;
    for (auto const& entry : list) result.push_back(entry.name);
    return result;
  };
  CHECK(names(parse_classes("cat, dog ,sky")) == std::vector<std::string>{"cat", "dog", "sky"});
  auto const folder = fresh_folder();
  write(folder / "a.txt", "\xEF\xBB\xBF# things\r\ncat = cat, kitten\r\n\r\nsky\r\n");
  auto const list = parse_classes((folder / "a.txt").string());
  CHECK(names(list) == std::vector<std::string>{"cat", "sky"});
  CHECK(list[0].words == std::vector<std::string>{"cat", "kitten"});
  write(folder / "b.json", R"(["wall", "building, edifice", "building, house"])");
  auto const json = parse_classes((folder / "b.json").string());
  CHECK(names(json) == std::vector<std::string>{"wall", "building", "building"});
  CHECK(json[1].words == std::vector<std::string>{"building"});
  auto const throws = [](std::string const& argument, char const* sentence) {
    CHECK_THROWS_WITH_AS((void)parse_classes(argument), doctest::Contains(sentence), TextError);
  };
  throws("cat,,dog", "class 2 is empty");
  throws("", "class 1 is empty");
  throws("cat,Cat", "'Cat' is there twice (class 1 and class 2)");
  throws("missing.txt", "does not exist");
  write(folder / "c.txt", "# nothing\n");
  throws((folder / "c.txt").string(), "there are no classes");
  write(folder / "d.txt", "cat\n\ncat\n");
  throws((folder / "d.txt").string(), "(line 1 and line 3)");
  write(folder / "e.json", "[1]");
  throws((folder / "e.json").string(), "entry 1 is not a string");
  write(folder / "f.txt", "caf\xe9\n");
  throws((folder / "f.txt").string(), "not UTF-8 at byte 3");
  write(folder / "g.json", "[\"cat\"");
  throws((folder / "g.json").string(), "expected a JSON array");
  CHECK_THROWS_WITH_AS((void)class_list(std::vector<std::string>{}), doctest::Contains("there are no classes"), TextError);
  std::vector<std::string> many;
  for (int i = 0; i < 5000; ++i) many.push_back("word " + std::to_string(i));
  CHECK(class_list(many).size() == 5000);
  std::filesystem::remove_all(folder);
}

TEST_CASE("HTML references") {
  CHECK(unescape_html("&notit;") == "\u00acit;");
  CHECK(unescape_html("&#128;") == "\u20ac");
  CHECK(unescape_html("&#xD800;&#0;") == "\ufffd\ufffd");
  CHECK(unescape_html("&#; & &&") == "&#; & &&");
  CHECK(unescape_html("&amp", true) == "&amp");
}
