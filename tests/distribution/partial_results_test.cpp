// SPDX-License-Identifier: Apache-2.0
#include "kovos/distribution/partial_results.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

using namespace kovos;

namespace {

EvaluationRun example_run() {
  EvaluationRun run;
  run.classes = {"sky", "grass, lawn", "\"house\""};
  run.pictures = 4;
  run.settings = {{"weights", "0123"}, {"window", "whole"}};
  run.notes["data"] = "folder";
  return run;
}

PictureResult example_picture(std::size_t index) {
  ConfusionMatrix matrix(3);
  matrix(0, 0) = 5;
  matrix(2, 1) = static_cast<std::int64_t>(index) + 1;
  matrix(2, 3) = 1'000'000'000'000 / 8;
  PictureResult picture;
  picture.index = index;
  picture.name = "picture " + std::to_string(index);
  picture.cells = cells_of(matrix);
  picture.more["boundary"] = {1, 2, 3};
  return picture;
}

std::string example_file() {
  return to_line(example_run()) + '\n' + to_line(example_picture(2)) + '\n' + to_line(example_picture(0)) + '\n';
}

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("kovos_partial_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

/// The example with its second line replaced.
std::string with_line(std::string const& line) { return to_line(example_run()) + '\n' + line + '\n'; }

}  // namespace

TEST_CASE("partial results come back as they were written") {
  auto const results = parse_partial_results(example_file(), "file");
  REQUIRE(results.has_value());
  CHECK(results->run.classes == example_run().classes);
  CHECK(results->run.pictures == 4);
  CHECK(results->run.settings == example_run().settings);
  CHECK(results->run.notes == example_run().notes);
  REQUIRE(results->pictures.size() == 2);
  CHECK(results->pictures[0] == example_picture(2));
  CHECK(results->pictures[1] == example_picture(0));
}

TEST_CASE("a file that was cut anywhere gives the pictures whose lines are whole") {
  auto const text = example_file();
  auto const head = text.find('\n') + 1, first = text.find('\n', head) + 1;
  for (std::size_t length = 0; length <= text.size(); ++length) {
    auto const results = parse_partial_results(text.substr(0, length), "file");
    CHECK(results.has_value() == (length >= head));
    if (results) CHECK(results->pictures.size() == (length >= first) + (length == text.size() ? 1u : 0u));
  }
}

TEST_CASE("files that were joined by hand are read as one, unless they are of different runs") {
  auto const joined = parse_partial_results(example_file() + example_file(), "'all.jsonl'");
  REQUIRE(joined.has_value());
  CHECK(joined->pictures.size() == 4);
  auto other = example_run();
  other.settings.front().second += "x";
  CHECK_THROWS_WITH_AS(parse_partial_results(example_file() + to_line(other) + '\n', "'all.jsonl'"),
                       doctest::Contains("'all.jsonl' line 4 and its first line are of different runs"), DataError);
}

TEST_CASE("damage is named with its line") {
  auto const refused = [](std::string const& text, char const* sentence) {
    CHECK_THROWS_WITH_AS(parse_partial_results(text, "'a.jsonl'"), doctest::Contains(sentence), DataError);
  };
  refused("{}\n", "no file of partial results");
  refused("\n", "no file of partial results");
  refused("[1]\n", "no file of partial results");
  refused("{\"kovos_partial_results\":2}\n", "another version");
  refused("{\"kovos_partial_results\":1}\n", "it has no 'pictures'");
  refused("{\"kovos_partial_results\":1,\"pictures\":99999999999}\n", "expected a whole number");
  refused("{\"kovos_partial_results\":1,\"pictures\":1,\"settings\":{},\"classes\":[]}\n", "there are 0 classes");
  refused(with_line(""), "'a.jsonl' line 2 is damaged");
  refused(with_line("{\"picture\":4,\"cells\":[]}"), "from 0 to 3");
  refused(with_line("{\"picture\":-1,\"cells\":[]}"), "expected a whole number");
  refused(with_line("{\"picture\":1}"), "expected a list of cells");
  refused(with_line("{\"picture\":1,\"cells\":[0,0]}"), "three numbers each");
  refused(with_line("{\"picture\":1,\"cells\":[3,0,1]}"), "from 0 to 2");
  refused(with_line("{\"picture\":1,\"cells\":[0,4,1]}"), "from 0 to 3");
  refused(with_line("{\"picture\":1,\"cells\":[0,0,-1]}"), "expected a whole number");
  refused(with_line("{\"picture\":1,\"cells\":[0,0,0]}"), "out of order, empty or too large");
  refused(with_line("{\"picture\":1,\"cells\":[0,1,1,0,1,1]}"), "out of order");
  refused(with_line("{\"picture\":1,\"cells\":[0,0,1.5]}"), "expected a whole number");
  refused(with_line("{\"picture\":1,\"cells\":[0,0,9223372036854775807]}"), "expected a whole number");
  refused(with_line("{\"picture\":1,\"cells\":[],\"more\":{\"b\":[1,2,3,4,5,6,7,8,9,10,11,12,13]}}"), "at most four");
}

TEST_CASE("joined results do not depend on order, and count a picture once") {
  JoinedResults one(example_run()), other(example_run());
  for (std::size_t const i : {0u, 1u, 2u, 3u}) one.add(example_picture(i), "a");
  for (std::size_t const i : {3u, 1u, 1u, 0u, 2u, 3u}) other.add(example_picture(i), "b");
  CHECK(one.missing() == 0);
  CHECK(one.matrix() == other.matrix());
  CHECK(one.matrix()(0, 0) == 20);
  CHECK(one.matrix()(2, 1) == 10);
  CHECK(one.matrix()(2, 3) == 500'000'000'000);

  auto changed = example_picture(1);
  changed.cells[0].pixels = 6;
  CHECK_THROWS_WITH_AS(one.add(changed, "'c.jsonl'"), doctest::Contains("'c.jsonl' has another result for picture 1"),
                       DataError);
  CHECK(one.matrix() == other.matrix());

  // A doubt names files, which may have other paths elsewhere.
  auto doubtful = example_picture(1);
  doubtful.doubt = "'elsewhere/a.jpg' is turned";
  CHECK(parse_partial_results(with_line(to_line(doubtful)), "d")->pictures[0] == doubtful);
  CHECK_NOTHROW(one.add(doubtful, "d"));
}

TEST_CASE("a picture that could not be read gives way to its result, whichever comes first") {
  PictureResult unreadable;
  unreadable.index = 1;
  unreadable.unreadable = "cut short";
  for (bool const result_first : {false, true}) {
    JoinedResults joined(example_run());
    if (result_first) joined.add(example_picture(1), "a");
    joined.add(parse_partial_results(with_line(to_line(unreadable)), "b")->pictures[0], "b");
    CHECK(joined.has(1) == result_first);
    CHECK(joined.missing() == 3);
    joined.add(example_picture(1), "a");
    CHECK(joined.has(1));
    CHECK(joined.matrix()(0, 0) == 5);
  }
}

TEST_CASE("results of different runs are not added, and the difference is named") {
  auto const refused = [](auto const& change, char const* sentence) {
    auto run = example_run();
    change(run);
    JoinedResults joined(example_run());
    CHECK_THROWS_WITH_AS(joined.add(PartialResults{run, {}}, "'b'", "'a'"), doctest::Contains(sentence), DataError);
  };
  refused([](auto& run) { run.settings[0].second = "4567"; },
          "'weights' is '4567' in the first and '0123' in the second");
  refused([](auto& run) { run.settings.pop_back(); }, "'window' is '' in the first and 'whole'");
  refused([](auto& run) { run.settings.emplace_back("x", "y"); }, "'x' is 'y' in the first and ''");
  refused([](auto& run) { run.pictures = 5; }, "the number of pictures is '5'");
  refused([](auto& run) { run.classes.pop_back(); }, "the number of classes is '2'");
  refused([](auto& run) { run.classes[0] = "Sky"; }, "class 0 is 'Sky'");
  auto run = example_run();
  run.notes["data"] = "elsewhere";
  JoinedResults joined(example_run());
  joined.add(PartialResults{run, {example_picture(3)}}, "'b'", "'a'");
  CHECK(joined.has(3));
}

TEST_CASE("boundary counts survive the way through a line, and add up") {
  BoundaryCounts first(3), second(3), sum(3);
  first.add({2, 3, {0, 0, 2, 0, 2, 2}}, {2, 3, {0, 2, 2, 0, 0, 2}});
  second.add({1, 2, {3, 0}}, {1, 2, {2, 2}});
  sum += first;
  sum += second;
  auto picture = example_picture(0), other = example_picture(1);
  picture.more[boundary_counts_name] = values_of(first);
  other.more[boundary_counts_name] = values_of(second);
  CHECK(values_of(second) == std::vector<std::int64_t>{0, 0, 1, 0, 2, 2, 0, 0});
  auto const results = parse_partial_results(
      to_line(example_run()) + '\n' + to_line(picture) + '\n' + to_line(other) + '\n', "'rank-0.jsonl'");
  REQUIRE(results.has_value());
  JoinedResults joined(example_run());
  joined.add(*results, "a", "a");
  CHECK(joined.boundary() == sum);
  PictureResult torn;
  torn.index = 2;
  torn.unreadable = "torn";
  joined.add(torn, "a");
  CHECK(joined.boundary() == sum);

  using Values = std::vector<std::int64_t>;
  for (auto const& values : {Values{1, 2, 2}, {3, 1, 1, 1}, {-1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}, {2, 1, 5, 2}}) {
    JoinedResults damaged(example_run());
    auto bad = example_picture(3);
    bad.more[boundary_counts_name] = values;
    damaged.add(bad, "a");
    CHECK_THROWS_WITH_AS(damaged.boundary(), doctest::Contains("picture 3 ('picture 3') has no boundary counts"),
                         DataError);
  }
  JoinedResults without(example_run());
  auto plain = example_picture(3);
  plain.more.clear();
  without.add(plain, "a");
  CHECK_THROWS_WITH_AS(without.boundary(), doctest::Contains("has no boundary counts"), DataError);
}

TEST_CASE("a file of lines is never one that is there, and keeps its lines when the disk is full") {
  Folder const folder;
  auto const wanted = folder.path / "rank-0.jsonl";
  LineFile first(wanted), second(wanted), third(wanted);
  CHECK(first.path() == wanted);
  CHECK(second.path() == folder.path / "rank-0-2.jsonl");
  CHECK(third.path() == folder.path / "rank-0-3.jsonl");
  first.append("a");
  second.append("b");
  first.append("c");
  std::ifstream stream(wanted);
  CHECK(std::string(std::istreambuf_iterator<char>(stream), {}) == "a\nc\n");
  CHECK(partial_files(folder.path).size() == 3);
  CHECK_THROWS_WITH_AS(LineFile(folder.path / "gone" / "x.jsonl"), doctest::Contains("cannot write"), FileError);

  auto const child = ::fork();
  if (child == 0) {  // a limit on the size of files stands for a full disk
    std::signal(SIGXFSZ, SIG_IGN);
    ::rlimit limit{300, 300};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int refusals = 0;
    LineFile small(folder.path / "small.jsonl");
    for (int i = 0; i < 5; ++i) {
      try {
        small.append(std::string(120, static_cast<char>('a' + i)));
      } catch (FileError const&) {
        ++refusals;
      }
    }
    ::_exit(refusals);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 3);
  std::ifstream small(folder.path / "small.jsonl");
  std::string line;
  CHECK((std::getline(small, line) && line == std::string(120, 'a')));
  CHECK((std::getline(small, line) && line == std::string(120, 'b')));
  std::getline(small, line);
  CHECK(small.eof());  // the cut line has no end
}
