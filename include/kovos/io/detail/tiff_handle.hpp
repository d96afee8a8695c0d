// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <istream>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "kovos/core/error.hpp"

namespace kovos::detail {

/// What libtiff reads from or writes to, and what it said last. It must stay where it is while a handle uses it.
struct TiffStream {
  std::span<std::byte const> bytes{};  // to read from memory, or
  std::istream* input = nullptr;       // to read from a file, or
  std::ostream* output = nullptr;      // to write to one
  std::uint64_t size = 0;              // of the input; of what was written so far
  std::uint64_t at = 0;
  char error[240] = "";
  char warning[240] = "";
};

inline void keep_tiff_message(char (&to)[240], char const* format, std::va_list arguments) {
  if (to[0] == '\0') std::vsnprintf(to, sizeof to, format, arguments);  // the first one names the cause
}

extern "C" inline tmsize_t kovos_tiff_read(thandle_t handle, void* to, tmsize_t count) {
  auto& stream = *static_cast<TiffStream*>(handle);
  if (stream.output || count <= 0 || stream.at >= stream.size) return 0;
  auto const wanted =
      static_cast<std::size_t>(std::min<std::uint64_t>(static_cast<std::uint64_t>(count), stream.size - stream.at));
  std::size_t got = wanted;
  if (stream.input) {
    stream.input->clear();
    stream.input->seekg(static_cast<std::streamoff>(stream.at));
    stream.input->read(static_cast<char*>(to), static_cast<std::streamsize>(wanted));
    got = static_cast<std::size_t>(std::max<std::streamsize>(stream.input->gcount(), 0));
  } else {
    std::memcpy(to, stream.bytes.data() + stream.at, wanted);
  }
  stream.at += got;
  return static_cast<tmsize_t>(got);
}
extern "C" inline tmsize_t kovos_tiff_write(thandle_t handle, void* from, tmsize_t count) {
  auto& stream = *static_cast<TiffStream*>(handle);
  if (!stream.output || count < 0) return 0;
  stream.output->seekp(static_cast<std::streamoff>(stream.at));
  stream.output->write(static_cast<char const*>(from), static_cast<std::streamsize>(count));
  if (!*stream.output) return 0;
  stream.at += static_cast<std::uint64_t>(count);
  stream.size = std::max(stream.size, stream.at);
  return count;
}
extern "C" inline toff_t kovos_tiff_seek(thandle_t handle, toff_t offset, int whence) {
  auto& stream = *static_cast<TiffStream*>(handle);
  if (whence == SEEK_CUR) offset += stream.at;
  if (whence == SEEK_END) offset += stream.size;
  return stream.at = offset;
}
extern "C" inline toff_t kovos_tiff_size(thandle_t handle) { return static_cast<TiffStream*>(handle)->size; }
extern "C" inline int kovos_tiff_close(thandle_t) { return 0; }

#if TIFFLIB_VERSION >= 20221213  // 4.5: messages belong to a handle
extern "C" inline int kovos_tiff_error(TIFF*, void* data, char const*, char const* format, std::va_list arguments) {
  keep_tiff_message(static_cast<TiffStream*>(data)->error, format, arguments);
  return 1;
}
extern "C" inline int kovos_tiff_warning(TIFF*, void* data, char const*, char const* format, std::va_list arguments) {
  keep_tiff_message(static_cast<TiffStream*>(data)->warning, format, arguments);
  return 1;
}
#else
// Before 4.5 a process has one handler. Ours keeps what is said while this thread is in a call of ours and leaves the
// rest to whoever was there before.
struct TiffListener {
  static inline thread_local TiffStream* stream = nullptr;
  static inline TIFFErrorHandler error_before = nullptr, warning_before = nullptr;
};
extern "C" inline void kovos_tiff_error(char const* module, char const* format, std::va_list arguments) {
  if (TiffListener::stream) keep_tiff_message(TiffListener::stream->error, format, arguments);
  else if (TiffListener::error_before) TiffListener::error_before(module, format, arguments);
}
extern "C" inline void kovos_tiff_warning(char const* module, char const* format, std::va_list arguments) {
  if (TiffListener::stream) keep_tiff_message(TiffListener::stream->warning, format, arguments);
  else if (TiffListener::warning_before) TiffListener::warning_before(module, format, arguments);
}
#endif

/// An open TIFF. Every call into libtiff goes through call(), which forgets old messages and hears new ones.
class TiffHandle {
 public:
  /// mode: "r", "w" or "w8" (BigTIFF). get() is null if libtiff could not open it; the stream's error says why.
  TiffHandle(TiffStream& stream, char const* mode) : stream_(stream) {
#if TIFFLIB_VERSION >= 20221213
    TIFFOpenOptions* const options = TIFFOpenOptionsAlloc();
    require<ImageError>(options != nullptr, "libtiff could not be started");
    TIFFOpenOptionsSetErrorHandlerExtR(options, kovos_tiff_error, &stream);
    TIFFOpenOptionsSetWarningHandlerExtR(options, kovos_tiff_warning, &stream);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, tmsize_t{1} << 30);
    tiff_ = TIFFClientOpenExt("", mode, &stream, kovos_tiff_read, kovos_tiff_write, kovos_tiff_seek, kovos_tiff_close,
                              kovos_tiff_size, nullptr, nullptr, options);
    TIFFOpenOptionsFree(options);
#else
    static bool const listening = [] {
      TiffListener::error_before = TIFFSetErrorHandler(kovos_tiff_error);
      TiffListener::warning_before = TIFFSetWarningHandler(kovos_tiff_warning);
      return true;
    }();
    (void)listening;
    // Without functions to map libtiff reads what it needs.
    call([&] {
      tiff_ = TIFFClientOpen("", mode, &stream, kovos_tiff_read, kovos_tiff_write, kovos_tiff_seek, kovos_tiff_close,
                             kovos_tiff_size, nullptr, nullptr);
      return 0;
    });
#endif
  }
  TiffHandle(TiffHandle const&) = delete;
  TiffHandle& operator=(TiffHandle const&) = delete;
  ~TiffHandle() { close(); }

  TIFF* get() const { return tiff_; }

  template <class F>
  auto call(F const& f) const {
    stream_.error[0] = stream_.warning[0] = '\0';
#if TIFFLIB_VERSION < 20221213
    struct Listening {
      explicit Listening(TiffStream* stream) { TiffListener::stream = stream; }
      ~Listening() { TiffListener::stream = nullptr; }
    } const here(&stream_);
#endif
    return f();
  }

  /// Writes what is still to be written, and frees the handle.
  void close() {
    if (!tiff_) return;
    call([&] {
      TIFFClose(tiff_);
      return 0;
    });
    tiff_ = nullptr;
  }

 private:
  TiffStream& stream_;
  TIFF* tiff_ = nullptr;
};

/// The name of a value of the tag Compression; empty for one that is not known.
inline std::string_view tiff_compression_name(unsigned code) {
  struct Entry {
    unsigned code;
    std::string_view name;
  };
  static constexpr Entry table[] = {
      {1, "none"},
      {2, "CCITT RLE"},
      {3, "CCITT fax 3"},
      {4, "CCITT fax 4"},
      {5, "LZW"},
      {6, "old-style JPEG"},
      {7, "JPEG"},
      {8, "Deflate"},
      {9, "JBIG"},
      {10, "JBIG colour"},
      {32766, "NeXT"},
      {32771, "CCITT RLE/W"},
      {32773, "PackBits"},
      {32809, "ThunderScan"},
      {32908, "PixarFilm"},
      {32909, "PixarLog"},
      {32946, "Deflate"},
      {33003, "JPEG 2000"},
      {33005, "JPEG 2000"},
      {34661, "JBIG"},
      {34676, "SGI LogLuv"},
      {34677, "SGI LogLuv"},
      {34712, "JPEG 2000"},
      {34887, "LERC"},
      {34892, "lossy JPEG of DNG"},
      {34925, "LZMA"},
      {50000, "Zstandard"},
      {50001, "WebP"},
      {50002, "JPEG XL"},
      {52546, "JPEG XL"},
  };
  auto const* const found =
      std::find_if(std::begin(table), std::end(table), [&](Entry const& e) { return e.code == code; });
  return found == std::end(table) ? std::string_view() : found->name;
}

}  // namespace kovos::detail
