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
#include <system_error>
#include <utility>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/distributed_checkpoint.hpp"
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
KOVOS_COLD inline std::string describe_foreign_file(std::span<std::byte const> content) {
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

namespace detail {

/// The tensors of one file under the names that stand there.
KOVOS_COLD inline NamedTensors parse_container(std::span<std::byte const> content, std::string const& source_name,
                                               std::shared_ptr<void const> owner, std::string_view entry = {}) {
  if (begins_with(content, {"PK\x03\x04", 4}) || legacy_magic_size(content) > 0) {
    return parse_torch_checkpoint(content, source_name, std::move(owner), entry);
  }
  bool const safetensors = resembles_safetensors(content);
  require<CheckpointError>(entry.empty() || !safetensors, in_quotes(source_name), " is a safetensors file, which has ",
                           "no entries inside it: leave out '#", entry, "'");
  if (safetensors) return parse_safetensors(content, source_name, std::move(owner));
  fail<CheckpointError>(in_quotes(source_name), " ", describe_foreign_file(content),
                        "; expected weights as .safetensors, its index.json, or .pth / .pt / .bin from torch.save");
}

/// "FILE#ENTRY" becomes FILE and ENTRY, unless there is a file of the whole name.
inline std::pair<std::filesystem::path, std::string> split_entry(std::filesystem::path const& path) {
  auto const name = path.filename().string();
  auto const mark = name.rfind('#');
  std::error_code ignored;
  if (mark == std::string::npos || mark == 0 || mark + 1 == name.size() || std::filesystem::exists(path, ignored)) {
    return {path, ""};
  }
  return {path.parent_path() / name.substr(0, mark), name.substr(mark + 1)};
}

KOVOS_COLD inline NamedTensors read_container(std::filesystem::path const& path, std::string const& entry) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored) && std::filesystem::exists(path / ".metadata", ignored)) {
    return read_distributed_checkpoint(path, entry);
  }
  auto const file = MappedFile::open(path);
  auto const content = file->bytes();
  require<CheckpointError>(path.extension() != ".distcp" || !begins_with(content, {"PK\x03\x04", 4}), shown(path),
                           " is one shard of a checkpoint of torch.distributed.checkpoint: give the folder with its ",
                           "file '.metadata' instead");
  // A safetensors header of 123 bytes also begins with '{': its length.
  if (!resembles_safetensors(content) && resembles_json(content)) {
    require<CheckpointError>(entry.empty(), shown(path), " is an index, which has no entries inside it: leave out '#",
                             entry, "'");
    return read_shards(path, [](std::filesystem::path const& shard) {
      auto const part = MappedFile::open(shard);
      auto tensors = parse_container(part->bytes(), shard.string(), part);
      tensors.stamp = part->stamp();
      return tensors;
    });
  }
  auto tensors = parse_container(content, path.string(), file, entry);
  tensors.stamp = file->stamp();
  return tensors;
}

}  // namespace detail

/// Reads the bytes of a checkpoint whose kind is recognised from its content, and drops `module.` and `_orig_mod.` from
/// the names. Throws CheckpointError.
KOVOS_DOOR NamedTensors parse_checkpoint(std::span<std::byte const> content, std::string const& source_name,
                                         std::shared_ptr<void const> owner);

/// Reads a checkpoint of any kind we know, recognised from its content and not from its name: safetensors, the index of
/// several files (safetensors or torch.save), torch.save's zip archive, its older form, TorchScript, a folder of
/// torch.distributed.checkpoint. Files are mapped, not copied. `module.` and `_orig_mod.` are dropped from the names
/// (drop_wrapper_prefixes). "FILE#ENTRY" reads an entry of a PyTorch file other than `model` or `state_dict`, such as
/// averaged weights under `model_ema`. Throws FileError for a missing or unreadable file, CheckpointError if it has no
/// usable weights.
KOVOS_DOOR NamedTensors read_checkpoint(std::filesystem::path const& path);

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR NamedTensors parse_checkpoint(std::span<std::byte const> content, std::string const& source_name,
                                         std::shared_ptr<void const> owner) {
  auto tensors = detail::parse_container(content, source_name, std::move(owner));
  drop_wrapper_prefixes(tensors);
  return tensors;
}

KOVOS_DOOR NamedTensors read_checkpoint(std::filesystem::path const& path) {
  auto const [file, entry] = detail::split_entry(path);
  auto tensors = detail::read_container(file, entry);
  if (!entry.empty()) {
    tensors.source = path.string();
    tensors.stamp += " #" + entry;
  }
  drop_wrapper_prefixes(tensors);
  return tensors;
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
