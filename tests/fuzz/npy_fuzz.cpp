// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/io/npy.hpp"
#include "kovos/io/tensor_bytes.hpp"

/// Any bytes either parse, and then convert, or are refused with one of our errors.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    static_cast<void>(kovos::to_float(kovos::parse_npy(std::as_bytes(std::span(data, size)), "input", nullptr)));
  } catch (kovos::Error const&) {
  }
  return 0;
}
