// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>

namespace kovos::cli {

/// One line on standard error that tells which picture is being worked on; silent unless that is a terminal.
class Progress {
 public:
  explicit Progress(std::size_t total) : total_(total), active_(isatty(STDERR_FILENO) != 0) {}
  Progress(Progress const&) = delete;
  Progress& operator=(Progress const&) = delete;
  ~Progress() { clear(); }

  void show(std::size_t done, std::string const& what) {
    if (!active_) return;
    constexpr std::size_t width = 24;
    std::size_t const filled = total_ == 0 ? width : width * done / total_;
    std::string const bar = std::string(filled, '#') + std::string(width - filled, '.');
    std::fprintf(stderr, "\r\033[K[%s] %zu/%zu %s", bar.c_str(), done, total_, what.c_str());
    std::fflush(stderr);
  }

  /// Removes the line, before something else is printed.
  void clear() {
    if (active_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  std::size_t total_;
  bool active_;
};

}  // namespace kovos::cli
