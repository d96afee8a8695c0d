// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "kovos/distribution/partial_results.hpp"

/// Whatever the bytes are, they are read or refused; what was read adds up to no negative count.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    auto results = kovos::parse_partial_results({reinterpret_cast<char const*>(data), size}, "fuzz");
    if (!results || results->run.classes.size() > 100) return 0;
    kovos::JoinedResults joined(results->run);
    joined.add(std::move(*results), "fuzz", "fuzz");
    if (joined.matrix().pixels() < 0) std::abort();
    auto const boundary = joined.boundary();
    for (auto const pixels : boundary.both())
      if (pixels < 0) std::abort();
  } catch (kovos::Error const&) {
  }
  return 0;
}
