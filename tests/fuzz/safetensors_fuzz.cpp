// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

/// Any bytes either parse, and then every tensor converts, or are refused with one of our errors.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    auto const file = kovos::parse_safetensors(std::as_bytes(std::span(data, size)), "input", nullptr);
    for (auto const& [name, tensor] : file.tensors) static_cast<void>(kovos::to_float(tensor));
  } catch (kovos::Error const&) {
  }
  return 0;
}
