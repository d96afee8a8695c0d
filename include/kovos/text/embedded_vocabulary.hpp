// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kovos/core/config.hpp"
#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/text/vocabulary.hpp"

namespace kovos {

/// The name under which a checkpoint carries its own merges file: u8 [bytes of the text].
inline constexpr std::string_view embedded_merges_key = "tokenizer.merges";

/// A merges text as a tensor, u8 [bytes], to be stored as `embedded_merges_key`. Throws TextError if Vocabulary cannot
/// read the text: a checkpoint must not carry a tokenizer that nobody can use.
inline TensorBytes vocabulary_tensor(std::string_view merges_text) {
  Vocabulary(merges_text, embedded_merges_key);
  auto owner = std::make_shared<std::string const>(merges_text);
  auto const bytes = std::as_bytes(std::span<char const>(*owner));
  return {DType::u8, {owner->size()}, bytes, std::move(owner)};
}

/// The merges text in a checkpoint; nothing if it carries none. Throws TextError if the entry is no text.
inline std::optional<std::string> embedded_merges(NamedTensors const& file) {
  auto const found = file.tensors.find(std::string(embedded_merges_key));
  if (found == file.tensors.end()) return std::nullopt;
  auto const& tensor = found->second;
  require<TextError>(tensor.dtype == DType::u8 && tensor.shape.size() == 1, detail::in_quotes(file.source), ": ",
                     detail::in_quotes(embedded_merges_key), " is ", name_of(tensor.dtype), " of rank ",
                     tensor.shape.size(), ", expected the bytes of a merges file as U8 of rank 1");
  return std::string(reinterpret_cast<char const*>(tensor.bytes.data()), tensor.bytes.size());
}

/// The vocabulary of a checkpoint that was read from `weights`: `given`, else the one the checkpoint carries, else as
/// find_vocabulary(weights) finds it. Throws FileError or TextError.
KOVOS_DOOR Vocabulary find_vocabulary(NamedTensors const& file, std::filesystem::path const& weights,
                                      std::optional<std::filesystem::path> const& given = {});

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Vocabulary find_vocabulary(NamedTensors const& file, std::filesystem::path const& weights,
                                      std::optional<std::filesystem::path> const& given) {
  if (!given) {
    if (auto const merges = embedded_merges(file)) {
      return Vocabulary(*merges, weights.string() + ": " + std::string(embedded_merges_key));
    }
  }
  return find_vocabulary(weights, given);
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
