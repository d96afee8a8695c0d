// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zip.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

namespace kovos::detail {

/// A record of an archive to be written. The bytes are not copied: they must live until the archive is written.
struct ZipRecordBytes {
  std::string name;
  std::span<std::byte const> bytes;
};

/// Where libzip writes to: the temporary file of write_file_atomically.
class ZipSink {
 public:
  explicit ZipSink(std::ostream& stream) : stream_(stream) { zip_error_init(&error_); }
  ZipSink(ZipSink const&) = delete;
  ZipSink& operator=(ZipSink const&) = delete;
  ~ZipSink() { zip_error_fini(&error_); }

  /// errno of the first write that failed.
  int failure() const { return failure_; }

  static zip_int64_t call(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) noexcept {
    return static_cast<ZipSink*>(self)->handle(data, length, command);
  }

 private:
  zip_int64_t handle(void* data, zip_uint64_t length, zip_source_cmd_t command) {
    switch (command) {
      case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                              ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL,
                                              ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_COMMIT_WRITE,
                                              ZIP_SOURCE_ROLLBACK_WRITE, ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE,
                                              ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, -1);
      case ZIP_SOURCE_BEGIN_WRITE:
      case ZIP_SOURCE_COMMIT_WRITE:
      case ZIP_SOURCE_ROLLBACK_WRITE:
      case ZIP_SOURCE_REMOVE:
      case ZIP_SOURCE_CLOSE:
      case ZIP_SOURCE_FREE:
        return 0;
      case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&error_, data, length);
      case ZIP_SOURCE_WRITE:
        errno = 0;
        stream_.write(static_cast<char const*>(data), static_cast<std::streamsize>(length));
        return checked(static_cast<zip_int64_t>(length));
      case ZIP_SOURCE_TELL_WRITE:
        return checked(static_cast<zip_int64_t>(stream_.tellp()));
      case ZIP_SOURCE_SEEK_WRITE: {
        auto const* const to = ZIP_SOURCE_GET_ARGS(zip_source_args_seek_t, data, length, &error_);
        if (to == nullptr) return -1;
        auto const way = to->whence == SEEK_SET   ? std::ios::beg
                         : to->whence == SEEK_CUR ? std::ios::cur
                                                  : std::ios::end;
        stream_.seekp(to->offset, way);
        return checked(0);
      }
      default:
        // Nothing is there to be read: the archive is new.
        zip_error_set(&error_, ZIP_ER_READ, ENOENT);
        return -1;
    }
  }

  zip_int64_t checked(zip_int64_t result) {
    if (stream_) return result;
    if (failure_ == 0) failure_ = errno;
    zip_error_set(&error_, ZIP_ER_WRITE, failure_);
    return -1;
  }

  std::ostream& stream_;
  zip_error_t error_;
  int failure_ = 0;
};

/// Writes an archive of stored records whose payloads begin at multiples of 64 bytes, as torch.save does; the same
/// records give the same bytes. Failures of the stream are left in its state and errno; throws FileError for others.
inline void write_zip(std::ostream& stream, std::span<ZipRecordBytes const> records, std::string const& where) {
  ZipSink sink(stream);
  zip_error_t error;
  zip_error_init(&error);
  auto const complain = [&](char const* reason) {
    fail<FileError>("cannot write ", where, " as a zip archive: ", reason);
  };
  auto* const target = zip_source_function_create(ZipSink::call, &sink, &error);
  std::unique_ptr<zip_t, void (*)(zip_t*)> archive(
      target == nullptr ? nullptr : zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error), zip_discard);
  if (archive == nullptr) {
    std::string const reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    zip_source_free(target);
    complain(reason.c_str());
  }
  zip_error_fini(&error);

  std::uint64_t at = 0;
  for (auto const& record : records) {
    auto* const source = zip_source_buffer(archive.get(), record.bytes.data(), record.bytes.size(), 0);
    if (source == nullptr) complain(zip_strerror(archive.get()));
    auto const added = zip_file_add(archive.get(), record.name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (added < 0) {
      zip_source_free(source);
      complain(zip_strerror(archive.get()));
    }
    auto const index = static_cast<zip_uint64_t>(added);
    // The header before a payload has 30 bytes, the name, and an extra field "FB" of four bytes and the filling.
    constexpr std::uint64_t alignment = 64;
    std::uint64_t const header = 30 + record.name.size() + 4;
    std::vector<zip_uint8_t> const filling((alignment - (at + header) % alignment) % alignment, 'Z');
    at += header + filling.size() + record.bytes.size();
    bool const set = zip_set_file_compression(archive.get(), index, ZIP_CM_STORE, 0) == 0 &&
                     zip_file_set_dostime(archive.get(), index, 0, 0x21, 0) == 0 &&  // the first of January 1980
                     zip_file_extra_field_set(archive.get(), index, 0x4246, ZIP_EXTRA_FIELD_NEW, filling.data(),
                                              static_cast<zip_uint16_t>(filling.size()), ZIP_FL_LOCAL) == 0;
    if (!set) complain(zip_strerror(archive.get()));
  }
  if (zip_close(archive.get()) == 0) {
    static_cast<void>(archive.release());
  } else if (stream) {
    complain(zip_strerror(archive.get()));
  }
  errno = sink.failure();
}

}  // namespace kovos::detail
