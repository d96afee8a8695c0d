// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
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
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos {

namespace detail {

/// The most bytes a safetensors header may have; the reference parser uses the same limit.
inline constexpr std::uint64_t longest_safetensors_header = 100'000'000;

/// Reads JSON event by event, so that a file decides neither how deep we recurse nor how much we keep, and so that
/// repeated keys are seen (a document tree would silently keep the last). Subclasses get scalars and keys.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonEvents(std::string_view source) : source_(source) {}

  /// Parses the text, which must be one JSON object and nothing else.
  void read(std::string_view text) {
    if (text.empty() || text.front() != '{') complain("does not begin with '{'");
    // The parser would take a zero byte for the end of the text.
    if (text.find('\0') != std::string_view::npos) complain("contains a zero byte");
    nlohmann::json::sax_parse(text.begin(), text.end(), this);
  }

  bool null() override { return other("null"); }
  bool boolean(bool) override { return other("a boolean"); }
  bool number_integer(number_integer_t) override { return other("a negative number"); }
  bool number_float(number_float_t, string_t const&) override { return other("a number with a fraction"); }
  bool binary(binary_t&) override { return other("binary data"); }
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool number_unsigned(number_unsigned_t value) override {
    on_number(value);
    return true;
  }
  bool string(string_t& value) override {
    on_string(value);
    return true;
  }
  bool key(string_t& name) override {
    on_key(name);
    return true;
  }
  bool parse_error(std::size_t position, std::string const&, nlohmann::detail::exception const& error) override {
    std::string_view what = error.what();
    if (auto const colon = what.rfind("; last read"); colon != std::string_view::npos) what = what.substr(0, colon);
    if (auto const bracket = what.find("] "); bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
    complain("is not valid JSON near byte ", position, ": ", what);
  }

 protected:
  static constexpr int deepest = 64;

  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<CheckpointError>(source_, " ", parts..., "; the file is damaged or written by a faulty program");
  }
  int depth() const { return depth_; }

  virtual void on_key(std::string& name) = 0;
  virtual void on_number(std::uint64_t value) = 0;
  virtual void on_string(std::string& value) = 0;
  virtual void on_open(bool object) = 0;  // called before depth() grows
  virtual void on_close() = 0;            // called after depth() shrank
  virtual void on_other(std::string_view kind) = 0;

 private:
  bool other(std::string_view kind) {
    on_other(kind);
    return true;
  }
  bool open(bool object) {
    if (depth_ >= deepest) complain("nests deeper than ", deepest, " levels");
    on_open(object);
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    on_close();
    return true;
  }

  std::string source_;
  int depth_ = 0;
};

/// The header of a safetensors file: {name: {dtype, shape, data_offsets}} and the optional __metadata__.
class SafetensorsHeader final : public JsonEvents {
 public:
  struct Entry {
    std::optional<std::string> dtype;
    std::optional<std::vector<std::size_t>> shape, data_offsets;
  };
  using JsonEvents::JsonEvents;

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;

 private:
  enum class Field { none, dtype, shape, data_offsets, unknown };

  void on_key(std::string& name) override {
    if (depth() == 1) {
      name_ = name;
      in_metadata_ = name == "__metadata__";
      if (in_metadata_ ? std::exchange(metadata_seen_, true) : entries.contains(name)) {
        complain("names ", in_quotes(name), " twice");
      }
      if (!in_metadata_) entry_ = &entries[name];
    } else if (depth() == 2 && in_metadata_) {
      if (metadata.contains(name)) complain("names the metadata entry ", in_quotes(name), " twice");
      name_ = name;
    } else if (depth() == 2) {
      field_ = name == "dtype"          ? Field::dtype
               : name == "shape"        ? Field::shape
               : name == "data_offsets" ? Field::data_offsets
                                        : Field::unknown;
      if ((field_ == Field::dtype && entry_->dtype) || (field_ == Field::shape && entry_->shape) ||
          (field_ == Field::data_offsets && entry_->data_offsets)) {
        complain("has the field ", in_quotes(name), " of ", in_quotes(name_), " twice");
      }
    }
  }
  void on_open(bool object) override {
    if (depth() == 0) return;
    if (depth() == 1 && !object) wrong("an array");
    if (depth() == 2 && in_metadata_) wrong(object ? "an object" : "an array");
    if (depth() == 2 && (field_ == Field::shape || field_ == Field::data_offsets)) {
      if (object) wrong("an object");
      (field_ == Field::shape ? entry_->shape : entry_->data_offsets).emplace();
    } else if (depth() == 2 && field_ == Field::dtype) {
      wrong(object ? "an object" : "an array");
    } else if (depth() > 2 && field_ != Field::unknown) {
      wrong(object ? "an object" : "an array");
    }
  }
  void on_close() override {
    if (depth() == 2) field_ = Field::none;
  }
  void on_number(std::uint64_t value) override {
    if (depth() == 3 && field_ == Field::shape) {
      entry_->shape->push_back(value);
    } else if (depth() == 3 && field_ == Field::data_offsets) {
      entry_->data_offsets->push_back(value);
    } else {
      on_other("a number");
    }
  }
  void on_string(std::string& value) override {
    if (depth() == 2 && in_metadata_) {
      metadata.emplace(name_, std::move(value));
    } else if (depth() == 2 && field_ == Field::dtype) {
      entry_->dtype = std::move(value);
    } else {
      on_other("a text");
    }
  }
  void on_other(std::string_view kind) override {
    if (depth() == 1 && in_metadata_ && kind == "null") return;  // the reference parser takes it for none
    if (depth() < 2 || in_metadata_ || field_ != Field::unknown) wrong(kind);
  }
  [[noreturn]] void wrong(std::string_view kind) const {
    if (in_metadata_) complain("has ", kind, " in __metadata__ at ", in_quotes(name_), ", expected an object of texts");
    complain("has ", kind, " in the description of ", in_quotes(name_),
             ", expected {\"dtype\": text, \"shape\": [integers], \"data_offsets\": [begin, end]}");
  }

  std::string name_;
  Entry* entry_ = nullptr;
  Field field_ = Field::none;
  bool in_metadata_ = false;
  bool metadata_seen_ = false;
};

/// The index of a checkpoint in several files: {"metadata": {...}, "weight_map": {tensor name: file name}}.
class ShardIndex final : public JsonEvents {
 public:
  using JsonEvents::JsonEvents;

  std::map<std::string, std::string> weight_map;
  bool found = false;

 private:
  void on_key(std::string& name) override {
    if (depth() == 1) {
      in_map_ = name == "weight_map";
      if (in_map_ && std::exchange(found, true)) complain("has two entries 'weight_map'");
    } else if (depth() == 2 && in_map_) {
      if (weight_map.contains(name)) complain("names ", in_quotes(name), " twice");
      name_ = name;
    }
  }
  void on_open(bool object) override {
    if (in_map_ && (depth() > 1 || !object)) wrong();
  }
  void on_close() override {}
  void on_number(std::uint64_t) override { on_other(""); }
  void on_string(std::string& value) override {
    if (in_map_ && depth() == 2) {
      weight_map.emplace(name_, std::move(value));
    } else {
      on_other("");
    }
  }
  void on_other(std::string_view) override {
    if (in_map_) wrong();
  }
  [[noreturn]] void wrong() const { complain("has a 'weight_map' that is not an object of tensor name: file name"); }

  std::string name_;
  bool in_map_ = false;
};

/// The DType with this safetensors name, if Kovos can hold it.
inline std::optional<DType> dtype_from_safetensors(std::string_view name) {
  using enum DType;
  for (auto dtype : {boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64, f8_e4m3, f8_e5m2})
    if (name_of(dtype) == name) return dtype;
  return std::nullopt;
}

/// The bits of an element of a type that the format knows although Kovos does not.
inline std::optional<std::size_t> bits_of_foreign_safetensors_dtype(std::string_view name) {
  struct Foreign {
    std::string_view name;
    std::size_t bits;
  };
  for (auto const& known : {Foreign{"F8_E8M0", 8},
                            {"F8_E4M3FNUZ", 8},
                            {"F8_E5M2FNUZ", 8},
                            {"C64", 64},
                            {"F4", 4},
                            {"F6_E2M3", 6},
                            {"F6_E3M2", 6}}) {
    if (name == known.name) return known.bits;
  }
  return std::nullopt;
}

/// Place of a type in files written by the reference library: larger alignment first, then its own list, reversed.
inline int safetensors_rank(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return 0;
    case DType::u8:
      return 1;
    case DType::i8:
      return 2;
    case DType::f8_e5m2:
      return 3;
    case DType::f8_e4m3:
      return 4;
    case DType::i16:
      return 5;
    case DType::u16:
      return 6;
    case DType::f16:
      return 7;
    case DType::bf16:
      return 8;
    case DType::i32:
      return 9;
    case DType::u32:
      return 10;
    case DType::f32:
      return 11;
    case DType::f64:
      return 12;
    case DType::i64:
      return 13;
    case DType::u64:
      return 14;
  }
  return 0;
}

/// Reads the files that an index names, each with `read_shard(path)`, and gathers the tensors of its map.
template <class ReadShard>
NamedTensors read_shards(std::filesystem::path const& index_path, ReadShard const& read_shard) {
  std::string const where = shown(index_path);
  auto const content = MappedFile::open(index_path);
  auto const bytes = content->bytes();
  require<CheckpointError>(bytes.size() <= longest_safetensors_header, where, " is ", bytes.size(),
                           " bytes long, expected an index of at most ", longest_safetensors_header);
  ShardIndex index(where);
  index.read({reinterpret_cast<char const*>(bytes.data()), bytes.size()});
  require<CheckpointError>(index.found && !index.weight_map.empty(), where,
                           " names no tensors: expected an object 'weight_map' of tensor name: file name");

  NamedTensors result;
  result.source = index_path.string();
  std::map<std::string, std::vector<std::string>> names_of_shard;
  for (auto const& [name, shard] : index.weight_map) {
    bool const plain = !shard.empty() && shard != "." && shard.find("..") == std::string::npos &&
                       shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    require<CheckpointError>(plain, where, " keeps ", in_quotes(name), " in ", in_quotes(shard),
                             ", expected a plain file name in the same folder");
    names_of_shard[shard].push_back(name);
  }
  for (auto const& [shard, names] : names_of_shard) {
    auto const path = index_path.parent_path() / shard;
    require<CheckpointError>(std::filesystem::exists(path), shown(path), " is missing: ", where, " keeps ",
                             names.size(), " tensors in it; copy every shard beside the index");
    NamedTensors part = read_shard(path);
    for (auto const& name : names) {
      if (auto const left = part.left_out.find(name); left != part.left_out.end()) {
        result.left_out.insert(*left);
        continue;
      }
      auto node = part.tensors.extract(name);
      require<CheckpointError>(!node.empty(), shown(path), " lacks ", in_quotes(name), ", which ", where,
                               " says it holds");
      result.tensors.insert(std::move(node));
    }
    result.metadata.merge(part.metadata);
    result.container = part.container;
    result.stamp += part.stamp + "; ";
  }
  return result;
}

}  // namespace detail

/// Reads the bytes of a safetensors file without copying: the tensors point into `content`, which `owner` must keep
/// alive. Throws CheckpointError, naming `source_name`, for everything the reference parser rejects (short file, header
/// longer than 100 MB or than the file, bad JSON, missing fields, wrong sizes, holes, overlaps, trailing bytes) and for
/// repeated names. Tensors of a type that Kovos cannot hold (complex, 4 and 6 bits) go to `left_out`. Format:
/// https://github.com/huggingface/safetensors.
KOVOS_DOOR NamedTensors parse_safetensors(std::span<std::byte const> content, std::string const& source_name,
                                          std::shared_ptr<void const> owner);

/// Maps a safetensors file; nothing but the header is read until a tensor is used. Throws FileError, CheckpointError.
KOVOS_DOOR NamedTensors read_safetensors(std::filesystem::path const& path);

/// Reads a checkpoint in several safetensors files through its `*.safetensors.index.json`. The files must lie beside
/// the index under plain names. Throws FileError, CheckpointError.
inline NamedTensors read_sharded_safetensors(std::filesystem::path const& index_path) {
  return detail::read_shards(index_path, read_safetensors);
}

/// How a safetensors file is written. The defaults are what the reference library does.
struct SafetensorsWriting {
  std::size_t alignment = 8;  // the data begins at a multiple of this
  bool durable = false;       // see write_file_atomically
};

/// Writes a safetensors file atomically, byte for byte as the reference library does: entries by falling type, then by
/// name, and a header padded to a multiple of 8. Throws CheckpointError if a tensor's bytes do not match its shape or a
/// name is not UTF-8 or reserved, FileError if the file cannot be written.
KOVOS_DOOR void write_safetensors(std::filesystem::path const& path, std::map<std::string, TensorBytes> const& tensors,
                                  std::map<std::string, std::string> const& metadata = {},
                                  SafetensorsWriting const& writing = {});

/// Writes all tensors and the metadata of a checkpoint, as above.
KOVOS_DOOR void write_safetensors(std::filesystem::path const& path, NamedTensors const& checkpoint,
                                  SafetensorsWriting const& writing = {});

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR NamedTensors parse_safetensors(std::span<std::byte const> content, std::string const& source_name,
                                          std::shared_ptr<void const> owner) {
  std::string const where = detail::in_quotes(source_name);
  require<CheckpointError>(content.size() >= 8, where, " is ", content.size(),
                           " bytes long, too short for a safetensors file: is it an unfinished download?");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, content.data(), sizeof(header_size));
  require<CheckpointError>(header_size <= detail::longest_safetensors_header, where, " announces a header of ",
                           header_size, " bytes, expected at most ", detail::longest_safetensors_header,
                           ": it is damaged or not a safetensors file");
  require<CheckpointError>(header_size <= content.size() - 8, where, " announces a header of ", header_size,
                           " bytes but only ", content.size() - 8, " follow: is it an unfinished download?");
  auto const data = content.subspan(8 + static_cast<std::size_t>(header_size));

  detail::SafetensorsHeader header("the header of " + where);
  header.read({reinterpret_cast<char const*>(content.data()) + 8, static_cast<std::size_t>(header_size)});

  NamedTensors result;
  result.source = source_name;
  result.container = "safetensors";
  result.metadata = std::move(header.metadata);

  struct Placed {
    std::size_t begin, end;
    std::string_view name;
  };
  std::vector<Placed> placed;
  for (auto& [name, entry] : header.entries) {
    auto const key = detail::in_quotes(name);
    require<CheckpointError>(entry.dtype && entry.shape && entry.data_offsets, where, ": ", key, " lacks its ",
                             !entry.dtype ? "dtype" : (!entry.shape ? "shape" : "data_offsets"),
                             "; the file is damaged or written by a faulty program");
    auto const dtype = detail::dtype_from_safetensors(*entry.dtype);
    auto const foreign_bits = detail::bits_of_foreign_safetensors_dtype(*entry.dtype);
    require<CheckpointError>(dtype || foreign_bits, where, ": ", key, " has the unknown dtype ",
                             detail::in_quotes(*entry.dtype), ", expected one of BOOL, U8 to U64, I8 to I64, F16, ",
                             "BF16, F32, F64, F8_E4M3, F8_E5M2: convert the file first");
    require<CheckpointError>(entry.data_offsets->size() == 2, where, ": ", key, " has ", entry.data_offsets->size(),
                             " data_offsets, expected begin and end");
    auto const [begin, end] = std::pair((*entry.data_offsets)[0], (*entry.data_offsets)[1]);
    require<CheckpointError>(begin <= end && end <= data.size(), where, ": ", key, " lies at bytes ", begin, " to ",
                             end, " of the data, which has ", data.size(), " bytes: is it an unfinished download?");
    auto size = detail::checked_product(*entry.shape, dtype ? size_of(*dtype) : *foreign_bits);
    require<CheckpointError>(size.has_value(), where, ": the shape of ", key, " is too large for 64 bits");
    if (!dtype) {
      require<CheckpointError>(*size % 8 == 0, where, ": ", key, " has ", *size, " bits, expected whole bytes");
      size = *size / 8;
    }
    require<CheckpointError>(*size == end - begin, where, ": ", key, " has ", end - begin, " bytes, expected ", *size,
                             " from its dtype ", *entry.dtype, " and its shape");
    placed.push_back({begin, end, name});
    if (!dtype) {
      result.left_out.emplace(name, "has the dtype " + *entry.dtype + ", which is not supported: convert it to F32");
      continue;
    }
    result.tensors.emplace(name, TensorBytes{*dtype, std::move(*entry.shape), data.subspan(begin, end - begin), owner});
  }
  std::sort(placed.begin(), placed.end(), [](Placed const& a, Placed const& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::size_t reached = 0;
  for (auto const& tensor : placed) {
    require<CheckpointError>(tensor.begin == reached, where, ": ", detail::in_quotes(tensor.name), " begins at byte ",
                             tensor.begin, " of the data, expected ", reached, ": tensors ",
                             tensor.begin < reached ? "overlap" : "leave a hole");
    reached = tensor.end;
  }
  require<CheckpointError>(reached == data.size(), where, " has ", data.size(),
                           " bytes of data, but its tensors end at byte ", reached);
  return result;
}

KOVOS_DOOR NamedTensors read_safetensors(std::filesystem::path const& path) {
  auto const file = MappedFile::open(path);
  auto result = parse_safetensors(file->bytes(), path.string(), file);
  result.stamp = file->stamp();
  return result;
}

KOVOS_DOOR void write_safetensors(std::filesystem::path const& path, std::map<std::string, TensorBytes> const& tensors,
                                  std::map<std::string, std::string> const& metadata,
                                  SafetensorsWriting const& writing) {
  std::vector<std::pair<std::string const*, TensorBytes const*>> entries;
  for (auto const& [name, tensor] : tensors) {
    require<CheckpointError>(name != "__metadata__", "a tensor cannot be named '__metadata__' in a safetensors file");
    require<CheckpointError>(detail::checked_product(tensor.shape, size_of(tensor.dtype)) == tensor.bytes.size(),
                             "cannot write ", detail::in_quotes(name), ": its ", tensor.bytes.size(),
                             " bytes do not match its shape and dtype ", name_of(tensor.dtype));
    entries.emplace_back(&name, &tensor);
  }
  std::stable_sort(entries.begin(), entries.end(), [](auto const& a, auto const& b) {
    return detail::safetensors_rank(a.second->dtype) > detail::safetensors_rank(b.second->dtype);
  });

  std::string header;
  try {
    nlohmann::ordered_json document = nlohmann::ordered_json::object();
    if (!metadata.empty()) document["__metadata__"] = metadata;
    header = document.dump();
    header.pop_back();  // appended entry by entry: looking names up in an ordered document is quadratic
    std::size_t begin = 0;
    for (auto const& [name, tensor] : entries) {
      nlohmann::ordered_json const entry = {{"dtype", name_of(tensor->dtype)},
                                            {"shape", tensor->shape},
                                            {"data_offsets", {begin, begin + tensor->bytes.size()}}};
      if (header.size() > 1) header += ',';
      header += nlohmann::ordered_json(*name).dump() + ":" + entry.dump();
      begin += tensor->bytes.size();
    }
    header += '}';
  } catch (nlohmann::json::exception const&) {
    fail<CheckpointError>("cannot write ", detail::shown(path), ": a tensor name or a metadata entry is not UTF-8");
  }
  std::size_t const alignment = writing.alignment;
  header.append((alignment - (sizeof(std::uint64_t) + header.size()) % alignment) % alignment, ' ');
  require<CheckpointError>(header.size() <= detail::longest_safetensors_header, "cannot write ", detail::shown(path),
                           ": its header would have ", header.size(), " bytes, more than the format allows");

  auto const write = [&](std::ostream& stream) {
    std::uint64_t const header_size = header.size();
    stream.write(reinterpret_cast<char const*>(&header_size), sizeof(header_size));
    stream.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (auto const& [name, tensor] : entries) {
      stream.write(reinterpret_cast<char const*>(tensor->bytes.data()),
                   static_cast<std::streamsize>(tensor->bytes.size()));
    }
  };
  write_file_atomically(path, write, writing.durable);
}

KOVOS_DOOR void write_safetensors(std::filesystem::path const& path, NamedTensors const& checkpoint,
                                  SafetensorsWriting const& writing) {
  write_safetensors(path, checkpoint.tensors, checkpoint.metadata, writing);
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
