// SPDX-License-Identifier: Apache-2.0
#include "kovos/data/read_ahead.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace kovos;

TEST_CASE("items come in the order of asking, whatever takes long") {
  for (std::size_t const threads : {1u, 2u, 5u}) {
    std::vector<std::size_t> seen;
    for_each_read_ahead(
        40,
        [](std::size_t i) {
          if (i % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
          return std::make_unique<std::size_t>(i * i);
        },
        [&](std::size_t i, std::unique_ptr<std::size_t> item) {
          CHECK(*item == i * i);
          seen.push_back(i);
        },
        4, threads);
    CHECK(seen.size() == 40);
  }
}

TEST_CASE("an error comes at its own item, and those around it are not touched") {
  std::vector<std::size_t> seen;
  ReadAhead<std::size_t> reader(
      [](std::size_t i) {
        if (i == 2) throw std::runtime_error("the third is torn");
        return 10 * i;
      },
      2);
  for (std::size_t i = 0; i < 5; ++i) reader.ask(i);
  CHECK(reader.pending() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    if (i == 2) CHECK_THROWS_WITH_AS(reader.take(), "the third is torn", std::runtime_error);
    else CHECK(reader.take() == 10 * i);
  }
  CHECK(reader.pending() == 0);
  CHECK_THROWS_WITH_AS(reader.take(), "nothing was asked for that could be taken: call ask first", ConfigError);
  reader.ask(7);
  CHECK(reader.take() == 70);
}

TEST_CASE("no more is loaded than there is room for") {
  std::atomic<std::size_t> begun{0};
  for_each_read_ahead(
      30,
      [&](std::size_t i) {
        ++begun;
        return i;
      },
      [&](std::size_t i, std::size_t) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(begun <= i + 1 + 3);  // this one and three ahead
      },
      3, 2);
  CHECK(begun == 30);
}

TEST_CASE("the next one is loaded while one is used") {
  // Would wait for ever if the second were only loaded after the first was used.
  std::atomic<bool> second_begun{false};
  for_each_read_ahead(
      2,
      [&](std::size_t i) {
        if (i == 1) second_begun = true;
        return i;
      },
      [&](std::size_t i, std::size_t) {
        if (i == 0)
          while (!second_begun) std::this_thread::yield();
      },
      1);
  CHECK(second_begun);
}

TEST_CASE("an early end begins nothing more") {
  std::atomic<std::size_t> begun{0};
  auto const stop_at_once = [](std::size_t, std::size_t) { throw std::runtime_error("disk full"); };
  auto const load = [&](std::size_t i) {
    ++begun;
    return i;
  };
  CHECK_THROWS_WITH_AS(for_each_read_ahead(1000, load, stop_at_once, 8), "disk full", std::runtime_error);
  CHECK(begun <= 9);
  for_each_read_ahead(0, load, stop_at_once);
  CHECK_THROWS_AS(for_each_read_ahead(1, load, stop_at_once, 0), ConfigError);
  CHECK_THROWS_AS(for_each_read_ahead(1, load, stop_at_once, 1, 0), ConfigError);
}
