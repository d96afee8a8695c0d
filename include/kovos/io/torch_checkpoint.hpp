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

#include "kovos/core/config.hpp"
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

/// Where a training checkpoint keeps the weights.
inline constexpr std::array<std::string_view, 4> torch_model_entries = {"model", "state_dict", "model_state",
                                                                        "model_state_dict"};

inline bool begins_with(std::span<std::byte const> content, std::string_view magic) {
  return content.size() >= magic.size() && std::memcmp(content.data(), magic.data(), magic.size()) == 0;
}

/// torch.save's format before PyTorch 1.6 begins with a pickle of the number 0x1950a86a20f9469cfc6c. -> the length of
/// that pickle, 0 if the file does not begin with it. What stands before the number depends on the protocol.
inline std::size_t legacy_magic_size(std::span<std::byte const> content) {
  using namespace std::string_view_literals;
  constexpr auto number = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;
  for (auto const head :
       {"\x80\x02"sv, "\x80\x03"sv, "\x80\x04\x95\x0d\0\0\0\0\0\0\0"sv, "\x80\x05\x95\x0d\0\0\0\0\0\0\0"sv}) {
    if (begins_with(content, head) && begins_with(content.subspan(head.size()), number))
      return head.size() + number.size();
  }
  return 0;
}

/// The bytes of one storage: in place, or by `unpack` where an archive was packed again with compression.
struct TorchStorage {
  std::span<std::byte const> bytes;
  std::function<std::vector<std::byte>()> unpack = {};
};

/// The files of a checkpoint once its container is understood: the object tree and where each storage's bytes lie.
struct TorchFile {
  Pickle pickle;
  std::map<std::string, TorchStorage, std::less<>> storages;
  bool big_endian = false;
  std::string container;
};

/// Turns the object tree into named tensors.
class TorchTensors {
 public:
  TorchTensors(TorchFile file, std::span<std::byte const> content, std::string where, std::shared_ptr<void const> owner)
      : file_(std::move(file)),
        where_(std::move(where)),
        owner_(std::move(owner)),
        copies_left_(4 * content.size() + 65536) {}

  /// The model part of the file, or that of its entry `entry`: unwraps `model`, `state_dict`, `model_state`.
  KOVOS_COLD NamedTensors gather(std::string_view entry = {}) {
    result_.container = file_.container;
    auto const& pickle = file_.pickle;
    std::uint32_t const model = unwrap(entry.empty() ? pickle.root : entry_named(entry));
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
    for (auto const other : groups_of(pickle.root)) {
      if (pickle.root != model && pickle.find(pickle.root, other) != model) {
        result_.other_entries.emplace_back(other);
      }
    }
    if (result_.tensors.empty()) fail<CheckpointError>(where_, " holds no tensors", why_none(model));
    return std::move(result_);
  }

  /// The tensor that the file is, as in the parts of torch.distributed.checkpoint.
  TensorBytes gather_one() {
    auto const& root = file_.pickle[file_.pickle.root];
    refuse_other_tensor("its tensor", root);
    require<CheckpointError>(root.kind == Kind::tensor, where_, " holds no tensor, as its list says");
    if (auto const why = unreadable_type(root)) fail<CheckpointError>(where_, ": its tensor ", *why);
    return materialise("its tensor", root);
  }

 private:
  using Kind = PickleNode::Kind;
  static constexpr std::size_t deepest = 1000, most_objects = 1'000'000, most_tensors = 100'000, longest_name = 1024;

  static std::string name_of_class(PickleNode const& node) {
    return in_quotes(std::string(node.module) + "." + std::string(node.text));
  }

  std::uint32_t entry_named(std::string_view entry) const {
    auto const& pickle = file_.pickle;
    auto const found =
        pickle[pickle.root].kind == Kind::dictionary ? pickle.find(pickle.root, entry) : std::optional<std::uint32_t>();
    require<CheckpointError>(found.has_value(), where_, " has no entry ", in_quotes(entry), "; ",
                             list_keys(pickle.root));
    return *found;
  }

  /// A training checkpoint keeps the weights under one of a few names, possibly inside each other.
  std::uint32_t unwrap(std::uint32_t node) const {
    auto const& pickle = file_.pickle;
    for (int level = 0; level < 4 && pickle[node].kind == Kind::dictionary; ++level) {
      std::optional<std::uint32_t> inner;
      for (auto const key : torch_model_entries) {
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

  KOVOS_COLD void walk_dictionary(std::uint32_t model) {
    auto const& items = file_.pickle[model].items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      auto const& key = file_.pickle[items[i]];
      auto const& value = file_.pickle[items[i + 1]];
      if (key.kind != Kind::text) {
        if (value.kind == Kind::tensor) leave_out_unnamed(key, i / 2);
        continue;
      }
      refuse_other_tensor(in_quotes(key.text), value);
      std::string const name(key.text);
      result_.tensors.erase(name);  // as in Python, the last value of a key counts
      result_.left_out.erase(name);
      if (value.kind == Kind::tensor) {
        emit(name, value);
      } else if (value.kind == Kind::opaque && value.module.starts_with("numpy") && value.text.starts_with('_')) {
        leave_out(name, "is a NumPy array, expected a tensor: torch.from_numpy(...) makes one");
      } else if (is_group(value)) {
        leave_out(name, "is a group of tensors, expected one");
      }
    }
  }

  /// TorchScript keeps modules as objects with attributes; joined with dots, their names are those of state_dict().
  KOVOS_COLD void walk_script(std::uint32_t root) {
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
      if (value.global == PickleGlobal::rebuild_other)
        refuse_other_tensor(in_quotes(name + std::string(key.text)), value);
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
    if (auto const why = unreadable_type(node)) return leave_out(name, *why);
    result_.tensors.insert_or_assign(name, materialise(name, node));
    require<CheckpointError>(result_.tensors.size() <= most_tensors, where_, " holds more than ", most_tensors,
                             " tensors");
  }

  void leave_out(std::string const& name, std::string why) {
    if (!is_utf8(name) || result_.left_out.size() >= most_tensors) return;
    result_.left_out.insert_or_assign(name, std::move(why));
  }

  /// A tensor whose key is no text, the `place`-th of its dictionary.
  void leave_out_unnamed(PickleNode const& key, std::size_t place) {
    auto const what =
        key.kind == Kind::integer ? "key " + std::to_string(key.integer) : "key at place " + std::to_string(place);
    leave_out(what, "is no text, expected the name of a tensor");
  }

  KOVOS_COLD std::optional<std::string> unreadable_type(PickleNode const& node) const {
    auto const& type = torch_types[file_.pickle.tensors[static_cast<std::size_t>(node.integer)].type];
    if (type.dtype) return std::nullopt;
    if (type.name.find("complex") != std::string_view::npos) {
      return "has the element type " + std::string(type.name) +
             ", which is not supported: save torch.view_as_real(...)";
    }
    return "has the element type " + std::string(type.name) + ", which is not supported: convert it to float32 first";
  }

  /// Throws if `value` is a tensor whose values are no strided view of a storage: it must not vanish.
  KOVOS_COLD void refuse_other_tensor(std::string const& name, PickleNode const& value) const {
    if (value.kind != Kind::opaque || !value.holds_tensor) return;
    auto const refuse = [&](auto const&... what) { fail<CheckpointError>(where_, ": ", name, " ", what...); };
    if (value.global != PickleGlobal::rebuild_other) {
      refuse("is made by ", name_of_class(value),
             " from a tensor, which is not supported: convert it to an ordinary dense tensor");
    }
    auto const argument = [&](std::size_t i) {
      auto const& made_from = value.items;
      if (i >= made_from.size()) return std::string("unknown");
      auto const& node = file_.pickle[made_from[i]];
      return std::string(node.module) + (node.module.empty() ? "" : ".") + std::string(node.text);
    };
    auto const function = value.text;
    if (function == "_rebuild_sparse_tensor") {
      refuse("is a sparse tensor (", in_quotes(argument(0)), "), which is not supported: save it with .to_dense()");
    } else if (function == "_rebuild_qtensor") {
      refuse("is a quantized tensor, which is not supported: save it with .dequantize()");
    } else if (function == "_rebuild_nested_tensor" || function == "_rebuild_njt") {
      refuse("is a nested tensor of rows of different lengths, which is not supported: save it with ",
             ".to_padded_tensor(0)");
    } else if (function == "_rebuild_meta_tensor_no_storage" || function.starts_with("Uninitialized")) {
      refuse("has no values in this file, as it was on the device 'meta' or not yet initialised: save the model after ",
             "its weights are there");
    } else if (function == "_rebuild_wrapper_subclass") {
      refuse("is of the class ", in_quotes(argument(0)),
             ", which keeps its values in other tensors, and is not supported: save an ordinary tensor, for a DTensor ",
             ".full_tensor()");
    } else if (function == "_rebuild_tensor_v3") {
      refuse("has the element type ", in_quotes(argument(6)), ", which is unknown: convert it to float32 first");
    } else if (function.find("device_tensor") != std::string_view::npos || function == "_rebuild_xla_tensor") {
      refuse("was saved on a device that keeps its values in a form of its own, which is not supported: save it with ",
             ".cpu()");
    }
    refuse("is a tensor made by ", name_of_class(value), ", which is not supported: convert it to an ordinary dense ",
           "tensor");
  }

  /// Whether a dictionary or list holds tensors directly. A few items tell; a lying file may name a long list often.
  bool is_group(PickleNode const& node) const {
    if (node.kind != Kind::dictionary && node.kind != Kind::list && node.kind != Kind::tuple) return false;
    auto const few = std::span(node.items).first(std::min<std::size_t>(node.items.size(), 64));
    return std::any_of(few.begin(), few.end(), [&](auto item) { return file_.pickle[item].kind == Kind::tensor; });
  }

  /// The entries of a dictionary that are dictionaries of tensors.
  std::vector<std::string_view> groups_of(std::uint32_t node) const {
    std::vector<std::string_view> names;
    if (file_.pickle[node].kind != Kind::dictionary) return names;
    auto const& items = file_.pickle[node].items;
    for (std::size_t i = 0; i + 1 < items.size() && names.size() < 16; i += 2) {
      auto const& key = file_.pickle[items[i]];
      auto const& value = file_.pickle[items[i + 1]];
      if (key.kind == Kind::text && is_utf8(key.text) && value.kind == Kind::dictionary && is_group(value)) {
        names.push_back(key.text);
      }
    }
    return names;
  }

  /// The rest of the sentence "FILE holds no tensors": where they may be, or what is there instead.
  KOVOS_COLD std::string why_none(std::uint32_t model) const {
    if (!result_.left_out.empty()) {
      auto const& [name, why] = *result_.left_out.begin();
      auto const entry = file_.pickle.find(model, name);
      bool const group = entry && is_group(file_.pickle[*entry]);
      if (!group || groups_of(file_.pickle.root).empty()) return " that Kovos can hold: " + in_quotes(name) + " " + why;
    }
    auto const groups = groups_of(file_.pickle.root);
    if (groups.empty()) return "; " + list_keys(model);
    std::string text = " at its top, only inside ";
    for (auto const& name : groups) {
      bool const averaged = name.find("ema") != std::string_view::npos || name.find("EMA") != std::string_view::npos;
      text += (name.data() == groups.front().data() ? "" : ", ") + in_quotes(name) +
              (averaged ? " (by its name, averages over the training)" : "");
    }
    return text + ": to read these, put '#' and the name behind the file name, as in FILE#" +
           std::string(groups.front());
  }

  KOVOS_COLD TensorBytes materialise(std::string const& name, PickleNode const& node) {
    auto const& tensor = file_.pickle.tensors[static_cast<std::size_t>(node.integer)];
    auto const& storage = file_.pickle.storages[tensor.storage];
    auto const& type = torch_types[tensor.type];
    auto const found = file_.storages.find(storage.key);
    require<CheckpointError>(found != file_.storages.end(), where_, ": the data of ", in_quotes(name), " (storage ",
                             in_quotes(storage.key), ") is missing");
    std::size_t const element = torch_types[storage.type].size;
    auto& record_owner = unpacked_[found->first];
    if (found->second.unpack && record_owner == nullptr) {
      auto bytes = std::make_shared<std::vector<std::byte>>(found->second.unpack());
      found->second.bytes = *bytes;
      record_owner = std::move(bytes);
    }
    auto const record = found->second.bytes;
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
    if (is_contiguous(tensor) && !file_.big_endian && !tensor.negated) {
      // rebuild() checked that the last element lies in the storage.
      result.bytes = bytes.subspan(tensor.offset * type.size, *size);
      result.owner = record_owner == nullptr ? owner_ : record_owner;
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
    if (tensor.negated) negate(*type.dtype, type.size, *copy);
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

  /// Multiplies little-endian numbers by -1, as PyTorch does: whole numbers wrap.
  static void negate(DType dtype, std::size_t width, std::span<std::byte> values) {
    using enum DType;
    bool const sign_bit =
        dtype == f16 || dtype == bf16 || dtype == f32 || dtype == f64 || dtype == f8_e4m3 || dtype == f8_e5m2;
    for (std::size_t at = 0; at + width <= values.size(); at += width) {
      if (sign_bit) {
        values[at + width - 1] ^= std::byte{0x80};
        continue;
      }
      unsigned carry = 1;
      for (std::size_t k = at; k < at + width; ++k) {
        carry += std::to_integer<unsigned>(~values[k]);
        values[k] = static_cast<std::byte>(carry & 0xff);
        carry >>= 8;
      }
    }
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
  KOVOS_COLD void take_hints() {
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

  KOVOS_COLD std::string list_keys(std::uint32_t model) const {
    std::string text;
    auto const& items = file_.pickle[model].items;
    for (std::size_t i = 0; i < std::min<std::size_t>(items.size(), 16); i += 2) {
      auto const& key = file_.pickle[items[i]];
      if (key.kind == Kind::text) text += (text.empty() ? "its entries are " : ", ") + in_quotes(key.text);
    }
    return text.empty() ? "it is empty" : text + (items.size() > 16 ? ", ..." : "");
  }

  TorchFile file_;
  std::string where_;
  std::shared_ptr<void const> owner_;
  std::size_t copies_left_;
  std::map<std::string, std::shared_ptr<void const>> unpacked_;
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

/// Reads an archive of torch.save and hands its object tree and storages to `use`, a function of TorchTensors&.
template <class Use>
auto with_torch_zip(std::span<std::byte const> content, std::string const& where, std::shared_ptr<void const> owner,
                    Use const& use) {
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
  // Weights hardly shrink; an archive of zeros does, and must not fill the memory.
  std::uint64_t unpacked_left = 16 * std::uint64_t{content.size()} + (std::uint64_t{256} << 20);
  for (auto const& storage : file.pickle.storages) {
    std::string const key(storage.key);
    if (file.storages.contains(key)) continue;
    // Records that nothing needs may be missing; a tensor that needs this one says so.
    auto const* record = archive.find(folder + "/data/" + key);
    if (record == nullptr) continue;
    if (record->method == 0) {
      file.storages[key] = {archive.stored(*record)};
    } else {
      file.storages[key].unpack = [&archive, &unpacked_left, record] {
        auto bytes = archive.unpacked(*record, unpacked_left);
        unpacked_left -= bytes.size();
        return bytes;
      };
    }
  }
  TorchTensors tensors(std::move(file), content, where, std::move(owner));
  return use(tensors);
}

inline NamedTensors parse_torch_zip(std::span<std::byte const> content, std::string const& where,
                                    std::shared_ptr<void const> owner, std::string_view entry) {
  return with_torch_zip(content, where, std::move(owner), [&](TorchTensors& tensors) { return tensors.gather(entry); });
}

inline NamedTensors parse_torch_legacy(std::span<std::byte const> content, std::string const& where,
                                       std::shared_ptr<void const> owner, std::string_view entry) {
  std::size_t position = legacy_magic_size(content);
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
    bool const fresh = file.storages.emplace(std::string(key), TorchStorage{content.subspan(position, size)}).second;
    require<CheckpointError>(fresh, where, " lists the storage ", in_quotes(key), " twice");
    position += size;
  }
  return TorchTensors(std::move(file), content, where, std::move(owner)).gather(entry);
}

}  // namespace detail

/// Reads the bytes of a file that torch.save or torch.jit.save wrote (zip archive, the form before PyTorch 1.6, or
/// TorchScript as OpenAI's CLIP): data only, nothing in the file is ever run. Contiguous tensors point into `content`,
/// which `owner` must keep alive; others are copied into row-major order, as are those of an archive that was packed
/// again with compression. Entries `model`, `state_dict`, `model_state` and `model_state_dict` are unwrapped, those of
/// the file or of its entry `entry`; what is no tensor is passed over. Tensors of an element type that Kovos cannot
/// hold are listed in `left_out`, sparse, quantized and other tensors without a storage of their own are refused by
/// name. OpenAI's hints input_resolution, context_length and vocab_size become metadata. Checksums are not verified, as
/// in PyTorch. Throws CheckpointError for damaged, lying or dangerous files. Format: docs/checkpoints.md.
inline NamedTensors parse_torch_checkpoint(std::span<std::byte const> content, std::string const& source_name,
                                           std::shared_ptr<void const> owner, std::string_view entry = {}) {
  std::string const where = detail::in_quotes(source_name);
  NamedTensors result;
  if (detail::begins_with(content, {"PK\x03\x04", 4})) {
    result = detail::parse_torch_zip(content, where, std::move(owner), entry);
  } else if (detail::legacy_magic_size(content) > 0) {
    result = detail::parse_torch_legacy(content, where, std::move(owner), entry);
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
