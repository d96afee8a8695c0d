// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kovos/core/error.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/io/torch_checkpoint.hpp"

namespace kovos {

namespace detail {

/// Whether a file begins as safetensors does: a length, then '{'. The length may be wrong; the reader says so.
inline bool resembles_safetensors(std::span<std::byte const> content) {
  return content.size() > 8 && content[8] == std::byte{'{'} &&
         load_element<std::uint64_t>(content.data()) <= (std::uint64_t{1} << 40);
}

/// A JSON text rather than binary data.
inline bool resembles_json(std::span<std::byte const> content) {
  std::string_view const text(reinterpret_cast<char const*>(content.data()), std::min<std::size_t>(content.size(), 64));
  auto const first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

/// In words, what a file that holds no weights for us looks like.
inline std::string describe_foreign_file(std::span<std::byte const> content) {
  if (content.empty()) return "is empty";
  struct Known {
    std::string_view magic, words;
  };
  using namespace std::string_view_literals;
  for (auto const& known : {
           Known{"\x93NUMPY"sv, "is a NumPy array"},
           Known{"\x1f\x8b"sv, "is compressed with gzip, unpack it first"},
           Known{"BZh"sv, "is compressed with bzip2, unpack it first"},
           Known{"\xfd\x37zXZ"sv, "is compressed with xz, unpack it first"},
           Known{"\x28\xb5\x2f\xfd"sv, "is compressed with zstd, unpack it first"},
           Known{"7z\xbc\xaf"sv, "is a 7z archive, unpack it first"},
           Known{"PYTORCH1"sv, "is a PyTorch archive of a form before 1.0, save it again with a newer PyTorch"},
           Known{"\x89HDF"sv, "is an HDF5 file (Keras?)"},
           Known{"GGUF"sv, "is a GGUF file"},
           Known{"\x89PNG"sv, "is a PNG picture"},
           Known{"\xff\xd8\xff"sv, "is a JPEG picture"},
           Known{"version https://git-lfs"sv, "is only a Git LFS pointer, fetch the file itself with 'git lfs pull'"},
           Known{"<!DOCTYPE"sv, "is a web page, so the download went wrong"},
           Known{"<!doctype"sv, "is a web page, so the download went wrong"},
           Known{"<html"sv, "is a web page, so the download went wrong"},
           Known{"PK\x05\x06"sv, "is an empty zip archive"},
       }) {
    if (begins_with(content, known.magic)) return std::string(known.words);
  }
  if (content.size() > 262 && begins_with(content.subspan(257), "ustar")) {
    return "is a tar archive (PyTorch before 0.1.13 or a packed folder), unpack it or save it again";
  }
  if (content[0] == std::byte{0x80} && content.size() > 1 && content[1] <= std::byte{5}) {
    return "is a plain Python pickle (a detectron2 .pkl?), save it again with torch.save";
  }
  return "is of an unknown kind";
}

}  // namespace detail

/// Reads the bytes of a checkpoint whose kind is recognised from its content. Throws CheckpointError.
inline NamedTensors parse_checkpoint(std::span<std::byte const> content, std::string const& source_name,
                                     std::shared_ptr<void const> owner) {
  if (detail::begins_with(content, {"PK\x03\x04", 4}) || detail::begins_with(content, detail::legacy_magic)) {
    return parse_torch_checkpoint(content, source_name, std::move(owner));
  }
  if (detail::resembles_safetensors(content)) return parse_safetensors(content, source_name, std::move(owner));
  fail<CheckpointError>(detail::in_quotes(source_name), " ", detail::describe_foreign_file(content),
                        "; expected weights as .safetensors, its index.json, or .pth / .pt / .bin from torch.save");
}

/// Reads a checkpoint of any kind we know, recognised from its content and not from its name: safetensors, the index of
/// several files (safetensors or torch.save), torch.save's zip archive, its older form, TorchScript. The file is
/// mapped, not copied. Throws FileError for a missing or unreadable file, CheckpointError if it has no usable weights.
inline NamedTensors read_checkpoint(std::filesystem::path const& path) {
  auto const file = MappedFile::open(path);
  auto const content = file->bytes();
  // A safetensors header of 123 bytes also begins with '{': its length.
  if (!detail::resembles_safetensors(content) && detail::resembles_json(content)) {
    return detail::read_shards(path, [](std::filesystem::path const& shard) {
      auto const part = MappedFile::open(shard);
      auto tensors = parse_checkpoint(part->bytes(), shard.string(), part);
      tensors.stamp = part->stamp();
      return tensors;
    });
  }
  auto tensors = parse_checkpoint(content, path.string(), file);
  tensors.stamp = file->stamp();
  return tensors;
}

}  // namespace kovos
