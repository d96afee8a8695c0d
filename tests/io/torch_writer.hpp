// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support.hpp"

// Writes pickles opcode by opcode and zip archives field by field, so that every kind of wrong can be made.

namespace kovos::test {

struct PickleWriter {
  std::string bytes = "\x80\x02";

  PickleWriter& op(std::string_view code) {
    bytes += code;
    return *this;
  }
  PickleWriter& op(char code) { return op(std::string_view(&code, 1)); }
  PickleWriter& mark() { return op('('); }
  PickleWriter& text(std::string_view value) {
    return op('X').op(raw(static_cast<std::uint32_t>(value.size()))).op(value);
  }
  PickleWriter& integer(std::int64_t value) {
    if (value >= 0 && value < 256) return op('K').op(static_cast<char>(value));
    if (value >= INT32_MIN && value <= INT32_MAX) return op('J').op(raw(static_cast<std::int32_t>(value)));
    return op("\x8a\x08").op(raw(value));
  }
  PickleWriter& integers(std::vector<std::int64_t> const& values) {
    mark();
    for (auto value : values) integer(value);
    return op('t');
  }
  PickleWriter& global(std::string_view module, std::string_view name) {
    return op('c').op(module).op('\n').op(name).op('\n');
  }
  PickleWriter& put(unsigned slot) { return op('r').op(raw(slot)); }
  PickleWriter& get(unsigned slot) { return op('j').op(raw(slot)); }
  PickleWriter& ordered_dict() { return global("collections", "OrderedDict").op(")R"); }

  struct Storage {
    std::string type = "FloatStorage";
    std::string key = "0";
    std::int64_t numel = 0;
    std::string module = "torch";
    std::optional<std::vector<std::int64_t>> view = {};  // legacy: offset, size
    bool legacy = false;
  };
  PickleWriter& storage(Storage const& s) {
    mark().text("storage").global(s.module, s.type).text(s.key).text("cpu").integer(s.numel);
    if (s.legacy && s.view) mark().text("view").integer(s.view->at(0)).integer(s.view->at(1)).op('t');
    if (s.legacy && !s.view) op('N');
    return op("tQ");
  }
  /// A tensor made by _rebuild_tensor_v2.
  PickleWriter& tensor(Storage const& s, std::vector<std::int64_t> const& size, std::vector<std::int64_t> const& stride,
                       std::int64_t offset = 0) {
    global("torch._utils", "_rebuild_tensor_v2").mark().storage(s).integer(offset).integers(size).integers(stride);
    return op('\x89').ordered_dict().op("tR");
  }
  std::string stop() { return op('.').bytes; }
};

struct ZipRecord {
  std::string name, data;
  std::uint16_t method = 0, flags = 0;
  std::optional<std::uint64_t> size = {};        // lies in the directory
  std::optional<std::uint64_t> compressed = {};  // lies in the directory
  std::optional<std::uint32_t> offset = {};      // lies in the directory
  std::optional<std::string> local_name = {};
  std::string local_extra = {};
  std::string extra = {};
  std::uint16_t disk = 0;
  std::uint32_t crc = 0;
};

struct ZipEnd {
  std::optional<std::uint16_t> entries = {};
  std::optional<std::uint32_t> offset = {}, size = {};
  std::uint16_t disk = 0;
  std::string after = {};
  bool large = false;  // with a ZIP64 end record
  std::optional<std::uint64_t> large_entries = {};
  std::string gap = {};  // between the records and the directory
};

inline std::string zip_archive(std::vector<ZipRecord> const& records, ZipEnd const& end = {}) {
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  std::string file, directory;
  for (auto const& r : records) {
    auto const begin = static_cast<U32>(file.size());
    auto const& local = r.local_name.value_or(r.name);
    auto const stored = static_cast<U32>(r.data.size());
    auto const size = static_cast<U32>(r.size.value_or(stored)),
               compressed = static_cast<U32>(r.compressed.value_or(stored));
    file += raw(U32{0x04034b50}, U16{0}, r.flags, r.method, U32{0}, r.crc, (r.flags & 8) != 0 ? U32{0} : stored,
                (r.flags & 8) != 0 ? U32{0} : (r.method == 0 ? stored : size), static_cast<U16>(local.size()),
                static_cast<U16>(r.local_extra.size()));
    file += local + r.local_extra + r.data;
    directory += raw(U32{0x02014b50}, U16{0}, U16{0}, r.flags, r.method, U32{0}, r.crc, compressed, size,
                     static_cast<U16>(r.name.size()), static_cast<U16>(r.extra.size()), U16{0}, r.disk, U16{0}, U32{0},
                     r.offset.value_or(begin));
    directory += r.name + r.extra;
  }
  file += end.gap;
  auto const place = static_cast<U32>(file.size());
  file += directory;
  auto const count = static_cast<U16>(records.size());
  if (end.large) {
    auto const at = std::uint64_t{file.size()};
    auto const entries = end.large_entries.value_or(count);
    file += raw(U32{0x06064b50}, std::uint64_t{44}, U16{45}, U16{45}, U32{0}, U32{0}, entries, entries,
                std::uint64_t{directory.size()}, std::uint64_t{place});
    file += raw(U32{0x07064b50}, U32{0}, at, U32{1});
  }
  file += raw(U32{0x06054b50}, end.disk, end.disk, end.entries.value_or(count), end.entries.value_or(count),
              end.size.value_or(static_cast<U32>(directory.size())), end.offset.value_or(place),
              static_cast<U16>(end.after.size()));
  return file + end.after;
}

/// What torch.save makes of a pickle and its storages.
inline std::vector<ZipRecord> torch_records(std::string const& pickle,
                                            std::vector<std::pair<std::string, std::string>> const& storages,
                                            std::string const& folder = "archive") {
  std::vector<ZipRecord> records{{folder + "/data.pkl", pickle}};
  for (auto const& [key, data] : storages) records.push_back({folder + "/data/" + key, data});
  records.push_back({folder + "/version", "3\n"});
  return records;
}

/// The form before PyTorch 1.6.
inline std::string torch_legacy(std::string const& pickle,
                                std::vector<std::pair<std::string, std::string>> const& storages,
                                bool little_endian = true) {
  std::string file("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  file += PickleWriter().op('M').op(raw(std::uint16_t{1001})).stop();
  file += PickleWriter().op("}(").text("little_endian").op(little_endian ? '\x88' : '\x89').op('u').stop();
  file += pickle;
  PickleWriter keys;
  keys.op("](");
  for (auto const& [key, data] : storages) keys.text(key);
  file += keys.op('e').stop();
  for (auto const& [key, data] : storages) file += data;
  return file;
}

}  // namespace kovos::test
