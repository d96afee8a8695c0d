// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/io/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    (void)kovos::decode_image({reinterpret_cast<std::byte const*>(data), size}, "input");
  } catch (kovos::ImageError const&) {
  }
  return 0;
}
