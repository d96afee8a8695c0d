// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/line_file.hpp"
#include "kovos/metrics/boundary_iou.hpp"
#include "kovos/metrics/confusion_matrix.hpp"

namespace kovos {

/// What an evaluation scores, so that results of different ones are never added.
struct EvaluationRun {
  std::vector<std::string> classes;
  std::size_t pictures = 0;
  /// What else must agree, by name and in the order in which differences are told: model, data, options.
  std::vector<std::pair<std::string, std::string>> settings;
  /// What is told with the scores and need not agree, such as paths.
  nlohmann::ordered_json notes = nlohmann::ordered_json::object();
};

/// What one picture contributes to an evaluation: its confusion matrix, of which most cells are 0, and counts of other
/// measures by name; or why it could not be read.
struct PictureResult {
  struct Cell {
    std::size_t ground_truth = 0, prediction = 0;
    std::int64_t pixels = 0;
    bool operator==(Cell const&) const = default;
  };
  std::size_t index = 0;
  std::string name;
  std::vector<Cell> cells;  ///< by ground truth, then prediction
  std::map<std::string, std::vector<std::int64_t>> more;
  std::optional<std::string> unreadable;
  std::string doubt;  ///< why its labels may not be right; empty where nothing says so

  bool operator==(PictureResult const&) const = default;
};

/// The non-zero cells of a matrix.
inline std::vector<PictureResult::Cell> cells_of(ConfusionMatrix const& matrix) {
  std::vector<PictureResult::Cell> cells;
  for (std::size_t row = 0; row < matrix.classes(); ++row)
    for (std::size_t column = 0; column <= matrix.classes(); ++column)
      if (auto const pixels = matrix(row, column); pixels != 0) cells.push_back({row, column, pixels});
  return cells;
}

/// The name under PictureResult::more of boundary counts.
inline constexpr char const* boundary_counts_name = "boundary";

/// Boundary counts for PictureResult::more: class, pixels of the ground truth, of the prediction and of both, of each
/// class that has any.
inline std::vector<std::int64_t> values_of(BoundaryCounts const& counts) {
  std::vector<std::int64_t> values;
  for (std::size_t c = 0; c < counts.classes(); ++c) {
    std::int64_t const truth = counts.ground_truth()[c], guess = counts.predicted()[c];
    if (truth == 0 && guess == 0) continue;
    values.insert(values.end(), {static_cast<std::int64_t>(c), truth, guess, counts.both()[c]});
  }
  return values;
}

namespace detail {

inline constexpr std::size_t most_partial_pictures = std::size_t{1} << 24;
inline constexpr std::int64_t most_partial_pixels = std::int64_t{1} << 38;  // per picture; sums fit 63 bits

inline std::string one_line(nlohmann::ordered_json const& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace detail

/// A run as the first line of a file of partial results, without the line's end.
inline std::string to_line(EvaluationRun const& run) {
  nlohmann::ordered_json json{{"kovos_partial_results", 1}, {"pictures", run.pictures}};
  json["settings"] = nlohmann::ordered_json::object();
  for (auto const& [name, value] : run.settings) json["settings"][name] = value;
  json["classes"] = run.classes;
  json["notes"] = run.notes;
  return detail::one_line(json);
}

/// A picture as a line of a file of partial results, without the line's end.
inline std::string to_line(PictureResult const& picture) {
  nlohmann::ordered_json json{{"picture", picture.index}, {"name", picture.name}};
  if (picture.unreadable) {
    json["unreadable"] = *picture.unreadable;
    return detail::one_line(json);
  }
  auto& cells = json["cells"] = nlohmann::ordered_json::array();
  for (auto const& cell : picture.cells) {
    cells.push_back(cell.ground_truth);
    cells.push_back(cell.prediction);
    cells.push_back(cell.pixels);
  }
  for (auto const& [name, counts] : picture.more) json["more"][name] = counts;
  if (!picture.doubt.empty()) json["doubt"] = picture.doubt;
  return detail::one_line(json);
}

namespace detail {

/// Reads lines of partial results; `source` names them in messages.
class PartialParser {
 public:
  explicit PartialParser(std::string source) : source_(std::move(source)) {}

  static bool is_first_line(std::string_view line) { return line.starts_with("{\"kovos_partial_results\""); }

  EvaluationRun run(std::string_view line) const {
    auto const json = parsed(line, 1);
    auto const version = json.find("kovos_partial_results");
    require<DataError>(version != json.end() && version->is_number_unsigned(), source_,
                       " is no file of partial results: its first line does not say so");
    require<DataError>(*version == 1, source_, " was written by another version of Kovos (format ", version->dump(),
                       ", expected 1): merge it with that one");
    EvaluationRun run;
    run.pictures = number(json, "pictures", most_partial_pictures, 1);
    auto const settings = json.find("settings");
    auto const classes = json.find("classes");
    require<DataError>(settings != json.end() && settings->is_object() && classes != json.end() && classes->is_array(),
                       at(1), "the first line has no settings or no classes");
    for (auto const& [name, value] : settings->items()) run.settings.emplace_back(name, text(value, 1));
    for (auto const& name : *classes) run.classes.push_back(text(name, 1));
    if (auto const notes = json.find("notes"); notes != json.end() && notes->is_object()) run.notes = *notes;
    require<DataError>(!run.classes.empty() && run.classes.size() <= LabelMap::unknown, at(1), "there are ",
                       run.classes.size(), " classes, expected 1 to ", LabelMap::unknown);
    return run;
  }

  PictureResult picture(std::string_view line, std::size_t line_number, EvaluationRun const& run) const {
    auto const json = parsed(line, line_number);
    PictureResult picture;
    picture.index = number(json, "picture", run.pictures - 1, line_number);
    if (auto const name = json.find("name"); name != json.end()) picture.name = text(*name, line_number);
    if (auto const reason = json.find("unreadable"); reason != json.end()) {
      picture.unreadable = text(*reason, line_number);
      return picture;
    }
    if (auto const doubt = json.find("doubt"); doubt != json.end()) picture.doubt = text(*doubt, line_number);
    auto const cells = json.find("cells");
    require<DataError>(cells != json.end() && cells->is_array() && cells->size() % 3 == 0, at(line_number),
                       "expected a list of cells, three numbers each");
    std::int64_t pixels = 0;
    for (std::size_t i = 0; i < cells->size(); i += 3) {
      PictureResult::Cell const cell{
          count((*cells)[i], run.classes.size() - 1, line_number),
          count((*cells)[i + 1], run.classes.size(), line_number),
          static_cast<std::int64_t>(count((*cells)[i + 2], most_partial_pixels, line_number))};
      bool const in_order =
          picture.cells.empty() || std::pair(picture.cells.back().ground_truth, picture.cells.back().prediction) <
                                       std::pair(cell.ground_truth, cell.prediction);
      pixels += cell.pixels;
      require<DataError>(in_order && cell.pixels > 0 && pixels <= most_partial_pixels, at(line_number),
                         "its cells are out of order, empty or too large");
      picture.cells.push_back(cell);
    }
    if (auto const more = json.find("more"); more != json.end()) {
      require<DataError>(more->is_object(), at(line_number), "'more' is not an object");
      for (auto const& [name, counts] : more->items()) {
        require<DataError>(counts.is_array() && counts.size() <= 4 * run.classes.size(), at(line_number),
                           in_quotes(name), " is not a list of at most four numbers per class");
        auto& to = picture.more[name];
        for (auto const& value : counts)
          to.push_back(static_cast<std::int64_t>(count(value, most_partial_pixels, line_number)));
      }
    }
    return picture;
  }

 private:
  std::string at(std::size_t line) const {
    return source_ + " line " + std::to_string(line) + " is damaged (delete the line to count its picture again): ";
  }

  nlohmann::ordered_json parsed(std::string_view line, std::size_t number) const {
    auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    require<DataError>(!json.is_discarded() && json.is_object(),
                       number == 1 ? source_ + " is no file of partial results: " : at(number),
                       "expected a JSON object");
    return json;
  }

  std::size_t count(nlohmann::ordered_json const& value, std::uint64_t most, std::size_t line) const {
    require<DataError>(value.is_number_unsigned() && value.get<std::uint64_t>() <= most, at(line),
                       "expected a whole number from 0 to ", most);
    return value.get<std::size_t>();
  }

  std::size_t number(nlohmann::ordered_json const& json, char const* key, std::uint64_t most, std::size_t line) const {
    auto const value = json.find(key);
    require<DataError>(value != json.end(), at(line), "it has no '", key, "'");
    return count(*value, most, line);
  }

  std::string text(nlohmann::ordered_json const& value, std::size_t line) const {
    require<DataError>(value.is_string(), at(line), "expected a text");
    return value.get<std::string>();
  }

  std::string source_;
};

}  // namespace detail

/// Throws DataError that names the first thing in which two runs differ.
inline void require_same_run(EvaluationRun const& run, EvaluationRun const& expected, std::string const& source,
                             std::string const& expected_source) {
  auto const differ = [&](std::string const& what, std::string const& got, std::string const& wanted) {
    fail<DataError>(source, " and ", expected_source, " are of different runs and cannot be added: ", what, " is ",
                    detail::in_quotes(got), " in the first and ", detail::in_quotes(wanted), " in the second");
  };
  for (auto const& [name, value] : run.settings) {
    auto const other = std::find_if(expected.settings.begin(), expected.settings.end(),
                                    [&](auto const& setting) { return setting.first == name; });
    if (other == expected.settings.end()) differ("'" + name + "'", value, "");
    if (other->second != value) differ("'" + name + "'", value, other->second);
  }
  for (auto const& [name, value] : expected.settings)
    if (std::none_of(run.settings.begin(), run.settings.end(), [&](auto const& s) { return s.first == name; }))
      differ("'" + name + "'", "", value);
  if (run.pictures != expected.pictures)
    differ("the number of pictures", std::to_string(run.pictures), std::to_string(expected.pictures));
  if (run.classes.size() != expected.classes.size())
    differ("the number of classes", std::to_string(run.classes.size()), std::to_string(expected.classes.size()));
  for (std::size_t c = 0; c < run.classes.size(); ++c)
    if (run.classes[c] != expected.classes[c])
      differ("class " + std::to_string(c), run.classes[c], expected.classes[c]);
}

/// Partial results: a run, and the pictures that were scored so far.
struct PartialResults {
  EvaluationRun run;
  std::vector<PictureResult> pictures;
};

/// Reads what a rank wrote. A last line without its end was cut when the rank died and does not count; nothing, if that
/// is the first. Throws DataError for what is not such a file, with the line.
inline std::optional<PartialResults> parse_partial_results(std::string_view text, std::string const& source) {
  detail::PartialParser const parser(source);
  std::optional<PartialResults> results;
  for (std::size_t line = 1;; ++line) {
    auto const end = text.find('\n');
    if (end == text.npos) break;
    auto const whole = text.substr(0, end);
    if (line == 1) results.emplace().run = parser.run(whole);
    // Files that were joined by hand have more than one first line.
    else if (detail::PartialParser::is_first_line(whole))
      require_same_run(parser.run(whole), results->run, source + " line " + std::to_string(line), "its first line");
    else results->pictures.push_back(parser.picture(whole, line, results->run));
    text.remove_prefix(end + 1);
  }
  return results;
}

/// Adds the pictures of one run from any number of ranks, files and attempts.
class JoinedResults {
 public:
  explicit JoinedResults(EvaluationRun run) : run_(std::move(run)) {}

  EvaluationRun const& run() const { return run_; }

  /// Takes a picture. One that is there already must be equal and counts once; one that could not be read gives way to
  /// one that could. Throws DataError.
  void add(PictureResult picture, std::string const& source) {
    auto const [place, is_new] = pictures_.try_emplace(picture.index, picture);
    if (is_new || picture.unreadable) return;
    auto& known = place->second;
    bool const same = known.cells == picture.cells && known.more == picture.more;
    require<DataError>(known.unreadable || same, source, " has another result for picture ", picture.index, " (",
                       detail::in_quotes(picture.name), ") than was found before: pictures, labels or weights ",
                       "changed between the runs, or the machines compute differently; begin again in an empty folder");
    if (known.unreadable) known = std::move(picture);
  }

  /// Takes all of a file. Throws DataError if it is of another run.
  void add(PartialResults results, std::string const& source, std::string const& own_source) {
    require_same_run(results.run, run_, source, own_source);
    for (auto& picture : results.pictures) add(std::move(picture), source);
  }

  /// Whether this picture was scored.
  bool has(std::size_t index) const {
    auto const place = pictures_.find(index);
    return place != pictures_.end() && !place->second.unreadable;
  }

  /// How many pictures have neither a result nor a reason why not.
  std::size_t missing() const { return run_.pictures - pictures_.size(); }

  std::map<std::size_t, PictureResult> const& pictures() const { return pictures_; }

  ConfusionMatrix matrix() const {
    ConfusionMatrix matrix(run_.classes.size());
    for (auto const& [index, picture] : pictures_)
      for (auto const& cell : picture.cells) matrix(cell.ground_truth, cell.prediction) += cell.pixels;
    return matrix;
  }

  /// The boundaries of all pictures that were scored. Throws DataError if one has no such counts, or damaged ones.
  BoundaryCounts boundary() const {
    BoundaryCounts sum(run_.classes.size());
    for (auto const& [index, picture] : pictures_) {
      if (picture.unreadable) continue;
      auto const place = picture.more.find(boundary_counts_name);
      bool good = place != picture.more.end() && place->second.size() % 4 == 0;
      for (std::size_t i = 0; good && i < place->second.size(); i += 4) {
        auto const* const value = place->second.data() + i;
        auto const c = static_cast<std::size_t>(value[0]);
        good = c < sum.classes() && (i == 0 || value[0] > value[-4]) && value[3] <= std::min(value[1], value[2]);
        if (!good) break;
        sum.ground_truth()[c] += value[1];
        sum.predicted()[c] += value[2];
        sum.both()[c] += value[3];
      }
      require<DataError>(good, "the result of picture ", index, " (", detail::in_quotes(picture.name),
                         ") has no boundary counts, or damaged ones: delete its line and score it again with --resume");
    }
    return sum;
  }

 private:
  EvaluationRun run_;
  std::map<std::size_t, PictureResult> pictures_;
};

/// The files of partial results in a folder, in order.
inline std::vector<std::filesystem::path> partial_files(std::filesystem::path const& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().extension() == ".jsonl") files.push_back(entry->path());
  require<FileError>(!error, detail::shown(folder), " could not be listed: ", error.message());
  std::sort(files.begin(), files.end());
  return files;
}

/// Reads one file of partial results; nothing if it ends within its first line. Throws FileError or DataError.
inline std::optional<PartialResults> read_partial_results(std::filesystem::path const& path) {
  auto const bytes = read_file(path);
  return parse_partial_results({reinterpret_cast<char const*>(bytes.data()), bytes.size()}, detail::shown(path));
}

}  // namespace kovos
