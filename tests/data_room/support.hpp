// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace kovos::test {

/// A fresh folder that removes itself.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int counter = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("kovos_data_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  std::filesystem::path const& path() const { return path_; }
  std::filesystem::path write(std::string const& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// The message of the error of type E that `call` throws; another sentence if it throws something else or nothing.
template <class E, class Call>
std::string message_of(Call const& call) {
  try {
    call();
  } catch (E const& error) {
    return error.what();
  } catch (std::exception const& error) {
    return std::string("another exception: ") + error.what();
  }
  return "nothing was thrown";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace kovos::test
