// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
// libjpeg's header needs <cstdio> before it.
#include <jpeglib.h>
// The messages' numbers.
#include <jerror.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/exif.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/picture_format.hpp"
#include "kovos/io/picture_size.hpp"

namespace kovos::detail {

/// What stands before the picture data of a JPEG.
struct JpegHeader {
  int frame = 0;  // the frame's marker, 0xC0 and up; 0 if there is none
  int precision = 0, components = 0;
  std::size_t height = 0, width = 0;
  std::vector<std::byte> exif;
  std::string_view xmp;
};

/// Reads the segments up to the first scan as far as they go. Bytes between them are passed over.
inline JpegHeader scan_jpeg_header(std::span<std::byte const> bytes) {
  using namespace std::string_view_literals;
  JpegHeader header;
  auto const byte = [&](std::size_t i) { return std::to_integer<int>(bytes[i]); };
  auto const u16 = [&](std::size_t i) { return static_cast<std::size_t>(byte(i) << 8 | byte(i + 1)); };
  for (std::size_t at = 2; at + 1 < bytes.size();) {
    if (byte(at) != 0xFF || byte(at + 1) == 0xFF || byte(at + 1) == 0) {
      ++at;
      continue;
    }
    int const marker = byte(at + 1);
    at += 2;
    if (marker == 0xDA || marker == 0xD9) break;                         // scan, end
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;  // markers without a length
    if (at + 2 > bytes.size()) break;
    std::size_t const length = u16(at);
    if (length < 2 || length > bytes.size() - at) break;
    auto const body = bytes.subspan(at + 2, length - 2);
    bool const starts_frame = (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC);
    if ((starts_frame || marker == 0xF7) && header.frame == 0 && body.size() >= 6) {
      header.frame = marker;
      header.precision = std::to_integer<int>(body[0]);
      header.height = u16(at + 3);
      header.width = u16(at + 5);
      header.components = std::to_integer<int>(body[5]);
    }
    constexpr auto exif = "Exif\0\0"sv, xmp = "http://ns.adobe.com/xap/1.0/\0"sv;
    // A block too long for one segment goes on in the next.
    if (marker == 0xE1 && has_at(body, 0, exif)) header.exif.insert(header.exif.end(), body.begin() + 6, body.end());
    if (marker == 0xE1 && has_at(body, 0, xmp))
      header.xmp = std::string_view(reinterpret_cast<char const*>(body.data()), body.size()).substr(xmp.size());
    at += length;
  }
  return header;
}

/// The orientation (1 to 8) that a JPEG states.
inline int jpeg_orientation(std::span<std::byte const> bytes) {
  auto const header = scan_jpeg_header(bytes);
  return stated_orientation(header.exif, header.xmp);
}

/// The kind of a JPEG that libjpeg does not read although nothing is wrong with it; empty if it is an ordinary one.
inline std::string uncommon_jpeg(JpegHeader const& header) {
  auto const number = [](int n) { return std::to_string(n); };
  switch (header.frame) {
    case 0xC3:
      return "a lossless JPEG (SOF3, " + number(header.precision) + " bits)";
    case 0xC5:
    case 0xC6:
    case 0xC7:
    case 0xCD:
    case 0xCE:
      return "a hierarchical JPEG (SOF" + number(header.frame - 0xC0) + ")";
    case 0xCB:
      return "a lossless JPEG with arithmetic coding (SOF11)";
    case 0xCF:
      return "a hierarchical JPEG (SOF15)";
    case 0xF7:
      return "a JPEG-LS picture (" + number(header.precision) + " bits)";
    default:
      break;
  }
  if (header.frame == 0) return {};
  if (header.precision == 12) return "a JPEG of " + number(header.precision) + " bits per sample";
  if (header.height == 0) return "a JPEG that states its height after the picture data (DNL)";
  if (header.components != 1 && header.components != 3 && header.components != 4)
    return "a JPEG of " + number(header.components) + " components";
  if (header.frame == 0xC9 || header.frame == 0xCA)
    return "a JPEG with arithmetic coding (SOF" + number(header.frame - 0xC0) + ")";
  return {};
}

struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  int code = 0;
  bool has_all_rows = false;
  char message[JMSG_LENGTH_MAX] = "damaged";
};

extern "C" inline void kovos_jpeg_error(j_common_ptr info) {
  auto* const errors = reinterpret_cast<JpegErrors*>(info->err);
  errors->code = info->err->msg_code;
  info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

/// Of libjpeg's warnings, those that mean missing or wrong picture data: no partial pictures. Bytes between segments
/// or after the data of a scan, parameters of a sequential scan, and numbers of versions change no pixel.
inline bool loses_pixels(JpegErrors const& errors, int warning) {
  switch (warning) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
      return false;
    case JWRN_JPEG_EOF:
      return !errors.has_all_rows;  // else only the end marker is missing
    // Codes that cannot be, data that ends early, restart markers that do not follow one another, scans of a
    // progressive picture that are missing; and whatever a later libjpeg warns of.
    default:
      return true;
  }
}

extern "C" inline void kovos_jpeg_message(j_common_ptr info, int level) {
  if (level < 0 && loses_pixels(*reinterpret_cast<JpegErrors*>(info->err), info->err->msg_code)) kovos_jpeg_error(info);
}

/// Owns libjpeg's state. It is made before setjmp, so a long jump skips no destructor.
struct JpegReader {
  jpeg_decompress_struct info{};
  JpegErrors errors{};
  bool created = false;
  JpegReader() = default;
  JpegReader(JpegReader const&) = delete;
  JpegReader& operator=(JpegReader const&) = delete;
  ~JpegReader() {
    if (created) jpeg_destroy_decompress(&info);
  }
};

inline bool read_jpeg(JpegReader& reader, std::span<std::byte const> bytes, std::string_view name, Image& image,
                      std::vector<std::uint8_t>& row) {
  auto& info = reader.info;
  info.err = jpeg_std_error(&reader.errors.manager);
  reader.errors.manager.error_exit = kovos_jpeg_error;
  reader.errors.manager.emit_message = kovos_jpeg_message;
  if (setjmp(reader.errors.jump)) return false;
  jpeg_create_decompress(&info);
  reader.created = true;
  jpeg_mem_src(&info, reinterpret_cast<unsigned char const*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&info, TRUE);
  check_picture_size(info.image_height, info.image_width, name);
  bool const four = info.num_components == 4;
  info.out_color_space = four ? JCS_CMYK : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&info);
  std::size_t const width = info.output_width;
  image.height = info.output_height;
  image.width = width;
  image.pixels.resize(image.height * width * 3);
  row.resize(width * static_cast<std::size_t>(info.output_components));
  while (info.output_scanline < info.output_height) {
    std::uint8_t* const to = image.row(info.output_scanline);
    std::uint8_t* line = four ? row.data() : to;
    jpeg_read_scanlines(&info, &line, 1);
    if (!four) continue;
    // Four components are taken as Adobe writes them, inverted: what is stored is 255 - ink.
    auto const product = [](unsigned a, unsigned b) {
      unsigned const t = a * b + 128;
      return ((t >> 8) + t) >> 8;
    };
    for (std::size_t x = 0; x < width; ++x) {
      unsigned const white = row[4 * x + 3];  // 255 - K
      for (std::size_t c = 0; c < 3; ++c) {
        unsigned const ink = 255u - row[4 * x + c];
        to[3 * x + c] = static_cast<std::uint8_t>(white - product(ink, white));
      }
    }
  }
  reader.errors.has_all_rows = true;
  jpeg_finish_decompress(&info);
  return true;
}

/// A JPEG as 8-bit RGB, by Pillow's rules: libjpeg-turbo's accurate DCT and smooth chroma, orientation applied.
inline Image decode_jpeg(std::span<std::byte const> bytes, std::string_view name, ImageOptions options = {}) {
  JpegReader reader;
  Image image;
  std::vector<std::uint8_t> row;
  bool const good = read_jpeg(reader, bytes, name, image, row);
  if (good) return oriented(std::move(image), options.apply_orientation ? jpeg_orientation(bytes) : 1);
  switch (reader.errors.code) {
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_EMPTY_IMAGE:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_SOF_UNSUPPORTED:
    case JERR_UNKNOWN_MARKER: {
      auto const kind = uncommon_jpeg(scan_jpeg_header(bytes));
      require<ImageError>(kind.empty(), std::string(name), ": ", kind, ", which the libjpeg of this build does not ",
                          "read (", static_cast<char const*>(reader.errors.message), "); convert it to PNG or to an ",
                          "ordinary JPEG of 8 bits with a program that reads it");
      break;
    }
    case JERR_FRACT_SAMPLE_NOTIMPL:
      fail<ImageError>(std::string(name), ": a JPEG whose colour is sampled in a fraction of its brightness, which ",
                       "libjpeg does not read (", static_cast<char const*>(reader.errors.message),
                       "); convert it to PNG with a program that reads it");
    default:
      break;
  }
  fail<ImageError>(std::string(name), ": damaged JPEG (", static_cast<char const*>(reader.errors.message),
                   "); save or download it again");
}

}  // namespace kovos::detail
