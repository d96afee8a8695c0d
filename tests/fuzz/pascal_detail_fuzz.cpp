// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/data/pascal_context.hpp"
#include "kovos/io/pascal_detail.hpp"

/// Any bytes either hold pictures, which are painted, or are refused with one of our errors.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    for (auto const& picture : kovos::parse_pascal_detail(std::as_bytes(std::span(data, size)), "val", "input")) {
      // Larger ones take their time, not another way.
      if (picture.height * picture.width < (1u << 20)) static_cast<void>(kovos::pascal_context_59_labels(picture));
    }
  } catch (kovos::Error const&) {
  }
  return 0;
}
