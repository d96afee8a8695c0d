// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "kovos/text/vocabulary.hpp"

namespace kovos::test {

/// OpenAI's file, which is not ours to keep here: from $KOVOS_HOME or the acceptance data. Nothing if it is in neither.
inline std::optional<std::filesystem::path> public_vocabulary_file() {
  std::string const name = "bpe_simple_vocab_16e6.txt.gz";
  char const* const home = std::getenv("KOVOS_HOME");
  for (std::string const& folder : {std::string(home != nullptr ? home : ""), std::string(KOVOS_SHARED_DIR "/data")}) {
    if (!folder.empty() && std::filesystem::exists(folder + "/" + name)) return folder + "/" + name;
  }
  MESSAGE("skipped: the public vocabulary " << name << " is neither in $KOVOS_HOME nor in the acceptance data");
  return std::nullopt;
}

/// A fresh folder that removes itself.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int counter = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("kovos_text_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
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

/// The message of the error of type E that `call` throws; "nothing was thrown" if it does not.
template <class E, class Call>
std::string message_of(Call const& call) {
  try {
    call();
  } catch (E const& error) {
    return error.what();
  }
  return "nothing was thrown";
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// Merges of our own for a few words.
inline constexpr std::string_view small_merges =
    "#version: 0.2\n"
    "c a\n"                     // 512
    "ca t</w>\n"                // 513
    "t h\n"                     // 514
    "th e</w>\n"                // 515
    "a n\n"                     // 516
    "an a</w>\n"                // 517
    "! !\n"                     // 518
    "\xC3\x83 \xC2\xA9</w>\n";  // 519: e with acute accent, whose bytes are c3 a9

}  // namespace kovos::test
