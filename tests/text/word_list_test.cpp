// SPDX-License-Identifier: Apache-2.0
#include "kovos/text/word_list.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "text/sha256.hpp"
#include "text/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;
using Words = std::vector<std::string>;

namespace {

Words names(ClassList const& list) {
  Words result;
  for (auto const& entry : list) result.push_back(entry.name);
  return result;
}

std::string refusal(std::string_view words) {
  return message_of<TextError>([&] { parse_classes(words); });
}

}  // namespace

TEST_CASE("words with commas between them") {
  auto const list = parse_classes(" sky,grass , traffic light,tv/monitor");
  CHECK(names(list) == Words{"sky", "grass", "traffic light", "tv/monitor"});
  CHECK(list[2].words == Words{"traffic light"});
  CHECK(names(parse_classes("cat")) == Words{"cat"});
  CHECK(names(parse_classes("café")) == Words{"café"});
  CHECK(names(class_list(Words{"a, b", " c "})) == Words{"a, b", "c"});
}

TEST_CASE("comma lists that cannot be used") {
  for (char const* nothing : {"", "  "}) CHECK(contains(refusal(nothing), "the list of classes names no class"));
  CHECK(contains(refusal("sky,,grass"), "the list of classes entry 2 is empty"));
  CHECK(contains(refusal("sky,"), "entry 2 is empty"));
  CHECK(contains(refusal(","), "entry 1 is empty"));
  CHECK(contains(refusal("sky,grass, SKY"), "entry 3: the class 'SKY' is already there at entry 1"));
  CHECK(contains(refusal("cafe\u0301,café"), "is already there at entry 1"));
  CHECK(contains(refusal("sky,gr\xFFss"), "entry 2: 'gr\\xffss' is not UTF-8 at byte 2"));
  CHECK(contains(refusal("sky,\x7F"), "entry 2 has no visible character"));
  CHECK(contains(message_of<TextError>([] { class_list(Words{}); }), "names no class"));
  std::string many;
  for (int i = 0; i < 65536; ++i) many += (i == 0 ? "c" : ",c") + std::to_string(i);
  CHECK(contains(refusal(many), "has more than 65535 classes"));
  many.resize(many.rfind(','));
  CHECK(parse_classes(many).size() == 65535);
}

TEST_CASE("text files: one class per line") {
  test::TemporaryFolder const folder;
  auto const read = [&](std::string_view content) {
    return parse_classes(folder.write("classes.txt", content).string());
  };
  auto const list =
      read("\xEF\xBB\xBF# pets\r\ncat\r\n\r\n  dog = dog, puppy ,hound\r\nc# code\n traffic light = signal");
  CHECK(names(list) == Words{"cat", "dog", "c# code", "traffic light"});
  CHECK(list[0].words == Words{"cat"});
  CHECK(list[1].words == Words{"dog", "puppy", "hound"});
  CHECK(list[3].words == Words{"signal"});

  auto const refused = [&](std::string_view content) { return message_of<TextError>([&] { read(content); }); };
  CHECK(contains(refused(""), "classes.txt' names no class"));
  CHECK(contains(refused("# only\n\n"), "names no class"));
  CHECK(contains(refused("cat\n\ndog\nCat\n"), "classes.txt' line 4: the class 'Cat' is already there at line 1"));
  CHECK(contains(refused("cat\ndog =\n"), "line 2 is empty"));
  CHECK(contains(refused("cat\n= dog\n"), "line 2 is empty"));
  CHECK(contains(refused("dog = puppy,,hound\n"), "line 1 is empty"));
  CHECK(contains(refused(", grass\n"), "line 1: the first synonym is empty"));
  CHECK(contains(refused("cat\ndo\xFFg\n"), "line 2: not UTF-8 at byte 6 of the file"));
}

TEST_CASE("JSON files: the authors' form") {
  test::TemporaryFolder const folder;
  auto const read = [&](std::string_view content) { return parse_classes(folder.write("c.json", content).string()); };
  auto const list =
      read(R"(["person, individual, someone", "bed ", "bag", "bag, handbag", "bag, purse", "caf\u00e9", "a,b"])");
  CHECK(names(list) == Words{"person", "bed", "bag", "bag", "bag", "café", "a"});
  CHECK(list[0].words == Words{"person"});
  CHECK(read("\xEF\xBB\xBF\n [\"a\"]").size() == 1);

  auto const refused = [&](std::string_view content) { return message_of<TextError>([&] { read(content); }); };
  CHECK(contains(refused("[]"), "c.json' names no class"));
  CHECK(contains(refused(R"({"a": "b"})"), "is not a JSON array"));
  CHECK(contains(refused("[\"a\",\n\"b\""), "c.json' line 2: not JSON at byte"));
  CHECK(contains(refused(R"(["a", 3])"), "entry 2: is not a string"));
  CHECK(contains(refused(R"(["a", ["b"]])"), "entry 2: is not a string"));
  CHECK(contains(refused("[" + std::string(100000, '[')), "is nested"));
  CHECK(contains(refused("[1e999]"), "number that is too large"));
  CHECK(contains(refused(R"(["a", ""])"), "entry 2 is empty"));
  CHECK(contains(refused(R"(["a", ", b"])"), "entry 2: the first synonym is empty"));
  CHECK(contains(refused(R"(["bag, purse", "x", "Bag,  purse"])"),
                 "entry 3: the class 'Bag,  purse' is already there at entry 1"));
}

TEST_CASE("one meaning of a name, as text and as JSON") {
  test::TemporaryFolder const folder;
  auto const text =
      folder.write("list.txt", "person, individual, someone\nc07 = dog, puppy\nsky,heaven\nbag\nbag, purse\n");
  auto const json = folder.write(
      "list.json", R"(["person, individual, someone", "c07 = dog, puppy", "sky,heaven", "bag", "bag, purse"])");
  for (auto const& file : {text, json}) {
    auto const list = read_classes(file);
    CHECK(names(list) == Words{"person", "c07", "sky", "bag", "bag"});
    std::vector<Words> words;
    for (auto const& entry : list) words.push_back(entry.words);
    CHECK(words == std::vector<Words>{{"person"}, {"dog", "puppy"}, {"sky"}, {"bag"}, {"bag"}});
  }
}

TEST_CASE("FC-CLIP's prompt files") {
  test::TemporaryFolder const folder;
  auto const read = [&](std::string_view content) { return read_classes(folder.write("prompts.txt", content)); };
  auto const list = read("0:invalid_class_id\n1:wall,walls, brick wall\n2:invalid_class_id\n3:car: old");
  CHECK(names(list) == Words{"wall", "car: old"});
  CHECK(list[0].words == Words{"wall", "walls", "brick wall"});
  // Two files count from 0 and mean it.
  CHECK(names(read("0:road\n1:sidewalk")) == Words{"road", "sidewalk"});
  CHECK(names(read("a: 1\nb\n")) == Words{"a: 1", "b"});
  auto const refused = [&](std::string_view content) { return message_of<TextError>([&] { read(content); }); };
  CHECK(contains(refused("1:wall\ncar"), "line 2: 'car' has no number, expected 'number:name,synonym'"));
  CHECK(contains(refused("0:invalid_class_id"), "names no class"));
  CHECK(contains(refused("1:wall,,brick"), "line 1 is empty"));
  // COCO's numbers have gaps; in another order than the labels' every class would be scored as another.
  CHECK(names(read("9:road\n10:sidewalk\n0200:car\n1000:bus")) == Words{"road", "sidewalk", "car", "bus"});
  CHECK(contains(refused("0:road\n2:car\n1:sidewalk"),
                 "line 3: the number 1 is not larger than that of the line before"));
  CHECK(contains(refused("0:road\n\n0:car"), "line 3: the number 0 is not larger"));
  CHECK(contains(refused("10:road\n9:car"), "line 2: the number 9 is not larger"));
}

TEST_CASE("what is a file and what is a word") {
  test::TemporaryFolder const folder;
  CHECK(
      contains(message_of<FileError>([&] { parse_classes((folder.path() / "none.txt").string()); }), "does not exist"));
  CHECK(contains(message_of<FileError>([] { parse_classes("none_of_this_name.json"); }), "does not exist"));
  CHECK(contains(message_of<FileError>([&] { parse_classes(folder.path().string()); }), "is a directory"));
  auto const large = folder.write("large.txt", "a");
  std::filesystem::resize_file(large, (16u << 20) + 1);
  CHECK(
      contains(message_of<FileError>([&] { parse_classes(large.string()); }), "16777217 bytes long, expected at most"));
  auto const before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  std::filesystem::create_directory("cat");
  folder.write("list", "sun\nmoon\n");
  CHECK(names(parse_classes("cat")) == Words{"cat"});
  CHECK(names(parse_classes("list")) == Words{"sun", "moon"});
  std::filesystem::current_path(before);
}

TEST_CASE("five thousand words") {
  test::TemporaryFolder const folder;
  std::string lines;
  for (int i = 0; i < 5000; ++i) lines += "thing " + std::to_string(i) + " = thing " + std::to_string(i) + ", dïng\n";
  auto const list = parse_classes(folder.write("many.txt", lines).string());
  CHECK(list.size() == 5000);
  CHECK(list.back().words == Words{"thing 4999", "dïng"});
}

TEST_CASE("the benchmarks' lists have the published check sums") {
  struct Sum {
    char const* name;
    std::size_t classes;
    char const* sha;
  };
  for (auto const& [name, classes, sha] : std::initializer_list<Sum>{
           {"voc20", 20, "7d877f185c807bc51b4cfb4f4202fc0b4e1c6724b782ba245fe36f8d254f0ad7"},
           {"voc20b", 59, "245feb60aa05bd703db11091a160e85c5ca024849bd9dc5c41ad2d2fd11a362a"},
           {"pc59", 59, "1c0546d54360b6030db946e7e75f14a0778f37edebd0051b8834027f8b5aab89"},
           {"pc459", 459, "f22a02ac1b8419bc30f91a47c3668be6880fd52106cfc7881500f5d9219f0269"},
           {"ade150", 150, "2133f0a0e71146d00a14482f872bc5888f66d706f90f1b1333a7eb5025989af9"},
           {"ade847", 847, "ee311c5f3b780a16a58f40726927f6c41149860a5fca6c1116ea1dca129efd8b"},
           {"coco171", 171, "8ea44449837dceb30923012b201fe0152adc612160d0d040c9cfcd77e95f6801"}}) {
    auto const* const benchmark = find_benchmark(name);
    REQUIRE(benchmark != nullptr);
    std::string lines(benchmark->classes);
    for (char& c : lines) c = c == '|' ? '\n' : c;
    CHECK_MESSAGE(test::sha256(lines) == sha, name);
    CHECK_MESSAGE(parse_classes(name).size() == classes, name);
    CHECK(benchmark->background_from.has_value() == (std::string(name) == "voc20b"));
  }
  CHECK(find_benchmark("voc20b")->background_from == 20);
  CHECK(find_benchmark("ade") == nullptr);
  auto const cityscapes = parse_classes("cityscapes"), mapillary = parse_classes("mapillary");
  REQUIRE(cityscapes.size() == 19);
  CHECK(cityscapes[6].name == "traffic light");
  CHECK(cityscapes[18].name == "bicycle");
  CHECK(names(parse_classes("voc21"))[0] == "background");
  CHECK(parse_classes("voc21").size() == 21);
  REQUIRE(mapillary.size() == 65);
  CHECK(mapillary[13].name == "Road");
  CHECK(mapillary[49].name == "Traffic Sign (Back)");
  CHECK(mapillary[64].name == "Ego Vehicle");
  std::size_t mess_names = 0;
  for (auto const& benchmark : detail::mess_benchmarks) mess_names += parse_classes(benchmark.name).size();
  CHECK(mess_names == 515);
  CHECK(parse_classes("mess_suim")[7].name == "sea-floor and rocks");
  CHECK(parse_classes("mess_dram")[11].name == "background");
  auto const ade847 = parse_classes("ade847");
  auto const all = names(ade847);
  CHECK(ade847[11].words == Words{"person"});
  // Ten entries repeat another's first synonym: one of the nine has it three times.
  CHECK(std::set<std::string>(all.begin(), all.end()).size() == 847 - 10);
}
