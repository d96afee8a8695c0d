// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/exif.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/picture_format.hpp"
#include "kovos/io/picture_size.hpp"

namespace kovos::detail {

/// Everything a PNG holds that we look at. The rows are as libpng delivers them after its transformations.
struct PngData {
  std::size_t height = 0, width = 0, channels = 0;
  int bits = 8, color = 0;
  std::vector<std::uint8_t> rows;     // [height * stride]
  std::vector<std::uint8_t> palette;  // RGB triples
};

struct PngSource {
  std::span<std::byte const> bytes;
  std::size_t at = 0;
  bool has_all_rows = false;  // and the checksums over them were right
  char message[160] = "damaged";
};

extern "C" inline void kovos_png_read(png_structp png, png_bytep to, png_size_t count) {
  auto* const source = static_cast<PngSource*>(png_get_io_ptr(png));
  if (count > source->bytes.size() - source->at) png_error(png, "the file is truncated");
  std::memcpy(to, source->bytes.data() + source->at, count);
  source->at += count;
}
extern "C" inline void kovos_png_error(png_structp png, png_const_charp message) {
  auto* const source = static_cast<PngSource*>(png_get_error_ptr(png));
  if (source) std::snprintf(source->message, sizeof source->message, "%s", message);
  png_longjmp(png, 1);
}
extern "C" inline void kovos_png_warning(png_structp, png_const_charp) {}

/// Owns libpng's structures. It is made before setjmp, so a long jump skips no destructor.
struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit PngReader(PngSource& source)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, kovos_png_error, kovos_png_warning)),
        info(png ? png_create_info_struct(png) : nullptr) {}
  PngReader(PngReader const&) = delete;
  PngReader& operator=(PngReader const&) = delete;
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

/// Reads a PNG; raw keeps palette indices and small grey values as they are. All memory belongs to `data`, so that
/// libpng's long jumps skip no destructor. Returns false with source.message set.
inline bool read_png_data(PngSource& source, PngData& data, bool raw, std::string_view name) {
  PngReader const reader(source);
  png_structp const png = reader.png;
  png_infop const info = reader.info;
  require<ImageError>(info != nullptr, std::string(name), ": libpng could not be started");
  if (setjmp(png_jmpbuf(png))) return source.has_all_rows;
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_read_fn(png, &source, kovos_png_read);
  png_read_info(png, info);
  data.height = png_get_image_height(png, info);
  data.width = png_get_image_width(png, info);
  data.bits = png_get_bit_depth(png, info);
  data.color = png_get_color_type(png, info);
  check_picture_size(data.height, data.width, name);
  png_colorp colors = nullptr;
  int count = 0;
  if (png_get_PLTE(png, info, &colors, &count))
    for (int i = 0; i < count; ++i)
      data.palette.insert(data.palette.end(), {colors[i].red, colors[i].green, colors[i].blue});
  if (data.bits < 8) {
    // Grey values are scaled to 0..255 for pictures, indices never.
    if (!raw && data.color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
    else png_set_packing(png);
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  data.channels = png_get_channels(png, info);
  std::size_t const stride = png_get_rowbytes(png, info);
  // A file of this size cannot decode to that much: deflate shrinks at most about a thousandfold.
  if (stride * data.height / 1100 > source.bytes.size()) png_error(png, "the file is too short for its size in pixels");
  data.rows.resize(stride * data.height);
  for (int pass = png_get_interlace_type(png, info) == PNG_INTERLACE_ADAM7 ? 7 : 1; pass > 0; --pass)
    for (std::size_t y = 0; y < data.height; ++y) png_read_row(png, data.rows.data() + y * stride, nullptr);
  source.has_all_rows = true;
  png_read_end(png, info);  // what is wrong behind the pixels costs none
  return true;
}

inline PngData read_png_data(std::span<std::byte const> bytes, bool raw, std::string_view name) {
  require<ImageError>(!has_at(bytes, 12, "CgBI"), std::string(name),
                      ": a PNG in Apple's form for iPhones (CgBI), which is no valid PNG and which nothing but Apple's "
                      "tools reads; turn it back with 'pngcrush -revert-iphone-optimizations' or save it again as PNG");
  PngSource source{bytes};
  PngData data;
  bool const good = read_png_data(source, data, raw, name);
  require<ImageError>(good, std::string(name), ": damaged PNG (", static_cast<char const*>(source.message),
                      "); save or download it again");
  return data;
}

/// What zlib makes of these bytes, at most 1 MiB as in Pillow; empty if it is more or damaged.
inline std::string inflated(std::string_view deflated) {
  std::string text(std::size_t{1} << 20, '\0');
  uLongf size = text.size();
  int const status = ::uncompress(reinterpret_cast<Bytef*>(text.data()), &size,
                                  reinterpret_cast<Bytef const*>(deflated.data()), deflated.size());
  text.resize(status == Z_OK ? size : 0);
  return text;
}

/// EXIF as ImageMagick writes it into a text chunk: a name and a length on lines of their own, then hexadecimal digits.
inline std::vector<std::byte> exif_of_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    std::size_t const end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  std::vector<std::byte> bytes;
  int high = -1;
  for (char const c : text) {
    int const digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) continue;
    if (high >= 0) bytes.push_back(static_cast<std::byte>(high << 4 | digit));
    high = high >= 0 ? -1 : digit;
  }
  return bytes;
}

/// The orientation (1 to 8) that a PNG states: in eXIf, in ImageMagick's text, or in XMP, in this order. Chunks with a
/// wrong checksum do not count.
KOVOS_COLD inline int png_orientation(std::span<std::byte const> bytes) {
  std::span<std::byte const> exif;
  std::vector<std::byte> raw_profile;
  std::string xmp;
  auto const u32 = [&](std::size_t at) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::size_t>(bytes[at + i]);
    return value;
  };
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    std::size_t const length = u32(at);
    if (length > bytes.size() - at - 12) break;
    auto const is = [&](std::string_view kind) { return has_at(bytes, at + 4, kind); };
    auto const body = bytes.subspan(at + 8, length);
    std::size_t const next = at + 12 + length;
    if (is("IEND")) break;
    bool const text = is("tEXt") || is("zTXt") || is("iTXt");
    if (text || is("eXIf")) {
      auto const* const from = reinterpret_cast<Bytef const*>(bytes.data() + at + 4);
      if (::crc32(0, from, static_cast<uInt>(length + 4)) != u32(next - 4)) {
        at = next;
        continue;
      }
    }
    if (is("eXIf")) exif = body;
    std::string_view content(reinterpret_cast<char const*>(body.data()), text ? length : 0);
    std::size_t const end = content.find('\0');
    if (end != content.npos) {
      auto const key = content.substr(0, end);
      content.remove_prefix(end + 1);
      bool deflated = is("zTXt");
      if (deflated) content.remove_prefix(content.empty() ? 0 : 1);  // the method
      if (is("iTXt") && content.size() >= 2) {
        deflated = content[0] != 0;
        content.remove_prefix(2);
        for (int part = 0; part < 2; ++part) {  // language and translated key
          std::size_t const stop = content.find('\0');
          content.remove_prefix(stop == content.npos ? content.size() : stop + 1);
        }
      }
      bool const profile = key == "Raw profile type exif", packet = key == "XML:com.adobe.xmp";
      if (profile || packet) {
        std::string const value = deflated ? inflated(content) : std::string(content);
        if (profile) raw_profile = exif_of_raw_profile(value);
        else xmp = value;
      }
    }
    at = next;
  }
  return stated_orientation(exif.empty() ? std::span<std::byte const>(raw_profile) : exif, xmp);
}

/// A PNG as 8-bit RGB, by Pillow's rules; where a 16-bit one is to be scaled, by the options'.
inline Image decode_png(std::span<std::byte const> bytes, std::string_view name, ImageOptions options = {}) {
  PngData data = read_png_data(bytes, false, name);
  int const orientation = options.apply_orientation ? png_orientation(bytes) : 1;
  if (data.color == PNG_COLOR_TYPE_RGB && data.bits == 8)
    return oriented(Image{data.height, data.width, std::move(data.rows)}, orientation);
  Image image{data.height, data.width, std::vector<std::uint8_t>(data.height * data.width * 3)};
  std::size_t const sample = data.bits == 16 ? 2 : 1;
  bool const grey = data.channels <= 2, scale = options.bit_depth == BitDepth::scale;
  auto const of_16_bits = [&](std::uint8_t const* p) -> std::uint8_t {
    // 65535 / 255 is 257: the nearest.
    if (scale) return static_cast<std::uint8_t>(((unsigned{p[0]} << 8 | p[1]) + 128) / 257);
    bool const saturates = data.channels == 1;
    return !saturates ? p[0] : p[0] ? 255 : p[1];
  };
  for (std::size_t i = 0; i < data.height * data.width; ++i) {
    std::uint8_t const* const p = data.rows.data() + i * data.channels * sample;
    std::uint8_t* const to = image.pixels.data() + 3 * i;
    if (data.color == PNG_COLOR_TYPE_PALETTE) {
      std::size_t const at = 3 * std::size_t{p[0]};
      for (std::size_t c = 0; c < 3; ++c) to[c] = at + c < data.palette.size() ? data.palette[at + c] : std::uint8_t{0};
    } else if (grey) {
      to[0] = to[1] = to[2] = sample == 1 ? p[0] : of_16_bits(p);
    } else {
      for (std::size_t c = 0; c < 3; ++c) to[c] = sample == 1 ? p[c] : of_16_bits(p + 2 * c);
    }
  }
  return oriented(std::move(image), orientation);
}

struct PngTarget {
  std::ostream* stream;
  char message[160] = "failed";
};

extern "C" inline void kovos_png_write(png_structp png, png_bytep from, png_size_t count) {
  auto* const target = static_cast<PngTarget*>(png_get_io_ptr(png));
  target->stream->write(reinterpret_cast<char const*>(from), static_cast<std::streamsize>(count));
}
extern "C" inline void kovos_png_flush(png_structp) {}

inline bool write_png_rows(PngTarget& target, std::size_t height, std::size_t width, int bits, int color,
                           std::uint8_t const* rows, std::size_t stride) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, kovos_png_warning);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  png_set_write_fn(png, &target, kovos_png_write, kovos_png_flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bits, color,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, 6);
  png_write_info(png, info);
  for (std::size_t y = 0; y < height; ++y) png_write_row(png, rows + y * stride);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return true;
}

inline void write_png_file(std::filesystem::path const& path, std::size_t height, std::size_t width, int bits,
                           int color, std::vector<std::uint8_t> const& rows) {
  check_picture_size(height, width, path.string());
  write_file_atomically(path, [&](std::ostream& stream) {
    PngTarget target{&stream};
    bool const good = write_png_rows(target, height, width, bits, color, rows.data(), rows.size() / height);
    require<ImageError>(good, path.string(), ": libpng could not write the picture");
  });
}

}  // namespace kovos::detail
