// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/hash.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos {

/// Text embeddings on disk, one small safetensors file per (text encoder, prompts), named by their fingerprint.
/// The folder is $KOVOS_CACHE, else $XDG_CACHE_HOME/kovos, else ~/.cache/kovos. A cache that cannot be read or written
/// is as good as none: nothing is ever thrown.
class EmbeddingCache {
 public:
  EmbeddingCache() : folder_(default_folder()) {}
  explicit EmbeddingCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  static std::filesystem::path default_folder() {
    auto const variable = [](char const* name) -> std::filesystem::path {
      char const* const value = std::getenv(name);
      return value ? value : "";
    };
    if (auto const path = variable("KOVOS_CACHE"); !path.empty()) return path;
    if (auto const path = variable("XDG_CACHE_HOME"); !path.empty()) return path / "kovos";
    if (auto const path = variable("HOME"); !path.empty()) return path / ".cache" / "kovos";
    return {};
  }

  /// Empty if nothing is to be kept.
  std::filesystem::path const& folder() const { return folder_; }

  /// The stored features of the given extents, if there are any.
  std::optional<Tensor<float, dynamic_extents<3>>> find(Fingerprint const& key, dynamic_extents<3> extents) const {
    if (folder_.empty()) return std::nullopt;
    auto const path = file_of(key);
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
    try {
      auto const file = read_safetensors(path);
      auto const found = file.tensors.find("text_features");
      if (found == file.tensors.end() || found->second.dtype != DType::f32 ||
          found->second.shape != std::vector<std::size_t>{extents[0], extents[1], extents[2]})
        return std::nullopt;
      Tensor<float, dynamic_extents<3>> features(extents);
      auto const values = to_float(found->second);
      std::copy(values.begin(), values.end(), features.data());
      return features;
    } catch (Error const&) {
      return std::nullopt;
    }
  }

  void store(Fingerprint const& key, Tensor<float, dynamic_extents<3>> const& features) const {
    if (folder_.empty()) return;
    try {
      std::filesystem::create_directories(folder_);
      NamedTensors file;
      auto& entry = file.tensors["text_features"];
      entry.dtype = DType::f32;
      entry.shape = {features.extent(0), features.extent(1), features.extent(2)};
      entry.bytes = std::as_bytes(std::span(features.data(), features.size()));
      file.metadata["format"] = "kovos text embeddings";
      write_safetensors(file_of(key), file);
    } catch (std::exception const&) {
      // The next start encodes the words again.
    }
  }

 private:
  std::filesystem::path file_of(Fingerprint const& key) const {
    return folder_ / ("text-" + key.to_string() + ".safetensors");
  }

  std::filesystem::path folder_;
};

}  // namespace kovos
