// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/log.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/support.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

TrainingRecord record(std::size_t step, std::vector<std::optional<double>> metrics = {}) {
  double const s = static_cast<double>(step);
  return {step, s / 8, 1 / (s + 2), 2e-4, 0.1 * s, 3.5, 1000 + step, std::move(metrics)};
}

std::string csv(TemporaryFolder const& folder) { return load(folder / "training.csv"); }
std::string json(TemporaryFolder const& folder) { return load(folder / "training.jsonl"); }

TrainingHistory history(TemporaryFolder const& folder) { return read_training_log(folder / "training.csv"); }

std::vector<double> steps(TemporaryFolder const& folder) { return history(folder).curve("step").y; }
using Steps = std::vector<double>;

/// Steps 1 to 5 with an evaluation at 2 and 4.
void write_five(TemporaryFolder const& folder) {
  TrainingLog log(folder.path(), {"miou_seen", "miou_unseen"});
  for (std::size_t i = 1; i <= 5; ++i) {
    double const s = static_cast<double>(i);
    if (i % 2 == 0) log.append(record(i, {10 * s, std::nullopt}));
    else log.append(record(i));
  }
}

}  // namespace

TEST_CASE("training log: both files say the same") {
  TemporaryFolder const folder;
  TrainingLog log(folder.path(), {"miou_seen", "miou_unseen"});
  log.append({3, 0.5, 0.1, 2e-4, 1e30, 12.25, std::size_t{1} << 40, {54.5, std::nullopt}});
  log.append({4, 0.625, std::nan(""), 1.0 / 3, infinity, -0.0, 0});
  CHECK(csv(folder) ==
        "step,epoch,loss,learning_rate,gradient_norm,images_per_second,peak_memory_bytes,miou_seen,miou_unseen\n"
        "3,0.5,0.1,2e-04,1e+30,12.25,1099511627776,54.5,\n"
        "4,0.625,nan,0.3333333333333333,inf,-0,0,,\n");
  CHECK(json(folder) ==
        "{\"step\":3,\"epoch\":0.5,\"loss\":0.1,\"learning_rate\":0.0002,\"gradient_norm\":1e+30,"
        "\"images_per_second\":12.25,\"peak_memory_bytes\":1099511627776,\"miou_seen\":54.5}\n"
        "{\"step\":4,\"epoch\":0.625,\"loss\":null,\"learning_rate\":0.3333333333333333,\"gradient_norm\":null,"
        "\"images_per_second\":-0.0,\"peak_memory_bytes\":0}\n");
  CHECK(log.csv() == folder / "training.csv");
  CHECK(log.json_lines() == folder / "training.jsonl");
}

TEST_CASE("training log: every number is read back as it was") {
  TemporaryFolder const folder;
  std::vector<double> const numbers = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -2.5e-7, 123456789.123456789};
  {
    TrainingLog log(folder.path());
    for (std::size_t i = 0; i < numbers.size(); ++i) log.append({i, 0, numbers[i], 0, 0, 0, 0});
  }
  auto const read = history(folder);
  CHECK(read.rows() == numbers.size());
  CHECK(read.names.size() == 7);
  CHECK(read.curve("loss").y == numbers);
  CHECK(read.curve("loss").x == std::vector<double>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("training log: columns for curves") {
  TemporaryFolder const folder;
  write_five(folder);
  auto const read = history(folder);
  CHECK(read.rows() == 5);
  auto const seen = read.curve("miou_seen", "seen classes");
  CHECK(seen.name == "seen classes");
  CHECK(seen.x == std::vector<double>{2, 4});
  CHECK(seen.y == std::vector<double>{20, 40});
  CHECK(read.curve("miou_unseen").x.empty());
  CHECK(read.curve("loss").name == "loss");
  CHECK(read.column("miou_seen")[0] == std::nullopt);
  CHECK(read.column("peak_memory_bytes")[4] == 1005);
  CHECK_FAILS(DataError, "training.csv' has no column 'accuracy'; it has step, epoch, loss", read.curve("accuracy"));
  // What was measured as NaN is kept, to leave a gap.
  store(folder / "training.csv", "step,loss\n1,0.5\n2,nan\n3,-inf\n4,\n");
  auto const gaps = history(folder).curve("loss");
  CHECK(gaps.x == std::vector<double>{1, 2, 3});
  CHECK(std::isnan(gaps.y[1]));
  CHECK(gaps.y[2] == -infinity);
}

TEST_CASE("training log: a run that is continued cuts the log back and goes on") {
  TemporaryFolder const folder, unbroken;
  write_five(folder);
  write_five(unbroken);
  {
    TrainingLog log(folder.path(), {"miou_seen", "miou_unseen"}, 3);
    CHECK(steps(folder) == Steps{1, 2, 3});
    CHECK(folder.files() == 2);
    CHECK_FAILS(DataError, "cannot log step 3 after step 3", log.append(record(3)));
    log.append(record(4, {40.0, std::nullopt}));
    log.append(record(5));
  }
  CHECK(csv(folder) == csv(unbroken));
  CHECK(json(folder) == json(unbroken));

  // The step continued from may be none of those that were logged.
  store(folder / "training.csv",
        "step,epoch,loss,learning_rate,gradient_norm,images_per_second,peak_memory_bytes\n"
        "10,0,0,0,0,0,0\n20,0,0,0,0,0,0\n30,0,0,0,0,0,0\n");
  store(folder / "training.jsonl", "{\"step\":10}\n{\"step\":20}\n{\"step\":30}\n");
  TrainingLog(folder.path(), {}, 25);
  CHECK(steps(folder) == Steps{10, 20});
  CHECK(json(folder) == "{\"step\":10}\n{\"step\":20}\n");
  TrainingLog(folder.path(), {}, 25);
  CHECK(steps(folder) == Steps{10, 20});
  TrainingLog(folder.path(), {}, 0);
  CHECK(history(folder).rows() == 0);
  CHECK(json(folder).empty());
}

TEST_CASE("training log: a line that was being written when the program stopped") {
  TemporaryFolder const folder;
  write_five(folder);
  auto const whole_csv = csv(folder), whole_json = json(folder);
  for (std::size_t const cut : {std::size_t{1}, std::size_t{7}, std::size_t{60}}) {
    store(folder / "training.csv", whole_csv.substr(0, whole_csv.size() - cut));
    store(folder / "training.jsonl", whole_json.substr(0, whole_json.size() - cut));
    CHECK(history(folder).rows() == (cut == 60 ? 3 : 4));
    TrainingLog log(folder.path(), {"miou_seen", "miou_unseen"}, 4);
    log.append(record(5));
    CHECK(history(folder).curve("step").y.back() == 5);
    if (cut != 60) {
      CHECK(csv(folder) == whole_csv);
      CHECK(json(folder) == whole_json);
    }
  }
  // Only a part of the header was written.
  store(folder / "training.csv", "step,epo");
  TrainingLog(folder.path(), {}, 4);
  CHECK(history(folder).rows() == 0);
}

TEST_CASE("training log: a new run begins a new log") {
  TemporaryFolder const folder;
  write_five(folder);
  TrainingLog log(folder.path(), {"accuracy"});
  CHECK(history(folder).rows() == 0);
  CHECK(json(folder).empty());
  log.append(record(0, {0.25}));
  log.append(record(7));
  CHECK(steps(folder) == Steps{0, 7});
  CHECK(history(folder).curve("accuracy").y == std::vector<double>{0.25});
}

TEST_CASE("training log: what cannot be logged or continued") {
  TemporaryFolder const folder;
  write_five(folder);
  auto const before = csv(folder);
  CHECK_FAILS(DataError, "expected 'step,epoch,loss,learning_rate,gradient_norm,images_per_second,peak_memory_bytes'",
              TrainingLog(folder.path(), {}, 3));
  CHECK_FAILS(ConfigError, "cannot be named 'mIoU, seen'", TrainingLog(folder.path(), {"mIoU, seen"}));
  CHECK_FAILS(ConfigError, "cannot be named ''", TrainingLog(folder.path(), {""}));
  CHECK_FAILS(ConfigError, "cannot both be named 'loss'", TrainingLog(folder.path(), {"loss"}));
  CHECK_FAILS(ConfigError, "cannot both be named 'a'", TrainingLog(folder.path(), {"a", "a"}));
  CHECK_FAILS(FileError, "check that its folder exists", TrainingLog(folder / "no"));
  CHECK(csv(folder) == before);
  {
    TrainingLog log(folder.path(), {"miou_seen", "miou_unseen"}, 5);
    CHECK_FAILS(DataError, "step 6 has 1 metrics, but", log.append(record(6, {1.0})));
    CHECK_FAILS(DataError, "cannot log step 2 after step 5", log.append(record(2)));
    CHECK(csv(folder) == before);
    std::filesystem::remove(folder / "training.csv");
    CHECK_FAILS(FileError, "was it removed while the program ran", log.append(record(6)));
  }
  std::string const header = "step,loss\n";
  auto const damaged = [&](std::string const& text) {
    store(folder / "training.csv", text);
    return message_of<DataError>([&] { history(folder); });
  };
  CHECK(contains(damaged(""), "is no training log"));
  CHECK(contains(damaged("\x89PNG\n"), "is no training log"));
  CHECK(contains(damaged(header + "1,2\nx,2\n"), "training.csv' line 3: expected a step, got 'x'"));
  CHECK(contains(damaged(header + "-1,2\n"), "expected a step, got '-1'"));
  CHECK(contains(damaged(header + "1,2,3\n"), "line 2 has 3 cells, expected 2"));
  CHECK(contains(damaged(header + "1,2x\n"), "line 2: '2x' under loss is not a number"));
  CHECK(contains(damaged(header + "2,1\n2,1\n"), "line 3: step 2 after step 2"));
  CHECK_FAILS(FileError, "does not exist", read_training_log(folder / "none.csv"));
  std::filesystem::remove(folder / "training.csv");
  store(folder / "training.jsonl", "{\"step\":1}\n[1]\n");
  CHECK_FAILS(DataError, "training.jsonl' line 2: expected a JSON object with a step",
              TrainingLog(folder.path(), {}, 3));
}

TEST_CASE("training log: a full disk leaves whole rows in both files") {
  TemporaryFolder const folder;
  TrainingLog log(folder.path());
  for (std::size_t i = 1; i <= 3; ++i) log.append(record(i));
  auto const whole_csv = csv(folder), whole_json = json(folder);
  REQUIRE(whole_json.size() > whole_csv.size() + 100);
  // A limit on the size of files stands in for a full disk; the first stops the CSV file, the second only the other.
  struct ::rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto const handler = std::signal(SIGXFSZ, SIG_IGN);
  for (auto const limit : {whole_csv.size() + 5, whole_json.size() + 5}) {
    struct ::rlimit small = before;
    small.rlim_cur = limit;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    auto const message = message_of<FileError>([&] { log.append(record(4)); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    INFO(message);
    CHECK(contains(message, "File too large; free some space"));
    CHECK(contains(message, limit == whole_csv.size() + 5 ? "training.csv" : "training.jsonl"));
    CHECK(csv(folder) == whole_csv);
    CHECK(json(folder) == whole_json);
  }
  std::signal(SIGXFSZ, handler);
  log.append(record(4));
  CHECK(steps(folder) == Steps{1, 2, 3, 4});
}
