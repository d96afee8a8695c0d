// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/machine.hpp"

namespace kovos::bench {

inline std::string text(char const* format, ...) __attribute__((format(printf, 1, 2)));
inline std::string text(char const* format, ...) {
  char buffer[256];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

/// One row of a Markdown table on standard output.
inline void print_row(std::vector<std::string> const& cells) {
  for (auto const& cell : cells) std::printf("| %s ", cell.c_str());
  std::printf("|\n");
}

inline void print_header(std::vector<std::string> const& cells) {
  print_row(cells);
  print_row(std::vector<std::string>(cells.size(), "---"));
}

/// One line below a table: enough to repeat the measurement.
inline void print_machine(Json const& m) {
  std::printf(
      "\n%s, %d threads (%s), engine %s, Kokkos %s, %s, Kovos %s at %.10s (tree %s), load average before %.2f, %s\n\n",
      m.at("cpu").get<std::string>().c_str(), m.at("threads").get<int>(),
      m.at("execution_space").get<std::string>().c_str(), m.at("engine").get<std::string>().c_str(),
      m.at("kokkos").get<std::string>().c_str(), m.at("compiler").get<std::string>().c_str(),
      m.at("kovos").get<std::string>().c_str(), m.at("commit").get<std::string>().c_str(),
      m.at("tree").get<std::string>().c_str(), m.at("load_average_before").get<double>(),
      m.at("date").get<std::string>().c_str());
}

/// Writes the record; an empty path writes nothing.
inline void write_json(std::string const& path, Json const& record) {
  if (path.empty()) return;
  std::ofstream out(path);
  out << record.dump(1) << "\n";
  if (!out.flush()) throw std::runtime_error(path + ": cannot be written");
}

/// Options of the form --name=value or --name value, and what is left.
class Arguments {
 public:
  Arguments(int count, char** values) : values_(values + 1, values + count) {}

  std::string option(std::string const& name, std::string fallback = "") {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (values_[i].starts_with(name + "=")) {
        fallback = values_[i].substr(name.size() + 1);
        remove(i, 1);
        return fallback;
      }
      if (values_[i] == name && i + 1 < values_.size()) {
        fallback = values_[i + 1];
        remove(i, 2);
        return fallback;
      }
    }
    return fallback;
  }

  /// Separated by commas.
  std::vector<std::string> list(std::string const& name, std::string const& fallback) {
    std::vector<std::string> items(1);
    for (char const c : option(name, fallback)) {
      if (c == ',') items.emplace_back();
      else items.back() += c;
    }
    return items;
  }

  std::vector<std::string> const& rest() const { return values_; }

 private:
  void remove(std::size_t first, std::size_t count) {
    auto const at = values_.begin() + static_cast<std::ptrdiff_t>(first);
    values_.erase(at, at + static_cast<std::ptrdiff_t>(count));
  }

  std::vector<std::string> values_;
};

}  // namespace kovos::bench
