// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/detail/pickle.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/io/torch_checkpoint.hpp"

namespace kovos {

namespace detail {

/// Reads a folder that torch.distributed.checkpoint wrote. The pickle `.metadata` lists, for each tensor, its chunks
/// (offsets and sizes) and, for each chunk, a file with offset and length; that range is an archive of torch.save that
/// holds one tensor. The pickle's objects are opaque nodes whose state is read as data.
class DistributedCheckpoint {
 public:
  explicit DistributedCheckpoint(std::filesystem::path folder)
      : folder_(std::move(folder)),
        where_(shown(folder_ / ".metadata")),
        list_(MappedFile::open(folder_ / ".metadata")),
        pickle_(Unpickler(list_->bytes(), where_, false).read()) {}

  KOVOS_COLD NamedTensors read(std::string_view entry) {
    NamedTensors result;
    result.source = folder_.string();
    result.container = "torch distributed";
    take_places();
    take_paths();
    auto const tensors = field(pickle_.root, "state_dict_metadata", Kind::dictionary);
    auto const chosen = choose_entry(tensors, entry);
    auto const& items = pickle_[tensors].items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      auto const& key = pickle_[items[i]];
      auto const& described = pickle_[items[i + 1]];
      if (key.kind != Kind::text || described.text != "TensorStorageMetadata") continue;
      auto name = name_in(key.text, chosen);
      if (!name) continue;
      require<CheckpointError>(is_utf8(*name), where_, ": the tensor name ", in_quotes(*name), " is not UTF-8");
      auto const& type = type_of(items[i + 1]);
      if (!type.dtype) {
        result.left_out.insert_or_assign(*name, "has the element type " + std::string(type.name) +
                                                    ", which is not supported: convert it to float32 first");
        continue;
      }
      result.tensors.insert_or_assign(std::move(*name), assemble(key.text, items[i + 1]));
    }
    require<CheckpointError>(!result.tensors.empty(), shown(folder_), " holds no tensors",
                             entry.empty() ? "" : " in the entry ", entry);
    result.stamp = list_->stamp();
    for (auto const& [file, part] : parts_) result.stamp += "; " + part->stamp();
    return result;
  }

 private:
  using Kind = PickleNode::Kind;
  using Index = std::uint32_t;
  using Sizes = std::vector<std::size_t>;
  static constexpr std::size_t most_chunks = 4096, most_chunks_in_all = 1'000'000;

  struct Place {
    std::string_view file;
    std::size_t offset = 0, length = 0;
    bool transformed = false;
  };

  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<CheckpointError>(where_, " is no list of torch.distributed.checkpoint that Kovos can read: ", parts...);
  }

  /// The value of an attribute of an object, if it has one; the objects of a list have a handful.
  std::optional<Index> attribute(Index object, std::string_view name) const {
    auto const& node = pickle_[object];
    if (node.kind != Kind::opaque || node.items.size() != 1 || pickle_[node.items[0]].kind != Kind::dictionary) {
      return std::nullopt;
    }
    if (pickle_[node.items[0]].items.size() > 64) complain("an object has too many attributes");
    return pickle_.find(node.items[0], name);
  }
  Index field(Index object, std::string_view name, Kind kind) const {
    auto const found = attribute(object, name);
    if (!found || pickle_[*found].kind != kind) complain("an object lacks its ", in_quotes(name));
    return *found;
  }
  std::size_t number(Index node) const {
    if (pickle_[node].kind != Kind::integer || pickle_[node].integer < 0) complain("a size is no number >= 0");
    return static_cast<std::size_t>(pickle_[node].integer);
  }
  Sizes sizes(Index node) const {
    auto const& tuple = pickle_[node];
    if (tuple.kind != Kind::tuple && tuple.kind != Kind::list) complain("sizes are no tuple");
    if (tuple.items.size() > Unpickler::most_extents) complain("a tensor has ", tuple.items.size(), " dimensions");
    Sizes result;
    for (auto const item : tuple.items) result.push_back(number(item));
    return result;
  }
  Sizes sizes_of(Index object, std::string_view name) const {
    auto const found = attribute(object, name);
    if (!found) complain("an object lacks its ", in_quotes(name));
    return sizes(*found);
  }

  /// storage_data: {MetadataIndex(fqn, offset): _StorageInfo(relative_path, offset, length)}.
  KOVOS_COLD void take_places() {
    auto const& items = pickle_[field(pickle_.root, "storage_data", Kind::dictionary)].items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      auto const name = pickle_[field(items[i], "fqn", Kind::text)].text;
      auto const offset = attribute(items[i], "offset");
      Place place;
      place.file = pickle_[field(items[i + 1], "relative_path", Kind::text)].text;
      place.offset = number(field(items[i + 1], "offset", Kind::integer));
      place.length = number(field(items[i + 1], "length", Kind::integer));
      auto const transforms = attribute(items[i + 1], "transform_descriptors");
      place.transformed = transforms && !pickle_[*transforms].items.empty();
      bool const located = offset && pickle_[*offset].kind != Kind::none;
      places_[{name, located ? sizes(*offset) : Sizes()}] = place;
    }
  }

  /// planner_data: {"model.a.weight": ("model", "a.weight")}; absent in files of other planners.
  KOVOS_COLD void take_paths() {
    auto const planned = attribute(pickle_.root, "planner_data");
    if (!planned || pickle_[*planned].kind != Kind::dictionary) return;
    auto const& items = pickle_[*planned].items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      auto const& path = pickle_[items[i + 1]];
      if (pickle_[items[i]].kind != Kind::text || path.kind != Kind::tuple || path.items.size() < 2) continue;
      auto const& first = pickle_[path.items[0]];
      if (first.kind == Kind::text) first_of_[pickle_[items[i]].text] = first.text;
    }
  }

  /// The entry whose tensors are wanted: `wanted`, else the first that training checkpoints use, else none.
  KOVOS_COLD std::string_view choose_entry(Index tensors, std::string_view wanted) const {
    auto const& items = pickle_[tensors].items;
    auto const has = [&](std::string_view entry) {
      for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
        auto const& key = pickle_[items[i]];
        auto const tensor = pickle_[items[i + 1]].text == "TensorStorageMetadata";
        if (key.kind == Kind::text && tensor && name_in(key.text, entry)) return true;
      }
      return false;
    };
    if (!wanted.empty()) {
      require<CheckpointError>(has(wanted), shown(folder_), " has no entry ", in_quotes(wanted), " with tensors");
      return wanted;
    }
    for (auto const entry : torch_model_entries)
      if (has(entry)) return entry;
    return {};
  }

  /// The name below an entry; nothing for tensors of other entries.
  std::optional<std::string> name_in(std::string_view full, std::string_view entry) const {
    if (entry.empty()) return std::string(full);
    auto const first = first_of_.find(full);
    if (first == first_of_.end() || first->second != entry) return std::nullopt;
    if (!full.starts_with(entry) || full.size() < entry.size() + 2 || full[entry.size()] != '.') return std::nullopt;
    return std::string(full.substr(entry.size() + 1));
  }

  /// The element type of a tensor: TensorProperties keeps its state as a tuple that begins with it.
  TorchType const& type_of(Index tensor) const {
    auto const properties = attribute(tensor, "properties");
    if (!properties || pickle_[*properties].items.size() != 1) complain("a tensor has no properties");
    auto const& state = pickle_[pickle_[*properties].items[0]];
    if (state.kind != Kind::tuple || state.items.empty() || pickle_[state.items[0]].kind != Kind::dtype) {
      complain("the properties of a tensor do not begin with its element type");
    }
    return torch_types[static_cast<std::size_t>(pickle_[state.items[0]].integer)];
  }

  KOVOS_COLD std::shared_ptr<MappedFile const> part(std::string_view name) {
    bool const plain = !name.empty() && name != "." && name != ".." &&
                       name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
    if (!plain) complain("it names the file ", in_quotes(name), ", expected a plain file name in the same folder");
    auto& file = parts_[std::string(name)];
    if (file == nullptr) {
      auto const path = folder_ / std::string(name);
      require<CheckpointError>(std::filesystem::exists(path), shown(path), " is missing: ", where_,
                               " keeps tensors in it; copy every file of the folder");
      file = MappedFile::open(path);
      copies_left_ += 4 * file->bytes().size();
    }
    return file;
  }

  /// The tensor in the range of a file that belongs to one chunk.
  KOVOS_COLD TensorBytes chunk(std::string_view name, Sizes const& offsets, Sizes const& extents) {
    auto found = places_.find({name, offsets});
    if (found == places_.end() && std::all_of(offsets.begin(), offsets.end(), [](auto x) { return x == 0; })) {
      found = places_.find({name, Sizes()});
    }
    if (found == places_.end()) complain("it does not say where a part of ", in_quotes(name), " lies");
    auto const& place = found->second;
    if (place.transformed) complain(in_quotes(name), " is compressed or encoded: save it without such extensions");
    auto const file = part(place.file);
    auto const content = file->bytes();
    auto const path = shown(folder_ / std::string(place.file));
    require<CheckpointError>(place.offset <= content.size() && place.length <= content.size() - place.offset, path,
                             " has ", content.size(), " bytes, expected ", in_quotes(name), " up to byte ",
                             place.offset + place.length, ": is it an unfinished copy?");
    auto const archive = content.subspan(place.offset, place.length);
    std::string const where = path + ", " + in_quotes(name);
    require<CheckpointError>(begins_with(archive, {"PK\x03\x04", 4}), where,
                             " is no archive of torch.save: other forms of torch.distributed.checkpoint are not ",
                             "supported");
    auto tensor = with_torch_zip(archive, where, file, [](TorchTensors& tensors) { return tensors.gather_one(); });
    require<CheckpointError>(tensor.shape == extents, where, " has other sizes than the list says");
    return tensor;
  }

  KOVOS_COLD TensorBytes assemble(std::string_view name, Index described) {
    auto const shape = sizes_of(described, "size");
    auto const& chunks = pickle_[field(described, "chunks", Kind::list)].items;
    if (chunks.size() > most_chunks) complain(in_quotes(name), " has more than ", most_chunks, " chunks");
    struct Part {
      Sizes begin;
      TensorBytes tensor;
    };
    std::vector<Part> parts;
    std::size_t covered = 0;
    for (auto const item : chunks) {
      auto const begin = sizes_of(item, "offsets"), extents = sizes_of(item, "sizes");
      bool fits = begin.size() == shape.size() && extents.size() == shape.size();
      for (std::size_t k = 0; fits && k < shape.size(); ++k) {
        fits = begin[k] <= shape[k] && extents[k] <= shape[k] - begin[k];
      }
      if (!fits) complain("a chunk of ", in_quotes(name), " lies outside the tensor");
      if (std::find(extents.begin(), extents.end(), std::size_t{0}) != extents.end()) continue;
      for (auto const& other : parts) {
        bool apart = false;
        for (std::size_t k = 0; k < shape.size(); ++k) {
          apart =
              apart || begin[k] + extents[k] <= other.begin[k] || other.begin[k] + other.tensor.shape[k] <= begin[k];
        }
        if (!apart) complain("two chunks of ", in_quotes(name), " overlap");
      }
      if (chunks_left_-- == 0) complain("it lists more than ", most_chunks_in_all, " chunks");
      parts.push_back({begin, chunk(name, begin, extents)});
      covered += parts.back().tensor.size();
      if (parts.back().tensor.dtype != type_of(described).dtype) {
        complain("a chunk of ", in_quotes(name), " has another element type than the tensor");
      }
    }
    auto const size = checked_product(shape);
    if (!size || covered != *size) complain("the chunks of ", in_quotes(name), " do not cover it");
    if (parts.size() == 1) return parts[0].tensor;

    TensorBytes whole;
    whole.shape = shape;
    whole.dtype = *type_of(described).dtype;
    if (parts.empty()) return whole;
    std::size_t const width = size_of(whole.dtype);
    require<CheckpointError>(*size * width <= copies_left_, where_, ": ", in_quotes(name), " has ", *size * width,
                             " bytes, many times what the files hold: the list is damaged or made to fill the memory");
    copies_left_ -= *size * width;
    auto bytes = std::make_shared<std::vector<std::byte>>(*size * width);
    for (auto const& part : parts) place_rows(part.tensor, part.begin, shape, width, *bytes);
    whole.bytes = *bytes;
    whole.owner = std::move(bytes);
    return whole;
  }

  /// Copies a chunk row by row to where it lies in the whole tensor.
  static void place_rows(TensorBytes const& chunk, Sizes const& begin, Sizes const& shape, std::size_t width,
                         std::span<std::byte> to) {
    std::size_t const dimensions = shape.size();
    std::size_t const row = chunk.shape[dimensions - 1] * width;
    Sizes index(dimensions, 0);
    for (std::size_t from = 0; from < chunk.bytes.size(); from += row) {
      std::size_t target = 0;
      for (std::size_t k = 0; k < dimensions; ++k) target = target * shape[k] + begin[k] + index[k];
      std::memcpy(to.data() + target * width, chunk.bytes.data() + from, row);
      for (std::size_t k = dimensions - 1; k-- > 0;) {
        if (++index[k] < chunk.shape[k]) break;
        index[k] = 0;
      }
    }
  }

  std::filesystem::path folder_;
  std::string where_;
  std::shared_ptr<MappedFile const> list_;
  Pickle pickle_;
  std::map<std::pair<std::string_view, Sizes>, Place> places_;
  std::map<std::string_view, std::string_view> first_of_;
  std::map<std::string, std::shared_ptr<MappedFile const>> parts_;
  std::size_t copies_left_ = 65536, chunks_left_ = most_chunks_in_all;
};

}  // namespace detail

/// Reads a folder of torch.distributed.checkpoint: its list `.metadata` (a pickle, read as data and never run) and the
/// shards it names, chunks put together into whole tensors. Entries `model`, `state_dict`, ... are unwrapped as in
/// files of torch.save; `entry` names another one. What is no tensor is passed over. Throws FileError, CheckpointError.
inline NamedTensors read_distributed_checkpoint(std::filesystem::path const& folder, std::string_view entry = {}) {
  return detail::DistributedCheckpoint(folder).read(entry);
}

}  // namespace kovos
