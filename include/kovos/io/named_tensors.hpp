// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
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

  /// Tensors of the file that Kovos cannot hold and that are therefore not among `tensors`: name -> why, as the end of
  /// a sentence that begins with the name.
  std::map<std::string, std::string> left_out;
  std::vector<std::string> other_entries;  // of a PyTorch file: further dictionaries of tensors, read as FILE#ENTRY
  std::string dropped_prefixes;            // "module." if names lost it on reading; see drop_wrapper_prefixes
};

/// Takes from the names what training wrapped around the model: a leading `module.` (DataParallel, AveragedModel) and
/// `_orig_mod.` (torch.compile) anywhere, whether all names have them or not. Names stay as they are if two would
/// become one.
KOVOS_COLD inline void drop_wrapper_prefixes(NamedTensors& file) {
  constexpr std::string_view compiled = "_orig_mod.", parallel = "module.";
  bool had_compiled = false, had_parallel = false;
  auto const shortened = [&](std::string name) {
    for (auto at = name.find(compiled); at != std::string::npos; at = name.find(compiled, at)) {
      bool const whole = at == 0 || name[at - 1] == '.';
      if (whole && at + compiled.size() < name.size()) {
        name.erase(at, compiled.size());
        had_compiled = true;
      } else {
        at += compiled.size();
      }
    }
    while (name.starts_with(parallel) && name.size() > parallel.size()) {
      name.erase(0, parallel.size());
      had_parallel = true;
    }
    return name;
  };
  std::map<std::string, TensorBytes> tensors;
  std::map<std::string, std::string> left_out;
  for (auto const& [name, tensor] : file.tensors)
    if (!tensors.emplace(shortened(name), tensor).second) return;
  for (auto const& [name, why] : file.left_out) {
    auto const shorter = shortened(name);
    if (tensors.contains(shorter) || !left_out.emplace(shorter, why).second) return;
  }
  if (!had_compiled && !had_parallel) return;
  file.tensors = std::move(tensors);
  file.left_out = std::move(left_out);
  file.dropped_prefixes = std::string(had_parallel ? parallel : "") + std::string(had_compiled ? compiled : "");
}

}  // namespace kovos
