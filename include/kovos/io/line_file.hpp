// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// A new file that grows by whole lines, each handed to the system at once: a process that is killed leaves all lines
/// that it wrote and at most one cut line, without its end, as the last.
class LineFile {
 public:
  /// Makes a file of this name, or of the same with -2, -3 ... before its extension if there is one already: no other
  /// process, now or before, writes into it. Throws FileError if it cannot be made.
  explicit LineFile(std::filesystem::path path) {
    auto const wanted = path;
    for (std::size_t count = 2;; ++count) {
      descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
      if (descriptor_ >= 0) break;
      int const error = errno;
      require<FileError>(error == EEXIST, "cannot write ", detail::shown(path), ": ", detail::reason(error),
                         "; check that its folder exists and is writable");
      path = wanted;
      path.replace_filename(wanted.stem().string() + "-" + std::to_string(count) + wanted.extension().string());
    }
    path_ = std::move(path);
  }
  LineFile(LineFile const&) = delete;
  LineFile& operator=(LineFile const&) = delete;
  ~LineFile() { ::close(descriptor_); }

  std::filesystem::path const& path() const { return path_; }

  /// Appends a line; its end is added. Throws FileError if it cannot be written in full, after which the file takes no
  /// more.
  void append(std::string line) {
    require<FileError>(!failed_, "cannot write ", detail::shown(path_), ": an earlier line was cut");
    line += '\n';
    for (std::size_t written = 0; written < line.size();) {
      auto const count = ::write(descriptor_, line.data() + written, line.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        failed_ = true;
        fail<FileError>("cannot write ", detail::shown(path_), ": ", detail::reason(errno),
                        "; the lines before are complete");
      }
      written += static_cast<std::size_t>(count);
    }
  }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  bool failed_ = false;
};

}  // namespace kovos
