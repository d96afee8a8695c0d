// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/dtype.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/detail/pickle.hpp"
#include "kovos/io/detail/zip_writer.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos {

struct TorchValue;

/// A Python dictionary with texts as keys, in the order in which it is written.
using TorchDictionary = std::vector<std::pair<std::string, TorchValue>>;

/// What a dictionary of a PyTorch file can hold here: bool, int, float, str, a tensor or another dictionary.
struct TorchValue {
  std::variant<bool, std::int64_t, double, std::string, TensorBytes, TorchDictionary> value;

  TorchValue(bool v) : value(v) {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) TorchValue(T v) : value(static_cast<std::int64_t>(v)) {}
  template <std::floating_point T>
  TorchValue(T v) : value(static_cast<double>(v)) {}
  TorchValue(char const* v) : value(std::string(v)) {}
  TorchValue(std::string v) : value(std::move(v)) {}
  TorchValue(TensorBytes v) : value(std::move(v)) {}
  TorchValue(TorchDictionary v) : value(std::move(v)) {}
};

/// The tensors of a checkpoint as a dictionary.
inline TorchDictionary torch_dictionary(NamedTensors const& file) {
  TorchDictionary result;
  for (auto const& [name, tensor] : file.tensors) result.emplace_back(name, tensor);
  return result;
}

namespace detail {

/// Writes the pickle of a dictionary as torch.save does, and gathers the tensors whose bytes it refers to.
class TorchPickler {
 public:
  explicit TorchPickler(std::string where) : where_(std::move(where)) {}

  void write(TorchDictionary const& root) {
    code_ = "\x80\x02";  // protocol 2
    dictionary(root, "");
    code_ += '.';
  }

  std::string const& code() const { return code_; }
  std::vector<std::span<std::byte const>> const& storages() const { return storages_; }

 private:
  template <class T>
  void raw(T number) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &number, sizeof(T));
    code_.append(bytes, sizeof(T));
  }

  void text(std::string_view value, std::string const& path) {
    require<CheckpointError>(is_utf8(value), where_, ": ", path.empty() ? "a key" : in_quotes(path),
                             " is not UTF-8: ", in_quotes(value));
    require<CheckpointError>(value.size() <= std::numeric_limits<std::uint32_t>::max(), where_, ": ", in_quotes(path),
                             " is a text of ", value.size(), " bytes, more than the format allows");
    code_ += 'X';
    raw(static_cast<std::uint32_t>(value.size()));
    code_ += value;
  }

  void integer(std::int64_t value) {
    if (value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max()) {
      code_ += 'J';
      raw(static_cast<std::int32_t>(value));
    } else {
      code_ += "\x8a\x08";
      raw(value);
    }
  }

  void real(double value) {
    code_ += 'G';
    auto const bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) code_ += static_cast<char>(bits >> shift & 0xff);  // big-endian
  }

  void integers(std::span<std::size_t const> values) {
    code_ += '(';
    for (auto const value : values) integer(static_cast<std::int64_t>(value));
    code_ += 't';
  }

  void tensor(TensorBytes const& tensor, std::string const& path) {
    require<CheckpointError>(checked_product(tensor.shape, size_of(tensor.dtype)) == tensor.bytes.size(), where_, ": ",
                             in_quotes(path), " has ", tensor.bytes.size(), " bytes, which do not match its shape and ",
                             "dtype ", name_of(tensor.dtype));
    auto const type = std::find_if(torch_types.begin(), torch_types.end(),
                                   [&](auto const& t) { return t.dtype == tensor.dtype && !t.storage.empty(); });
    require<CheckpointError>(type != torch_types.end(), where_, ": ", in_quotes(path), " has the dtype ",
                             name_of(tensor.dtype), ", which PyTorch has no storage of its own for: convert it first");
    std::size_t const count = tensor.size();
    code_ += "ctorch._utils\n_rebuild_tensor_v2\n((";
    text("storage", path);
    code_ += "ctorch\n" + std::string(type->storage) + '\n';
    text(std::to_string(storages_.size()), path);
    text("cpu", path);
    integer(static_cast<std::int64_t>(count));
    code_ += "tQ";
    integer(0);
    integers(tensor.shape);
    std::vector<std::size_t> strides(tensor.shape.size(), 1);
    for (std::size_t k = strides.size(); k-- > 1;)
      strides[k - 1] = strides[k] * std::max<std::size_t>(tensor.shape[k], 1);
    integers(strides);
    code_ +=
        "\x89"
        "ccollections\nOrderedDict\n)RtR";  // requires no gradient, has no hooks
    storages_.push_back(tensor.bytes);
  }

  void value(TorchValue const& of, std::string const& path) {
    std::visit(
        [&]<class T>(T const& v) {
          if constexpr (std::is_same_v<T, bool>) code_ += v ? '\x88' : '\x89';
          if constexpr (std::is_same_v<T, std::int64_t>) integer(v);
          if constexpr (std::is_same_v<T, double>) real(v);
          if constexpr (std::is_same_v<T, std::string>) text(v, path);
          if constexpr (std::is_same_v<T, TensorBytes>) tensor(v, path);
          if constexpr (std::is_same_v<T, TorchDictionary>) dictionary(v, path);
        },
        of.value);
  }

  void dictionary(TorchDictionary const& entries, std::string const& path) {
    code_ += "}(";
    std::set<std::string_view> keys;
    for (auto const& [key, entry] : entries) {
      std::string const inner = path.empty() ? key : path + "/" + key;
      require<CheckpointError>(keys.insert(key).second, where_, ": the key ", in_quotes(inner), " is there twice");
      text(key, "");
      value(entry, inner);
    }
    code_ += 'u';
  }

  std::string where_, code_;
  std::vector<std::span<std::byte const>> storages_;
};

}  // namespace detail

/// Writes a dictionary as torch.save does since PyTorch 1.6: torch.load gives the same dictionary, its tensors on the
/// CPU, also with weights_only=True (PyTorch 1.13 refuses floats there). The file is there in full or not at all, and
/// the same dictionary gives the same bytes. Throws CheckpointError if a tensor's bytes do not match its shape, its
/// dtype is u16, u32, u64 or an 8-bit float, a text is not UTF-8, or a key is there twice; FileError if the file cannot
/// be written.
KOVOS_DOOR void write_torch_checkpoint(std::filesystem::path const& path, TorchDictionary const& dictionary);

/// Writes {"model": {name: tensor, ...}}, which is what CAT-Seg's authors and detectron2 load; `metadata` has no place
/// in such a file and is left out. Throws as above.
KOVOS_DOOR void write_torch_checkpoint(std::filesystem::path const& path, NamedTensors const& checkpoint);

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR void write_torch_checkpoint(std::filesystem::path const& path, TorchDictionary const& dictionary) {
  std::string const where = "cannot write " + detail::shown(path);
  detail::TorchPickler pickle(where);
  pickle.write(dictionary);
  auto const bytes = [](std::string_view text) { return std::as_bytes(std::span<char const>(text)); };
  std::vector<detail::ZipRecordBytes> records{{"archive/data.pkl", bytes(pickle.code())},
                                              {"archive/byteorder", bytes("little")}};
  std::size_t number = 0;
  for (auto const storage : pickle.storages()) records.push_back({"archive/data/" + std::to_string(number++), storage});
  records.push_back({"archive/version", bytes("3\n")});
  write_file_atomically(path, [&](std::ostream& stream) { detail::write_zip(stream, records, detail::shown(path)); });
}

KOVOS_DOOR void write_torch_checkpoint(std::filesystem::path const& path, NamedTensors const& checkpoint) {
  write_torch_checkpoint(path, TorchDictionary{{"model", torch_dictionary(checkpoint)}});
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
