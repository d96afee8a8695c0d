// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/io/image.hpp"

namespace {

std::size_t number_at(std::vector<std::uint8_t> const& bytes, std::size_t at) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | bytes[at + i];
  return number;
}

/// Gives each chunk of a PNG the checksum of what it holds, so that changes get past it.
void mend_checksums(std::vector<std::uint8_t>& png) {
  for (std::size_t at = 8; at + 12 <= png.size();) {
    std::size_t const length = number_at(png, at);
    if (length > png.size() - at - 12) return;
    auto const sum = crc32(0, png.data() + at + 4, static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i)
      png[at + 8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i) & 0xFF);
    at += 12 + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::vector<std::uint8_t> content(data, data + size);
  mend_checksums(content);
  // Sizes that are refused are tested elsewhere; those that are just allowed cost time for zeros.
  if (size >= 24 && number_at(content, 16) * number_at(content, 20) > std::size_t{1} << 20) return 0;
  auto const bytes = std::as_bytes(std::span(content));
  int const orientation = kovos::image_orientation(bytes);
  if (orientation < 1 || orientation > 8) std::abort();
  (void)kovos::detail::foreign_format(bytes);
  try {
    auto const file = kovos::detail::decode_png_labels(bytes, "input");
    if (file.values.size() != file.height * file.width) std::abort();
    if (file.bits == 8)
      for (auto const value : file.values)
        if (value > 255) std::abort();
    (void)kovos::decode_image(bytes, "input", {.bit_depth = kovos::BitDepth::scale});
  } catch (kovos::ImageError const&) {
  }
  return 0;
}
