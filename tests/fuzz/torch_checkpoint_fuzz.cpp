// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/tensor_bytes.hpp"

/// Any bytes either parse, and then every tensor converts, or are refused with one of our errors. Input that is no
/// archive is also read as a pickle (of the older form if its protocol is 3), which mutation seldom reaches through the
/// container.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const content = std::as_bytes(std::span(data, size));
  try {
    auto const file = kovos::parse_checkpoint(content, "input", nullptr);
    for (auto const& [name, tensor] : file.tensors) static_cast<void>(kovos::to_float(tensor));
  } catch (kovos::Error const&) {
  }
  if (size < 2 || data[0] != 0x80) return 0;
  try {
    kovos::detail::TorchFile file;
    file.pickle = kovos::detail::Unpickler(content, "input", data[1] == 3).read();
    file.container = "torch legacy";  // which lets storages be longer than needed
    std::vector<std::byte> const storage(256);
    for (auto const& used : file.pickle.storages) file.storages[std::string(used.key)].bytes = storage;
    auto const result = kovos::detail::TorchTensors(std::move(file), content, "input", nullptr).gather();
    for (auto const& [name, tensor] : result.tensors) static_cast<void>(kovos::to_float(tensor));
  } catch (kovos::Error const&) {
  }
  return 0;
}
