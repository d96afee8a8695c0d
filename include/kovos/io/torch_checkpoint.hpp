// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/detail/pickle.hpp"
#include "kovos/io/detail/zip_directory.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos {

namespace detail {

/// First bytes of torch.save's format before PyTorch 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
inline constexpr std::string_view legacy_magic{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15};

inline bool begins_with(std::span<std::byte const> content, std::string_view magic) {
  return content.size() >= magic.size() && std::memcmp(content.data(), magic.data(), magic.size()) == 0;
}

/// The files of a checkpoint once its container is understood: the object tree and where each storage's bytes lie.
struct TorchFile {
  Pickle pickle;
  std::map<std::string, std::span<std::byte const>, std::less<>> storages;
  bool big_endian = false;
  std::string container;
};

/// Turns the object tree into named tensors.
class TorchTensors {
 public:
  TorchTensors(TorchFile const& file, std::span<std::byte const> content, std::string where,
               std::shared_ptr<void const> owner)
      : file_(file), where_(std::move(where)), owner_(std::move(owner)), copies_left_(4 * content.size() + 65536) {}

  /// The model part of the file: unwraps `model`, `state_dict`, `model_state`, drops a common `module.` prefix.
  NamedTensors gather() {
    result_.container = file_.container;
    auto const& pickle = file_.pickle;
    std::uint32_t const model = unwrap(pickle.root);
    switch (pickle[model].kind) {
      case Kind::script_object:
        walk_script(model);
        break;
      case Kind::dictionary:
        walk_dictionary(model);
        break;
      case Kind::opaque:
      case Kind::global:
        fail<CheckpointError>(where_, " holds an object of the class ", name_of_class(pickle[model]),
                              ", expected named tensors: in Python, torch.save(model.state_dict(), ...) writes them");
      default:
        fail<CheckpointError>(where_,
                              " holds no dictionary, expected named tensors: in Python, "
                              "torch.save(model.state_dict(), ...) writes them");
    }
    take_hints();
    drop_common_prefix("module.");
    if (result_.tensors.empty()) fail<CheckpointError>(where_, " holds no tensors; ", list_keys(model));
    return std::move(result_);
  }

 private:
  using Kind = PickleNode::Kind;
  static constexpr std::size_t deepest = 1000, most_objects = 1'000'000, most_tensors = 100'000, longest_name = 1024;

  static std::string name_of_class(PickleNode const& node) {
    return in_quotes(std::string(node.module) + "." + std::string(node.text));
  }

  /// A training checkpoint keeps the weights under one of a few names, possibly inside each other.
  std::uint32_t unwrap(std::uint32_t node) const {
    auto const& pickle = file_.pickle;
    for (int level = 0; level < 4 && pickle[node].kind == Kind::dictionary; ++level) {
      std::optional<std::uint32_t> inner;
      for (std::string_view key : {"model", "state_dict", "model_state", "model_state_dict"}) {
        auto const found = pickle.find(node, key);
        if (!found || inner) continue;
        auto const kind = pickle[*found].kind;
        if (kind == Kind::dictionary || kind == Kind::script_object || kind == Kind::opaque) inner = found;
      }
      if (!inner) return node;
      node = *inner;
    }
    return node;
  }

  void walk_dictionary(std::uint32_t model) {
    auto const& items = file_.pickle[model].items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      auto const& key = file_.pickle[items[i]];
      auto const& value = file_.pickle[items[i + 1]];
      if (key.kind != Kind::text) continue;
      if (value.kind == Kind::tensor) {
        emit(std::string(key.text), value);
      } else if (value.kind == Kind::opaque && value.holds_tensor) {
        fail<CheckpointError>(where_, ": ", in_quotes(key.text), " is a tensor made by ", name_of_class(value),
                              ", which is not supported: convert it to an ordinary dense tensor");
      } else {
        result_.tensors.erase(std::string(key.text));  // as in Python, the last value of a key counts
      }
    }
  }

  /// TorchScript keeps modules as objects with attributes; joined with dots, their names are those of state_dict().
  void walk_script(std::uint32_t root) {
    struct Frame {
      std::uint32_t object;
      std::size_t next;
      std::size_t prefix;  // length of the name of this object, with its dot
    };
    std::vector<Frame> path{{root, 0, 0}};
    std::vector<bool> on_path(file_.pickle.nodes.size(), false);
    on_path[root] = true;
    std::string name;
    std::size_t visited = 0;
    while (!path.empty()) {
      Frame& frame = path.back();
      auto const& items = file_.pickle[frame.object].items;
      name.resize(frame.prefix);
      if (frame.next + 1 >= items.size()) {
        on_path[frame.object] = false;
        path.pop_back();
        continue;
      }
      auto const& key = file_.pickle[items[frame.next]];
      std::uint32_t const child = items[frame.next + 1];
      auto const& value = file_.pickle[child];
      frame.next += 2;
      require<CheckpointError>(++visited <= most_objects, where_, " has more than ", most_objects, " attributes");
      if (key.kind != Kind::text) continue;
      if (value.kind != Kind::tensor && value.kind != Kind::script_object) continue;
      require<CheckpointError>(name.size() + key.text.size() < longest_name, where_, " has an attribute whose name is ",
                               "longer than ", longest_name, " bytes");
      name += key.text;
      if (value.kind == Kind::tensor) {
        emit(name, value);
      } else if (!on_path[child]) {  // a module that contains itself adds nothing
        require<CheckpointError>(path.size() < deepest, where_, " nests modules deeper than ", deepest);
        name += '.';
        on_path[child] = true;
        path.push_back({child, 0, name.size()});
      }
    }
  }

  void emit(std::string const& name, PickleNode const& node) {
    require<CheckpointError>(is_utf8(name), where_, ": the tensor name ", in_quotes(name), " is not UTF-8");
    result_.tensors.insert_or_assign(name, materialise(name, node));
    require<CheckpointError>(result_.tensors.size() <= most_tensors, where_, " holds more than ", most_tensors,
                             " tensors");
  }

  TensorBytes materialise(std::string const& name, PickleNode const& node) {
    auto const& tensor = file_.pickle.tensors[static_cast<std::size_t>(node.integer)];
    auto const& storage = file_.pickle.storages[tensor.storage];
    auto const& type = torch_types[tensor.type];
    require<CheckpointError>(type.dtype.has_value(), where_, ": ", in_quotes(name), " has the element type ", type.name,
                             ", which is not supported: convert it to float32 first");
    auto const found = file_.storages.find(storage.key);
    require<CheckpointError>(found != file_.storages.end(), where_, ": the data of ", in_quotes(name), " (storage ",
                             in_quotes(storage.key), ") is missing");
    std::size_t const element = torch_types[storage.type].size;
    auto const record = found->second;
    std::size_t const begin = storage.offset * element, length = storage.numel * element;
    bool const whole = file_.container == "torch legacy" ? begin <= record.size() && length <= record.size() - begin
                                                         : length == record.size();
    require<CheckpointError>(whole, where_, ": the storage ", in_quotes(storage.key), " of ", in_quotes(name), " has ",
                             record.size(), " bytes, expected ", begin + length);
    auto const bytes = record.subspan(begin, length);

    TensorBytes result;
    result.dtype = *type.dtype;
    result.shape = tensor.shape;
    bool const empty = std::find(tensor.shape.begin(), tensor.shape.end(), std::size_t{0}) != tensor.shape.end();
    if (empty) return result;
    auto const size = checked_product(tensor.shape, type.size);
    require<CheckpointError>(size.has_value(), where_, ": the shape of ", in_quotes(name), " is too large for 64 bits");
    if (is_contiguous(tensor) && !file_.big_endian) {
      // rebuild() checked that the last element lies in the storage.
      result.bytes = bytes.subspan(tensor.offset * type.size, *size);
      result.owner = owner_;
      return result;
    }
    require<CheckpointError>(*size <= copies_left_, where_, ": ", in_quotes(name), " repeats elements up to ", *size,
                             " bytes, many times what the file holds: it is damaged or made to fill the memory");
    copies_left_ -= *size;
    auto copy = std::make_shared<std::vector<std::byte>>(*size);
    gather_elements(tensor, type.size, bytes, *copy);
    if (file_.big_endian) {
      for (auto at = copy->begin(); at != copy->end(); at += static_cast<std::ptrdiff_t>(type.size)) {
        std::reverse(at, at + static_cast<std::ptrdiff_t>(type.size));
      }
    }
    result.bytes = *copy;
    result.owner = std::move(copy);
    return result;
  }

  static bool is_contiguous(PickledTensor const& tensor) {
    std::size_t expected = 1;
    for (std::size_t k = tensor.shape.size(); k-- > 0;) {
      if (tensor.shape[k] != 1 && tensor.strides[k] != expected) return false;
      expected *= tensor.shape[k];
    }
    return true;
  }

  /// Copies a strided tensor row by row into row-major order; every index was checked by rebuild().
  static void gather_elements(PickledTensor const& tensor, std::size_t width, std::span<std::byte const> from,
                              std::span<std::byte> to) {
    std::vector<std::size_t> index(tensor.shape.size(), 0);
    std::size_t source = tensor.offset;
    for (std::size_t written = 0; written < to.size(); written += width) {
      std::memcpy(to.data() + written, from.data() + source * width, width);
      for (std::size_t k = index.size(); k-- > 0;) {
        source += tensor.strides[k];
        if (++index[k] < tensor.shape[k]) break;
        source -= index[k] * tensor.strides[k];
        index[k] = 0;
      }
    }
  }

  /// OpenAI's archives carry three whole numbers as buffers; they are facts about the model, not weights.
  void take_hints() {
    for (std::string const name : {"input_resolution", "context_length", "vocab_size"}) {
      auto const found = result_.tensors.find(name);
      if (found == result_.tensors.end()) continue;
      auto const& tensor = found->second;
      if (tensor.bytes.size() != size_of(tensor.dtype)) continue;
      std::int64_t value = 0;
      if (tensor.dtype == DType::i64) {
        value = load_element<std::int64_t>(tensor.bytes.data());
      } else if (tensor.dtype == DType::i32) {
        value = load_element<std::int32_t>(tensor.bytes.data());
      } else {
        continue;
      }
      result_.metadata[name] = std::to_string(value);
      result_.tensors.erase(found);
    }
  }

  /// Training on several devices puts the same word before every name.
  void drop_common_prefix(std::string_view prefix) {
    for (auto const& [name, tensor] : result_.tensors)
      if (!name.starts_with(prefix) || name.size() == prefix.size()) return;
    std::map<std::string, TensorBytes> renamed;
    for (auto& [name, tensor] : result_.tensors) renamed.emplace(name.substr(prefix.size()), std::move(tensor));
    result_.tensors = std::move(renamed);
  }

  std::string list_keys(std::uint32_t model) const {
    std::string text;
    auto const& items = file_.pickle[model].items;
    for (std::size_t i = 0; i < std::min<std::size_t>(items.size(), 16); i += 2) {
      auto const& key = file_.pickle[items[i]];
      if (key.kind == Kind::text) text += (text.empty() ? "its entries are " : ", ") + in_quotes(key.text);
    }
    return text.empty() ? "it is empty" : text + (items.size() > 16 ? ", ..." : "");
  }

  TorchFile const& file_;
  std::string where_;
  std::shared_ptr<void const> owner_;
  std::size_t copies_left_;
  NamedTensors result_;
};

/// Reads a small text record such as `version`; nothing if it is absent.
inline std::optional<std::string> small_record(ZipDirectory const& archive, std::string const& name) {
  auto const* entry = archive.find(name);
  if (entry == nullptr) return std::nullopt;
  auto const bytes = archive.unpacked(*entry, 1024);
  std::string text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

inline NamedTensors parse_torch_zip(std::span<std::byte const> content, std::string const& where,
                                    std::shared_ptr<void const> owner) {
  ZipDirectory const archive(content, where);
  auto const first = archive.front().name;
  std::string const folder(first.substr(0, first.find('/')));
  auto const* entry = archive.find(folder + "/data.pkl");
  require<CheckpointError>(entry != nullptr, where, " is a zip archive but has no record ",
                           in_quotes(folder + "/data.pkl"), ", so it is not what torch.save writes");
  for (auto const* name : {"/version", "/.data/version"}) {
    auto const version = small_record(archive, folder + name);
    if (!version) continue;
    bool const digits =
        !version->empty() && version->size() <= 2 && version->find_first_not_of("0123456789") == std::string::npos;
    require<CheckpointError>(digits && std::stoi(*version) >= 1 && std::stoi(*version) <= 10, where,
                             " has the archive version ", in_quotes(*version), ", expected 1 to 10");
  }
  TorchFile file;
  file.container = archive.find(folder + "/constants.pkl") != nullptr ? "torchscript" : "torch zip";
  if (auto const order = small_record(archive, folder + "/byteorder")) {
    require<CheckpointError>(*order == "little" || *order == "big", where, " has the byte order ", in_quotes(*order),
                             ", expected little or big");
    file.big_endian = *order == "big";
  }

  std::vector<std::byte> unpacked;
  std::span<std::byte const> code;
  if (entry->method == 0) {
    code = archive.stored(*entry);
  } else {
    unpacked = archive.unpacked(*entry, Unpickler::most_bytes);
    code = unpacked;
  }
  Unpickler reader(code, where + ": data.pkl", false);
  file.pickle = reader.read();
  for (auto const& storage : file.pickle.storages) {
    std::string const key(storage.key);
    if (file.storages.contains(key)) continue;
    // Records that nothing needs may be missing; a tensor that needs this one says so.
    if (auto const* record = archive.find(folder + "/data/" + key)) file.storages[key] = archive.stored(*record);
  }
  auto result = TorchTensors(file, content, where, std::move(owner)).gather();
  return result;
}

inline NamedTensors parse_torch_legacy(std::span<std::byte const> content, std::string const& where,
                                       std::shared_ptr<void const> owner) {
  std::size_t position = legacy_magic.size();
  auto const next_pickle = [&](char const* what) {
    Unpickler reader(content.subspan(position), where + ": its " + what, true);
    auto pickle = reader.read();
    position += reader.position();
    return pickle;
  };
  using Kind = PickleNode::Kind;

  auto const version = next_pickle("protocol number");
  auto const& number = version[version.root];
  require<CheckpointError>(number.kind == Kind::integer && number.integer == 1001, where,
                           " has an unknown protocol number, expected 1001");
  TorchFile file;
  file.container = "torch legacy";
  auto const system = next_pickle("system description");
  if (auto const little = system.find(system.root, "little_endian")) {
    require<CheckpointError>(system[*little].kind == Kind::boolean && system[*little].integer == 1, where,
                             " was written on a big-endian machine in the older form, which is not supported: save it "
                             "again with a newer PyTorch");
  }
  file.pickle = next_pickle("object tree");
  std::map<std::string_view, std::size_t> width;
  for (auto const& storage : file.pickle.storages) width.emplace(storage.key, torch_types[storage.type].size);

  auto const keys = next_pickle("list of storages");
  require<CheckpointError>(keys[keys.root].kind == Kind::list, where, " has no list of its storages");
  for (auto item : keys[keys.root].items) {
    require<CheckpointError>(keys[item].kind == Kind::text, where, " lists a storage whose name is not a text");
    auto const key = keys[item].text;
    auto const known = width.find(key);
    require<CheckpointError>(known != width.end(), where, " lists the storage ", in_quotes(key),
                             ", which nothing uses");
    require<CheckpointError>(content.size() - position >= 8, where, " ends before the storage ", in_quotes(key),
                             ": is it an unfinished download?");
    auto const count = load_element<std::int64_t>(content.data() + position);
    position += 8;
    std::size_t const left = content.size() - position;
    require<CheckpointError>(count >= 0 && static_cast<std::uint64_t>(count) <= left / known->second, where,
                             " announces ", count, " elements in the storage ", in_quotes(key), " but only ", left,
                             " bytes follow: is it an unfinished download?");
    std::size_t const size = static_cast<std::size_t>(count) * known->second;
    bool const fresh = file.storages.emplace(std::string(key), content.subspan(position, size)).second;
    require<CheckpointError>(fresh, where, " lists the storage ", in_quotes(key), " twice");
    position += size;
  }
  auto result = TorchTensors(file, content, where, std::move(owner)).gather();
  return result;
}

}  // namespace detail

/// Reads the bytes of a file that torch.save or torch.jit.save wrote (zip archive, the form before PyTorch 1.6, or
/// TorchScript as OpenAI's CLIP): data only, nothing in the file is ever run. Contiguous tensors point into `content`,
/// which `owner` must keep alive; others are copied into row-major order. Entries `model`, `state_dict`, `model_state`
/// and `model_state_dict` are unwrapped, a `module.` before every name is dropped, what is no tensor is passed over.
/// OpenAI's hints input_resolution, context_length and vocab_size become metadata. Checksums are not verified, as in
/// PyTorch. Throws CheckpointError for damaged, lying or dangerous files. Format: docs/checkpoints.md.
inline NamedTensors parse_torch_checkpoint(std::span<std::byte const> content, std::string const& source_name,
                                           std::shared_ptr<void const> owner) {
  std::string const where = detail::in_quotes(source_name);
  NamedTensors result;
  if (detail::begins_with(content, {"PK\x03\x04", 4})) {
    result = detail::parse_torch_zip(content, where, std::move(owner));
  } else if (detail::begins_with(content, detail::legacy_magic)) {
    result = detail::parse_torch_legacy(content, where, std::move(owner));
  } else {
    fail<CheckpointError>(where, " is not a file of torch.save: it begins neither as a zip archive nor as the older ",
                          "form");
  }
  result.source = source_name;
  return result;
}

/// Maps and reads a .pth, .pt or .bin file. Throws FileError, CheckpointError.
inline NamedTensors read_torch_checkpoint(std::filesystem::path const& path) {
  auto const file = MappedFile::open(path);
  return parse_torch_checkpoint(file->bytes(), path.string(), file);
}

}  // namespace kovos
