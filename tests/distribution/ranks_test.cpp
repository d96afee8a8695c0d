// SPDX-License-Identifier: Apache-2.0
#include "kovos/distribution/ranks.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "kovos/core/error.hpp"
#include "kovos/distribution/communicator.hpp"

using namespace kovos;

namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](char const* name) -> std::optional<std::string> {
    auto const found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

std::string place(std::map<std::string, std::string> values) {
  auto const ranks = ranks_from_environment(environment(std::move(values)));
  return std::to_string(ranks.rank) + "/" + std::to_string(ranks.size);
}

}  // namespace

TEST_CASE("the environment tells rank and size") {
  CHECK(place({}) == "0/1");
  CHECK(place({{"RANK", "3"}, {"WORLD_SIZE", "8"}}) == "3/8");
  CHECK(place({{"RANK", "3"}}) == "0/1");
  CHECK(place({{"WORLD_SIZE", "8"}}) == "0/1");
  CHECK(place({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "4"}}) == "2/4");
  CHECK(place({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "8"}, {"SLURM_STEP_NUM_TASKS", "4"}}) == "2/4");
  CHECK(place({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}) == "1/2");
}

TEST_CASE("tasks of job arrays, from any first number and in steps") {
  auto const array = [](char const* id, char const* count, char const* first, char const* step) {
    return std::map<std::string, std::string>{{"SLURM_ARRAY_TASK_ID", id},
                                              {"SLURM_ARRAY_TASK_COUNT", count},
                                              {"SLURM_ARRAY_TASK_MIN", first},
                                              {"SLURM_ARRAY_TASK_STEP", step}};
  };
  CHECK(place(array("0", "4", "0", "1")) == "0/4");
  CHECK(place(array("3", "4", "0", "1")) == "3/4");
  CHECK(place(array("7", "3", "5", "1")) == "2/3");
  CHECK(place(array("9", "3", "1", "4")) == "2/3");
  auto both = array("1", "3", "0", "1");
  both["SLURM_PROCID"] = "1";
  both["SLURM_NTASKS"] = "2";
  CHECK(place(both) == "3/6");
  // --array=1,5,9-10 has holes: one of its tasks would score what no other does, and pictures would be left over.
  CHECK_THROWS_WITH_AS(place(array("9", "4", "1", "1")), doctest::Contains("numbered without holes"), ConfigError);
  CHECK_THROWS_AS(place(array("4", "3", "1", "2")), ConfigError);
  CHECK_THROWS_AS(place(array("0", "3", "1", "1")), ConfigError);
}

TEST_CASE("numbers that make no sense are refused with their names") {
  CHECK_THROWS_WITH_AS(place({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), doctest::Contains("rank 2 of 2"), ConfigError);
  CHECK_THROWS_WITH_AS(place({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}), doctest::Contains("RANK is '-1'"), ConfigError);
  CHECK_THROWS_WITH_AS(place({{"RANK", "0"}, {"WORLD_SIZE", "two"}}), doctest::Contains("WORLD_SIZE is 'two'"),
                       ConfigError);
  CHECK_THROWS_AS(place({{"RANK", "0"}, {"WORLD_SIZE", "0"}}), ConfigError);
  CHECK_THROWS_AS(place({{"RANK", "0"}, {"WORLD_SIZE", "99999999999999999999999"}}), ConfigError);
}

TEST_CASE("launchers of MPI are told by what they set") {
  auto const processes = [](std::map<std::string, std::string> values) {
    return mpi_processes(environment(std::move(values)));
  };
  CHECK_FALSE(processes({}).has_value());
  CHECK_FALSE(processes({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).has_value());
  CHECK_FALSE(processes({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}}).has_value());
  CHECK(processes({{"OMPI_COMM_WORLD_SIZE", "4"}}) == 4);
  CHECK(processes({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}}) == 3);
  CHECK(processes({{"PMIX_RANK", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}}) == 2);
}

TEST_CASE("shares without communication are disjoint and complete") {
  for (std::size_t const size : {1u, 2u, 3u, 7u}) {
    std::vector<int> owners(20, 0);
    for (std::size_t rank = 0; rank < size; ++rank) {
      StaticShares shares({rank, size, ""});
      CHECK(shares.connected() == (size == 1));
      for (std::size_t i = shares.next(); i < owners.size(); i = shares.next()) ++owners[i];
    }
    for (int const count : owners) CHECK(count == 1);
  }
  StaticShares stopped;
  CHECK(stopped.next() == 0);
  stopped.stop();
  CHECK(stopped.next() > 1000000);
  CHECK(stopped.all_gather("a") == std::vector<std::string>{"a"});
}
