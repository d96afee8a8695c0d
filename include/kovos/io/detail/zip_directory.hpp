// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zip.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

namespace kovos::detail {

/// One record of an archive; the names point into the archive's bytes.
struct ZipEntry {
  std::string_view name;
  std::uint16_t method = 0;  // 0 stored, 8 deflated
  std::uint64_t compressed = 0, size = 0;
  std::uint64_t begin = 0;    // of the local header
  std::uint64_t payload = 0;  // of the compressed bytes
};

/// The directory of a zip archive in memory, believed only after checking: every record lies inside the file before the
/// directory, no two overlap, local headers agree, names are plain and unique, and libzip reads the same directory.
/// Stored records are used in place, which is why their offsets are needed (libzip does not tell them); compressed ones
/// are inflated by libzip.
class ZipDirectory {
 public:
  static constexpr std::uint64_t most_entries = 200'000;

  ZipDirectory(std::span<std::byte const> content, std::string where) : content_(content), where_(std::move(where)) {
    read_directory();
    compare_with_libzip();
  }

  /// The first record as the directory lists it.
  ZipEntry const& front() const { return entries_.front(); }

  ZipEntry const* find(std::string const& name) const {
    auto const found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &entries_[found->second];
  }

  /// The bytes of a stored record (method 0), in place.
  std::span<std::byte const> stored(ZipEntry const& entry) const { return content_.subspan(entry.payload, entry.size); }

  /// A copy of a record that may be deflated; at most `longest` bytes, checked before any memory is taken. Only
  /// deflated records have their checksum verified: PyTorch can write archives without checksums.
  KOVOS_COLD std::vector<std::byte> unpacked(ZipEntry const& entry, std::uint64_t longest) const {
    require<CheckpointError>(entry.size <= longest, where_, ": the record ", in_quotes(entry.name), " unpacks to ",
                             entry.size, " bytes, expected at most ", longest);
    require<CheckpointError>(entry.method == 0 || entry.method == 8, where_, ": the record ", in_quotes(entry.name),
                             " is compressed by method ", entry.method,
                             ", expected none or deflate: pack the archive again without compression");
    if (entry.method == 0) {
      auto const bytes = stored(entry);
      return {bytes.begin(), bytes.end()};
    }
    // Deflate cannot shrink more than 1032 to 1, so a larger promise is a lie.
    require<CheckpointError>(entry.size / 1032 <= entry.compressed, where_, ": the record ", in_quotes(entry.name),
                             " promises ", entry.size, " bytes out of ", entry.compressed, ", which cannot be true");
    auto const index = static_cast<zip_uint64_t>(&entry - entries_.data());
    std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> const file(zip_fopen_index(archive_.get(), index, 0), zip_fclose);
    require<CheckpointError>(file != nullptr, where_, ": the record ", in_quotes(entry.name),
                             " cannot be opened: ", zip_strerror(archive_.get()));
    std::vector<std::byte> bytes(static_cast<std::size_t>(entry.size));
    std::size_t filled = 0;
    while (filled < bytes.size()) {
      auto const count = zip_fread(file.get(), bytes.data() + filled, bytes.size() - filled);
      require<CheckpointError>(count > 0, where_, ": the record ", in_quotes(entry.name), " is damaged: ",
                               count < 0 ? zip_file_strerror(file.get()) : "it is shorter than the directory says");
      filled += static_cast<std::size_t>(count);
    }
    std::byte beyond;
    require<CheckpointError>(zip_fread(file.get(), &beyond, 1) == 0, where_, ": the record ", in_quotes(entry.name),
                             " is damaged: it is longer than the directory says or its checksum is wrong");
    return bytes;
  }

 private:
  template <class T>
  T number(std::uint64_t offset) const {
    T value;
    std::memcpy(&value, content_.data() + offset, sizeof(T));
    return value;
  }
  bool has(std::uint64_t offset, std::uint64_t count) const {
    return offset <= content_.size() && count <= content_.size() - offset;
  }
  template <class... Parts>
  [[noreturn]] void complain(Parts const&... parts) const {
    fail<CheckpointError>(where_, " is a damaged zip archive: ", parts...);
  }
  std::string_view text(std::uint64_t offset, std::uint64_t count) const {
    return {reinterpret_cast<char const*>(content_.data()) + offset, static_cast<std::size_t>(count)};
  }

  /// Offsets of an archive behind another one count from its own beginning: what is said to lie at `said` lies at
  /// `real`.
  void refuse_second_archive(std::uint64_t said, std::uint64_t real) const {
    std::uint64_t const start = said < real ? real - said : 0;
    if (start == 0 || number<std::uint32_t>(0) != 0x04034b50 || number<std::uint32_t>(start) != 0x04034b50) return;
    fail<CheckpointError>(where_, " holds several zip archives one after the other, as the shards of ",
                          "torch.distributed.checkpoint do: give the folder with its file '.metadata' instead");
  }

  struct Extent {
    std::uint64_t offset, size, entries, end;
  };

  KOVOS_COLD Extent find_directory() const {
    constexpr std::uint64_t record = 22, longest_comment = 65535;
    if (content_.size() < record) complain("it has only ", content_.size(), " bytes: is it an unfinished download?");
    std::uint64_t const last = content_.size() - record;
    std::uint64_t const first = last > longest_comment ? last - longest_comment : 0;
    std::optional<std::uint64_t> end;
    for (std::uint64_t at = last + 1; at-- > first && !end;) {
      bool const closes = at + record + number<std::uint16_t>(at + 20) == content_.size();
      if (closes && number<std::uint32_t>(at) == 0x06054b50) end = at;
    }
    if (!end) complain("its directory at the end is missing: is it an unfinished download?");
    if (number<std::uint16_t>(*end + 4) != 0 || number<std::uint16_t>(*end + 6) != 0) {
      complain("it is split over several files, which is not supported");
    }
    Extent found{number<std::uint32_t>(*end + 16), number<std::uint32_t>(*end + 12), number<std::uint16_t>(*end + 10),
                 *end};
    if (*end >= 20 && number<std::uint32_t>(*end - 20) == 0x07064b50) {
      auto const large = number<std::uint64_t>(*end - 12);
      std::uint64_t const locator = *end - 20;
      if (locator >= 56 && number<std::uint32_t>(locator - 56) == 0x06064b50)
        refuse_second_archive(large, locator - 56);
      if (!has(large, 56) || large + 56 > locator || number<std::uint32_t>(large) != 0x06064b50 ||
          number<std::uint64_t>(large + 4) != locator - large - 12) {
        complain("its large directory record is missing");
      }
      if (number<std::uint32_t>(large + 16) != 0 || number<std::uint32_t>(large + 20) != 0) {
        complain("it is split over several files, which is not supported");
      }
      Extent const wide{number<std::uint64_t>(large + 48), number<std::uint64_t>(large + 40),
                        number<std::uint64_t>(large + 32), large};
      auto const agree = [](std::uint64_t small, std::uint64_t overflow, std::uint64_t full) {
        return small == overflow || small == full;
      };
      if (!agree(found.entries, 0xffff, wide.entries) || !agree(found.size, 0xffffffff, wide.size) ||
          !agree(found.offset, 0xffffffff, wide.offset)) {
        complain("its two end records contradict each other");
      }
      found = wide;
    }
    if (found.size <= found.end) refuse_second_archive(found.offset, found.end - found.size);
    if (found.size > found.end || found.offset > found.end - found.size) {
      complain("its directory lies outside the file");
    }
    if (found.entries > most_entries || found.entries > found.size / 46) {
      complain("it claims ", found.entries, " records in a directory of ", found.size, " bytes, expected at most ",
               most_entries, " of at least 46 bytes each");
    }
    if (found.entries == 0) complain("it is empty");
    return found;
  }

  KOVOS_COLD void read_directory() {
    auto const directory = find_directory();
    std::uint64_t const end = directory.offset + directory.size;
    std::uint64_t at = directory.offset;
    entries_.reserve(static_cast<std::size_t>(directory.entries));
    for (std::uint64_t i = 0; i < directory.entries; ++i) {
      if (end - at < 46 || number<std::uint32_t>(at) != 0x02014b50) complain("its directory breaks off at record ", i);
      auto const flags = number<std::uint16_t>(at + 8);
      std::uint64_t const name_size = number<std::uint16_t>(at + 28), extra_size = number<std::uint16_t>(at + 30),
                          comment_size = number<std::uint16_t>(at + 32);
      if (end - at - 46 < name_size + extra_size + comment_size) complain("its directory breaks off at record ", i);
      ZipEntry entry;
      entry.name = text(at + 46, name_size);
      entry.method = number<std::uint16_t>(at + 10);
      entry.compressed = number<std::uint32_t>(at + 20);
      entry.size = number<std::uint32_t>(at + 24);
      entry.begin = number<std::uint32_t>(at + 42);
      std::uint64_t disk = number<std::uint16_t>(at + 34);
      read_large_sizes(entry, disk, at + 46 + name_size, extra_size);
      at += 46 + name_size + extra_size + comment_size;

      auto const name = in_quotes(entry.name);
      if (disk != 0) complain("the record ", name, " lies in another file");
      if ((flags & 0x2041) != 0) complain("the record ", name, " is encrypted, which is not supported");
      if (!is_plain(entry.name)) complain("the record name ", name, " is not a plain relative path");
      if (entry.method == 0 && entry.compressed != entry.size) {
        complain("the stored record ", name, " has two different sizes, ", entry.compressed, " and ", entry.size);
      }
      if (!by_name_.emplace(std::string(entry.name), entries_.size()).second) complain("two records are named ", name);
      read_local_header(entry, directory.offset);
      entries_.push_back(entry);
    }
    if (at != end) complain("its directory has ", end - at, " bytes more than its records need");
    check_overlaps();
  }

  /// Sizes and offset that do not fit 32 bits stand in the extra field 0x0001, only those, in this order.
  KOVOS_COLD void read_large_sizes(ZipEntry& entry, std::uint64_t& disk, std::uint64_t extra,
                                   std::uint64_t extra_size) const {
    bool const wanted =
        entry.size == 0xffffffff || entry.compressed == 0xffffffff || entry.begin == 0xffffffff || disk == 0xffff;
    std::uint64_t const extra_end = extra + extra_size;
    while (wanted && extra_end - extra >= 4) {
      auto const id = number<std::uint16_t>(extra);
      std::uint64_t const size = number<std::uint16_t>(extra + 2);
      extra += 4;
      if (size > extra_end - extra) complain("the extra field of ", in_quotes(entry.name), " breaks off");
      std::uint64_t const next = extra + size;
      if (id != 0x0001) {
        extra = next;
        continue;
      }
      for (auto* field : {&entry.size, &entry.compressed, &entry.begin}) {
        if (*field != 0xffffffff) continue;
        if (next - extra < 8) complain("the large sizes of ", in_quotes(entry.name), " are missing");
        *field = number<std::uint64_t>(extra);
        extra += 8;
      }
      if (disk == 0xffff) {
        if (next - extra < 4) complain("the large sizes of ", in_quotes(entry.name), " are missing");
        disk = number<std::uint32_t>(extra);
      }
      return;
    }
  }

  /// Finds the payload and checks that the local header tells the same story as the directory. Sizes are zero there
  /// when a data descriptor follows, which is how PyTorch writes.
  KOVOS_COLD void read_local_header(ZipEntry& entry, std::uint64_t directory) const {
    auto const name = in_quotes(entry.name);
    if (entry.begin > directory || directory - entry.begin < 30 || number<std::uint32_t>(entry.begin) != 0x04034b50) {
      complain("the record ", name, " has no header where the directory says");
    }
    auto const flags = number<std::uint16_t>(entry.begin + 6);
    std::uint64_t const name_size = number<std::uint16_t>(entry.begin + 26);
    std::uint64_t const extra_size = number<std::uint16_t>(entry.begin + 28);
    if (directory - entry.begin - 30 < name_size + extra_size) complain("the record ", name, " breaks off");
    entry.payload = entry.begin + 30 + name_size + extra_size;
    if (entry.compressed > directory - entry.payload) {
      complain("the record ", name, " of ", entry.compressed, " bytes reaches beyond the data");
    }
    auto const agrees = [&](std::uint64_t offset, std::uint64_t size) {
      auto const local = number<std::uint32_t>(entry.begin + offset);
      return local == 0xffffffff || local == size || ((flags & 8) != 0 && local == 0);
    };
    if (text(entry.begin + 30, name_size) != entry.name || number<std::uint16_t>(entry.begin + 8) != entry.method ||
        (flags & 0x2041) != 0 || !agrees(18, entry.compressed) || !agrees(22, entry.size)) {
      complain("the header of the record ", name, " contradicts the directory");
    }
  }

  KOVOS_COLD void check_overlaps() const {
    std::vector<ZipEntry const*> ordered;
    for (auto const& entry : entries_) ordered.push_back(&entry);
    std::sort(ordered.begin(), ordered.end(), [](auto* a, auto* b) { return a->begin < b->begin; });
    for (std::size_t i = 1; i < ordered.size(); ++i) {
      if (ordered[i - 1]->payload + ordered[i - 1]->compressed > ordered[i]->begin) {
        complain("the records ", in_quotes(ordered[i - 1]->name), " and ", in_quotes(ordered[i]->name), " overlap");
      }
    }
  }

  static bool is_plain(std::string_view name) {
    constexpr std::string_view forbidden("\\\0", 2);
    if (name.empty() || name.front() == '/' || name.find_first_of(forbidden) != std::string_view::npos) return false;
    while (true) {
      auto const slash = name.find('/');
      if (name.substr(0, slash) == "..") return false;
      if (slash == std::string_view::npos) return true;
      name.remove_prefix(slash + 1);
    }
  }

  void compare_with_libzip() {
    zip_error_t error;
    zip_error_init(&error);
    auto* source = zip_source_buffer_create(content_.data(), content_.size(), 0, &error);
    if (source != nullptr) {
      archive_.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
      if (archive_ == nullptr) zip_source_free(source);
    }
    std::string const reason = archive_ == nullptr ? zip_error_strerror(&error) : "";
    zip_error_fini(&error);
    if (archive_ == nullptr) complain(reason);
    bool same = zip_get_num_entries(archive_.get(), 0) == static_cast<zip_int64_t>(entries_.size());
    for (std::size_t i = 0; same && i < entries_.size(); ++i) {
      zip_stat_t status;
      zip_stat_init(&status);
      auto const* name = zip_get_name(archive_.get(), i, ZIP_FL_ENC_RAW);
      same = name != nullptr && name == entries_[i].name && zip_stat_index(archive_.get(), i, 0, &status) == 0 &&
             status.size == entries_[i].size && status.comp_size == entries_[i].compressed &&
             status.comp_method == entries_[i].method;
    }
    if (!same) complain("its directory can be read in two ways");
  }

  std::span<std::byte const> content_;
  std::string where_;
  std::vector<ZipEntry> entries_;
  std::map<std::string, std::size_t> by_name_;
  std::unique_ptr<zip_t, void (*)(zip_t*)> archive_{nullptr, zip_discard};
};

}  // namespace kovos::detail
