// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/drawing/curves.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// What a log says about a step.
struct TrainingRecord {
  std::size_t step = 0;  ///< steps done
  double epoch = 0;      ///< passes over the data done
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  ///< before clipping
  double images_per_second = 0;
  std::size_t peak_memory_bytes = 0;
  std::vector<std::optional<double>> metrics = {};  ///< one for each of the log's metrics, or none at all
};

/// A log that was read: one column of numbers for each name, nothing where a cell is empty.
struct TrainingHistory {
  std::vector<std::string> names;
  std::vector<std::vector<std::optional<double>>> columns;
  std::string source;  // path, for messages

  std::size_t rows() const { return columns.empty() ? 0 : columns[0].size(); }

  /// A column, such as "loss". Throws DataError if the log has none of that name.
  std::vector<std::optional<double>> const& column(std::string_view name) const {
    auto const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      std::string known;
      for (auto const& each : names) known += (known.empty() ? "" : ", ") + each;
      fail<DataError>(detail::in_quotes(source), " has no column ", detail::in_quotes(name), "; it has ", known);
    }
    return columns[static_cast<std::size_t>(found - names.begin())];
  }

  /// A column over the steps, without its empty cells. Throws DataError if the log has none of that name.
  Curve curve(std::string_view name, std::string shown_as = {}) const {
    Curve result{shown_as.empty() ? std::string(name) : std::move(shown_as), {}, {}};
    auto const& steps = column("step");
    auto const& values = column(name);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!values[i]) continue;
      result.x.push_back(steps[i].value_or(0));
      result.y.push_back(*values[i]);
    }
    return result;
  }
};

namespace detail {

inline constexpr std::array<char const*, 7> training_columns = {
    "step", "epoch", "loss", "learning_rate", "gradient_norm", "images_per_second", "peak_memory_bytes"};

/// The shortest text that is read back as the same number, whatever the machine's language.
inline std::string number_text(double value) {
  if (std::isnan(value)) return "nan";  // without a sign
  char text[32];
  auto const end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

inline std::optional<double> read_number(std::string_view text) {
  double value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The complete lines of a log, without their ends. What follows the last end of line was being written when the
/// program stopped, and is left out.
inline std::vector<std::string_view> complete_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    auto line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

inline std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    std::size_t const comma = line.find(',');
    cells.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

inline std::string text_of(std::span<std::byte const> bytes) {
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

inline std::size_t step_of_csv(std::string_view line, std::string const& where) {
  auto const cell = line.substr(0, line.find(','));
  std::size_t step = 0;
  auto const [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), step);
  require<DataError>(error == std::errc{} && end == cell.data() + cell.size(), where, ": expected a step, got ",
                     in_quotes(cell), "; the log is damaged: remove the line or start in another folder");
  return step;
}

inline std::size_t step_of_json(std::string_view line, std::string const& where) {
  auto const json = nlohmann::json::parse(line, nullptr, false);
  bool const good = json.is_object() && json.contains("step") && json["step"].is_number_unsigned();
  require<DataError>(good, where, ": expected a JSON object with a step, got ", in_quotes(line),
                     "; the log is damaged: remove the line or start in another folder");
  return json["step"].get<std::size_t>();
}

/// Removes the rows beyond a step from a log, and an unfinished line at its end: the file is replaced in one go.
/// `header` is the first line that is expected, if any.
template <class StepOf>
void cut_log(std::filesystem::path const& path, std::optional<std::size_t> last_step, std::string const& header,
             StepOf const& step_of) {
  std::string kept = header;
  std::error_code ignored;
  if (last_step && std::filesystem::exists(path, ignored)) {
    std::string const text = text_of(read_file(path));
    auto const lines = complete_lines(text);
    std::size_t const first = header.empty() ? 0 : 1;
    if (!lines.empty() && first == 1) {
      require<DataError>(std::string(lines[0]) + '\n' == header, shown(path), " has the columns ", in_quotes(lines[0]),
                         ", expected ", in_quotes(header.substr(0, header.size() - 1)),
                         ": continue with the same metrics, or start in another folder");
    }
    for (std::size_t i = first; i < lines.size(); ++i) {
      if (step_of(lines[i], shown(path) + " line " + std::to_string(i + 1)) > *last_step) continue;
      kept += lines[i];
      kept += '\n';
    }
    if (kept == text) return;
  }
  write_file_atomically(path, std::as_bytes(std::span<char const>(kept)));
}

/// Appends a line, hands it to the operating system at once and returns how long the file was before; after a failure
/// it is that long again.
inline std::uintmax_t append_line(std::filesystem::path const& path, std::string const& line) {
  std::error_code error;
  auto const before = std::filesystem::file_size(path, error);
  require<FileError>(!error, shown(path), " cannot be continued: ", error.message(),
                     "; was it removed while the program ran?");
  errno = 0;
  std::ofstream stream(path, std::ios::binary | std::ios::app);
  if (stream) stream.write(line.data(), static_cast<std::streamsize>(line.size())).flush();
  if (stream) return before;
  int const number = errno;
  stream.close();
  std::filesystem::resize_file(path, before, error);
  fail<FileError>("cannot append to ", shown(path), number != 0 ? ": " + reason(number) : std::string(),
                  "; free some space or check that the file is writable");
}

}  // namespace detail

/// The log of a training run in a folder: the same rows as training.csv, for spreadsheets and curves, and as
/// training.jsonl, one JSON object per line. Rows are only ever added; a run that is continued first cuts the log back
/// to the step it continues from, so that each step is there once. Numbers are written so that they are read back
/// exactly; what is not finite is nan, inf or -inf in CSV and null in JSON, what was not measured an empty cell or no
/// entry.
class TrainingLog {
 public:
  static constexpr char const* csv_name = "training.csv";
  static constexpr char const* json_name = "training.jsonl";

  /// Begins a log in a folder that exists, in place of one that may be there; or continues the one there from step
  /// `resumed_from` (a missing one is begun). `metrics` names further columns, such as "miou_seen". Throws ConfigError
  /// for names that are not made of a-z, 0-9 and _, or are there twice; DataError if the log to be continued has
  /// other columns or is damaged; FileError.
  explicit TrainingLog(std::filesystem::path const& folder, std::vector<std::string> metrics = {},
                       std::optional<std::size_t> resumed_from = std::nullopt)
      : csv_(folder / csv_name), json_(folder / json_name), metrics_(std::move(metrics)), last_step_(resumed_from) {
    std::vector<std::string> names(detail::training_columns.begin(), detail::training_columns.end());
    for (auto const& name : metrics_) {
      bool const plain =
          !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
      require<ConfigError>(plain, "a metric in a training log cannot be named ", detail::in_quotes(name),
                           ": use a-z, 0-9 and _");
      require<ConfigError>(std::find(names.begin(), names.end(), name) == names.end(), "two columns of a training log ",
                           "cannot both be named ", detail::in_quotes(name));
      names.push_back(name);
    }
    std::string header;
    for (auto const& name : names) header += (header.empty() ? "" : ",") + name;
    detail::cut_log(csv_, resumed_from, header + '\n', detail::step_of_csv);
    detail::cut_log(json_, resumed_from, "", detail::step_of_json);
  }

  std::filesystem::path const& csv() const { return csv_; }
  std::filesystem::path const& json_lines() const { return json_; }

  /// Adds a row to both files. Throws DataError unless its step is larger than the last and it has as many metrics as
  /// the log, or none; FileError if the disk is full, after which the log is as before.
  void append(TrainingRecord const& record) {
    require<DataError>(!last_step_ || record.step > *last_step_, "cannot log step ", record.step, " after step ",
                       last_step_.value_or(0), " in ", detail::shown(csv_));
    require<DataError>(record.metrics.empty() || record.metrics.size() == metrics_.size(), "step ", record.step,
                       " has ", record.metrics.size(), " metrics, but ", detail::shown(csv_), " has columns for ",
                       metrics_.size());
    std::string row = std::to_string(record.step);
    nlohmann::ordered_json json = {{"step", record.step}};
    auto const number = [](double value) { return std::isfinite(value) ? nlohmann::ordered_json(value) : nullptr; };
    std::array<double, 5> const values = {record.epoch, record.loss, record.learning_rate, record.gradient_norm,
                                          record.images_per_second};
    for (std::size_t i = 0; i < values.size(); ++i) {
      row += ',' + detail::number_text(values[i]);
      json[detail::training_columns[i + 1]] = number(values[i]);
    }
    row += ',' + std::to_string(record.peak_memory_bytes);
    json[detail::training_columns.back()] = record.peak_memory_bytes;
    for (std::size_t i = 0; i < metrics_.size(); ++i) {
      bool const measured = !record.metrics.empty() && record.metrics[i];
      row += measured ? ',' + detail::number_text(*record.metrics[i]) : ",";
      if (measured) json[metrics_[i]] = number(*record.metrics[i]);
    }
    auto const before = detail::append_line(csv_, row + '\n');
    try {
      detail::append_line(json_, json.dump() + '\n');
    } catch (...) {
      std::error_code ignored;
      std::filesystem::resize_file(csv_, before, ignored);
      throw;
    }
    last_step_ = record.step;
  }

 private:
  std::filesystem::path csv_, json_;
  std::vector<std::string> metrics_;
  std::optional<std::size_t> last_step_;
};

/// Reads a log's CSV file, also while it is being written: an unfinished last line is left out. Throws FileError, and
/// DataError naming the line if it is damaged.
inline TrainingHistory read_training_log(std::filesystem::path const& csv) {
  std::string const text = detail::text_of(read_file(csv));
  auto const lines = detail::complete_lines(text);
  std::string const shown = detail::shown(csv);
  require<DataError>(!lines.empty() && lines[0].substr(0, lines[0].find(',')) == "step", shown,
                     " does not begin with the names of columns, of which step is the first: it is no training log");
  TrainingHistory history;
  history.source = csv.string();
  for (auto const name : detail::cells_of(lines[0])) history.names.emplace_back(name);
  history.columns.resize(history.names.size());
  std::optional<std::size_t> last;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::string const where = shown + " line " + std::to_string(i + 1);
    auto const cells = detail::cells_of(lines[i]);
    require<DataError>(cells.size() == history.names.size(), where, " has ", cells.size(), " cells, expected ",
                       history.names.size());
    std::size_t const step = detail::step_of_csv(lines[i], where);
    require<DataError>(!last || step > *last, where, ": step ", step, " after step ", last.value_or(0),
                       ", expected a larger one");
    last = step;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      auto const value = detail::read_number(cells[c]);
      require<DataError>(value || cells[c].empty(), where, ": ", detail::in_quotes(cells[c]), " under ",
                         history.names[c], " is not a number");
      history.columns[c].push_back(value);
    }
  }
  return history;
}

}  // namespace kovos
