// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"

namespace kovos {

namespace detail {

/// A path as it is shown in messages.
inline std::string shown(std::filesystem::path const& path) { return in_quotes(path.string()); }

/// A point in time to the nanosecond.
inline std::string shown(::timespec const& time) {
  return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

/// The operating system's words for an errno value.
inline std::string reason(int error) { return std::generic_category().message(error); }

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor const&) = delete;
  Descriptor& operator=(Descriptor const&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

/// Opens a file for reading and looks at it; throws FileError for what is missing, unreadable or a directory.
inline int open_to_read(std::filesystem::path const& path, struct ::stat& status) {
  int const number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (number < 0) {
    int const error = errno;
    if (error == ENOENT) fail<FileError>(shown(path), " does not exist: check the path");
    if (error == EACCES) fail<FileError>(shown(path), " may not be read by this user: check its permissions");
    fail<FileError>(shown(path), " could not be opened for reading: ", reason(error));
  }
  if (::fstat(number, &status) != 0) {
    int const error = errno;
    ::close(number);
    fail<FileError>(shown(path), " could not be examined: ", reason(error));
  }
  if (S_ISDIR(status.st_mode)) {
    ::close(number);
    fail<FileError>(shown(path), " is a directory, expected a file: name a file inside it");
  }
  return number;
}

}  // namespace detail

/// A whole file as read-only memory. Pages are read when they are touched, so opening is quick whatever the size.
/// The file must not be shortened while it is mapped: no reader of mapped memory can survive that.
class MappedFile {
 public:
  /// Maps a regular file; an empty one is a valid, empty mapping. Throws FileError if it is missing, a directory, a
  /// device or pipe, or unreadable.
  static std::shared_ptr<MappedFile const> open(std::filesystem::path const& path) {
    struct ::stat status = {};
    detail::Descriptor const file(detail::open_to_read(path, status));
    require<FileError>(S_ISREG(status.st_mode), detail::shown(path),
                       " is a pipe or a device, expected a regular file: copy it to a file first");
    auto const size = static_cast<std::size_t>(status.st_size);
    void* address = nullptr;
    if (size > 0) {
      address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
      if (address == MAP_FAILED) {
        fail<FileError>(detail::shown(path), " (", size, " bytes) could not be mapped: ", detail::reason(errno));
      }
    }
    auto const stamp =
        std::to_string(size) + " bytes, " + detail::shown(status.st_mtim) + ", " + detail::shown(status.st_ctim);
    return std::shared_ptr<MappedFile const>(new MappedFile(address, size, stamp));
  }

  MappedFile(MappedFile const&) = delete;
  MappedFile& operator=(MappedFile const&) = delete;
  ~MappedFile() {
    if (address_ != nullptr) ::munmap(address_, size_);
  }

  /// The file's bytes, valid as long as this object lives.
  std::span<std::byte const> bytes() const { return {static_cast<std::byte const*>(address_), size_}; }

  /// Size, and when content and status were changed last: whoever writes to the file changes this, even if he restores
  /// the modification time.
  std::string const& stamp() const { return stamp_; }

 private:
  MappedFile(void* address, std::size_t size, std::string stamp)
      : address_(address), size_(size), stamp_(std::move(stamp)) {}

  void* address_;
  std::size_t size_;
  std::string stamp_;
};

/// Reads a whole file, pipe or device into memory. Throws FileError if it is missing, a directory, unreadable or longer
/// than `longest` bytes.
inline std::vector<std::byte> read_file(std::filesystem::path const& path, std::size_t longest = std::size_t{1} << 32) {
  struct ::stat status = {};
  detail::Descriptor const file(detail::open_to_read(path, status));
  std::vector<std::byte> content;
  if (S_ISREG(status.st_mode)) {
    auto const size = static_cast<std::size_t>(status.st_size);
    require<FileError>(size <= longest, detail::shown(path), " is ", size, " bytes long, expected at most ", longest);
    content.reserve(size);
  }
  std::vector<std::byte> chunk(std::size_t{1} << 16);
  while (true) {
    auto const count = ::read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail<FileError>(detail::shown(path), " could not be read: ", detail::reason(errno));
    if (count == 0) return content;
    require<FileError>(content.size() + static_cast<std::size_t>(count) <= longest, detail::shown(path),
                       " is longer than ", longest, " bytes, which is the most this kind of file may have");
    content.insert(content.end(), chunk.begin(), chunk.begin() + count);
  }
}

/// Writes a file so that it is either there in full or not at all: `write` fills a temporary file beside the target,
/// which is flushed, checked and then renamed. The temporary file is removed on every failure, also when `write`
/// throws. durable: wait until the data is on the disk before the name is, so that even a power failure leaves no file
/// with holes. Throws FileError if the folder is missing or not writable, the disk is full, or the target is not a
/// regular file.
KOVOS_COLD inline void write_file_atomically(std::filesystem::path const& path,
                                             std::function<void(std::ostream&)> const& write, bool durable = false) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  // Through a link we replace what it points at, and never a device such as /dev/null.
  fs::path target = path;
  if (fs::is_symlink(path, ignored)) {
    if (auto const real = fs::canonical(path, ignored); !ignored) target = real;
  }
  require<FileError>(!target.filename().empty(), "cannot write ", detail::shown(path), ": it names no file");
  auto const existing = fs::status(target, ignored);
  require<FileError>(!fs::is_directory(existing), "cannot write ", detail::shown(path),
                     ": it is a directory, expected a file name");
  require<FileError>(!fs::exists(existing) || fs::is_regular_file(existing), "cannot write ", detail::shown(path),
                     ": it exists and is not a regular file");

  static std::atomic<unsigned> counter{0};
  fs::path temporary = target;
  temporary += '.' + std::to_string(::getpid()) + '.' + std::to_string(counter++) + ".partial";
  struct Removal {
    fs::path const& file;
    bool armed = false;
    ~Removal() {
      std::error_code unheeded;
      if (armed) fs::remove(file, unheeded);
    }
  } removal{temporary};

  auto const give_up = [&](std::string const& what) {
    int const error = errno;
    fail<FileError>("cannot write ", detail::shown(path), ": ", what,
                    error != 0 ? " (" + detail::reason(error) + ")" : "",
                    error == ENOSPC || error == EFBIG || error == EDQUOT
                        ? "; free some space or choose another folder; nothing was written"
                        : "; check that its folder exists and is writable; nothing was written");
  };
  errno = 0;
  std::ofstream stream(temporary, std::ios::binary | std::ios::trunc);
  if (!stream) give_up("the file could not be created");
  removal.armed = true;
  write(stream);
  if (!stream) give_up("the data could not be written");
  errno = 0;
  stream.flush();
  if (!stream) give_up("the data could not be written");
  stream.close();
  if (!stream) give_up("the data could not be written");
  if (durable) {
    detail::Descriptor const file(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 || ::fsync(file.get()) != 0) give_up("the data could not be brought to the disk");
  }
  std::error_code error;
  fs::rename(temporary, target, error);
  errno = error.value();
  if (error) give_up("the finished file could not be renamed");
  removal.armed = false;
}

/// Writes these bytes atomically, as above.
inline void write_file_atomically(std::filesystem::path const& path, std::span<std::byte const> content) {
  write_file_atomically(path, [&](std::ostream& stream) {
    stream.write(reinterpret_cast<char const*>(content.data()), static_cast<std::streamsize>(content.size()));
  });
}

}  // namespace kovos
