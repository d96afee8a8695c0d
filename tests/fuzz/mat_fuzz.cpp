// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "kovos/core/error.hpp"
#include "kovos/data/pascal_context.hpp"
#include "kovos/io/mat_file.hpp"

/// Any bytes either hold the matrix or are refused with one of our errors.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  try {
    auto const matrix = kovos::parse_mat(std::as_bytes(std::span(data, size)), "LabelMap", "input");
    static_cast<void>(kovos::pascal_context_459_labels(matrix, "input"));
  } catch (kovos::Error const&) {
  }
  return 0;
}
