// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "kovos/core/error.hpp"
#include "kovos/io/distributed_checkpoint.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace {

/// A folder for this process that removes itself.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("kovos-fuzz-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

void store(std::filesystem::path const& path, std::string_view content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

}  // namespace

/// The input is the length of a list `.metadata` in two bytes, the list, and the one shard that it names.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static Folder const folder;
  if (size < 2) return 0;
  std::string_view const content(reinterpret_cast<char const*>(data) + 2, size - 2);
  std::size_t const length = data[0] + (std::size_t{data[1]} << 8);
  if (length > content.size()) return 0;
  store(folder.path / ".metadata", content.substr(0, length));
  store(folder.path / "__0_0.distcp", content.substr(length));
  try {
    auto const file = kovos::read_distributed_checkpoint(folder.path);
    for (auto const& [name, tensor] : file.tensors) static_cast<void>(kovos::to_float(tensor));
  } catch (kovos::Error const&) {
  }
  return 0;
}
