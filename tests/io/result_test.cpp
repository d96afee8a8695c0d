// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "kovos/io/result.hpp"

TEST_CASE("the record of a picture as JSON") {
  kovos::ResultRecord record;
  record.image = "a.png";
  record.height = 2;
  record.width = 3;
  record.names = {"sky", "bad \xff name"};
  record.area = {0.75, 0.25};
  record.mean_confidence = {0.5, 0.25};
  record.stage_seconds = {{"image encoder", 1.5}, {"labels", 0.5}};
  record.threads = 2;
  auto json = kovos::to_json(record);
  CHECK(json["classes"].size() == 2);
  CHECK(json["classes"][1]["index"] == 1);
  CHECK(json["classes"][0]["area"] == 0.75);
  CHECK(json["timings"]["total"] == 2.0);
  CHECK(json["unknown"]["threshold"].is_null());
  record.unknown_threshold = 0.4;
  CHECK(kovos::to_json(record)["unknown"]["threshold"] == 0.4);

  auto const path = std::filesystem::temp_directory_path() / ("kovos_result_" + std::to_string(getpid()) + ".json");
  kovos::write_json(path, json);  // a name that is not UTF-8 does not stop it
  std::ifstream file(path);
  CHECK(nlohmann::json::parse(file)["classes"][0]["name"] == "sky");
  std::filesystem::remove(path);
  CHECK_THROWS_AS(kovos::write_json("/missing/folder/x.json", json), kovos::FileError);
}
