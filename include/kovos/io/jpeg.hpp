// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
// libjpeg's header needs <cstdio> before it.
#include <jpeglib.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/exif.hpp"
#include "kovos/io/picture_size.hpp"

namespace kovos::detail {

struct JpegErrors {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "damaged";
};

extern "C" inline void kovos_jpeg_error(j_common_ptr info) {
  auto* const errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}
/// A warning means that data is missing or wrong: no partial pictures.
extern "C" inline void kovos_jpeg_message(j_common_ptr info, int level) {
  if (level < 0) kovos_jpeg_error(info);
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
                      int& orientation, std::vector<std::uint8_t>& row) {
  auto& info = reader.info;
  info.err = jpeg_std_error(&reader.errors.manager);
  reader.errors.manager.error_exit = kovos_jpeg_error;
  reader.errors.manager.emit_message = kovos_jpeg_message;
  if (setjmp(reader.errors.jump)) return false;
  jpeg_create_decompress(&info);
  reader.created = true;
  jpeg_mem_src(&info, reinterpret_cast<unsigned char const*>(bytes.data()), static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&info, TRUE);
  check_picture_size(info.image_height, info.image_width, name);
  for (auto const* marker = info.marker_list; marker; marker = marker->next)
    if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && std::memcmp(marker->data, "Exif\0\0", 6) == 0)
      orientation = exif_orientation({reinterpret_cast<std::byte const*>(marker->data) + 6, marker->data_length - 6});
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
  jpeg_finish_decompress(&info);
  return true;
}

/// A JPEG as 8-bit RGB, by Pillow's rules: libjpeg-turbo's accurate DCT and smooth chroma, EXIF orientation applied.
inline Image decode_jpeg(std::span<std::byte const> bytes, std::string_view name) {
  JpegReader reader;
  Image image;
  int orientation = 1;
  std::vector<std::uint8_t> row;
  bool const good = read_jpeg(reader, bytes, name, image, orientation, row);
  require<ImageError>(good, std::string(name), ": damaged JPEG (", static_cast<char const*>(reader.errors.message),
                      "); save or download it again");
  return oriented(std::move(image), orientation);
}

}  // namespace kovos::detail
