// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "kovos/io/file.hpp"

namespace kovos {

/// What is told about a segmented picture beside its labels.
struct ResultRecord {
  std::string image, model, preset, precision, window, templates, engine;
  std::size_t height = 0, width = 0;  // pixels
  std::vector<std::string> names;
  std::vector<double> area;                 // per class, share of the picture, 0..1
  std::vector<double> mean_confidence;      // per class, 0..1
  double unknown_area = 0;                  // share of the picture
  std::optional<double> unknown_threshold;  // score 0..1
  std::vector<std::pair<std::string, double>> stage_seconds;
  std::size_t threads = 0;
};

/// The record as JSON: image, size, classes (index, name, area, mean_confidence), unknown, timings in seconds,
/// settings.
inline nlohmann::ordered_json to_json(ResultRecord const& record) {
  nlohmann::ordered_json json;
  json["image"] = record.image;
  json["height"] = record.height;
  json["width"] = record.width;
  json["classes"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < record.names.size(); ++i)
    json["classes"].push_back({{"index", i},
                               {"name", record.names[i]},
                               {"area", record.area.at(i)},
                               {"mean_confidence", record.mean_confidence.at(i)}});
  json["unknown"]["area"] = record.unknown_area;
  if (record.unknown_threshold) json["unknown"]["threshold"] = *record.unknown_threshold;
  else json["unknown"]["threshold"] = nullptr;
  double total = 0;
  for (auto const& [stage, seconds] : record.stage_seconds) {
    json["timings"][stage] = seconds;
    total += seconds;
  }
  json["timings"]["total"] = total;
  json["settings"] = {{"model", record.model},    {"preset", record.preset},       {"precision", record.precision},
                      {"window", record.window},  {"templates", record.templates}, {"engine", record.engine},
                      {"threads", record.threads}};
  return json;
}

/// Writes JSON to a temporary name first; text that is not UTF-8 (a file name, say) is written with replacement
/// characters. Throws FileError.
inline void write_json(std::filesystem::path const& path, nlohmann::ordered_json const& json) {
  write_file_atomically(path, [&](std::ostream& stream) {
    stream << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  });
}

}  // namespace kovos
