// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kovos/core/dtype.hpp"

namespace kovos {

/// One tensor of a file: contiguous, row-major, little-endian bytes that live as long as `owner`.
struct TensorBytes {
  DType dtype = DType::f32;
  std::vector<std::size_t> shape;     // empty for a scalar
  std::span<std::byte const> bytes;   // size_of(dtype) * product(shape); not necessarily aligned
  std::shared_ptr<void const> owner;  // keeps the mapping or the buffer alive

  std::size_t size() const {
    std::size_t count = 1;
    for (auto extent : shape) count *= extent;
    return count;
  }
};

/// What every checkpoint reader returns: name -> tensor, and where it came from.
struct NamedTensors {
  std::map<std::string, TensorBytes> tensors;
  std::map<std::string, std::string> metadata;
  std::string source;     // path, for messages
  std::string container;  // "safetensors", "torch zip", "torch legacy", "torchscript"
  std::string stamp;      // MappedFile::stamp() of the file or of each of its parts; empty if unknown
  bool finite = false;    // known to hold neither NaN nor infinity
};

}  // namespace kovos
