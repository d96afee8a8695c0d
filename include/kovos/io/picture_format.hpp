// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kovos::detail {

/// What a file is by its first bytes, as far as the readers of this room tell apart.
enum class PictureFormat : std::uint8_t { png, jpeg, pnm, tiff, other };

inline bool has_at(std::span<std::byte const> bytes, std::size_t at, std::string_view magic) {
  if (bytes.size() < at || bytes.size() - at < magic.size()) return false;
  for (std::size_t i = 0; i < magic.size(); ++i)
    if (std::to_integer<unsigned char>(bytes[at + i]) != static_cast<unsigned char>(magic[i])) return false;
  return true;
}

inline PictureFormat picture_format(std::span<std::byte const> bytes) {
  using namespace std::string_view_literals;
  auto const starts_with = [&](std::string_view magic) { return has_at(bytes, 0, magic); };
  if (starts_with("\x89PNG"sv)) return PictureFormat::png;
  if (starts_with("\xFF\xD8\xFF"sv)) return PictureFormat::jpeg;
  for (auto const magic : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv})
    if (starts_with(magic)) return PictureFormat::tiff;
  if (bytes.size() > 2 && starts_with("P")) {
    auto const kind = std::to_integer<char>(bytes[1]), blank = std::to_integer<char>(bytes[2]);
    bool const blanks = blank == ' ' || (blank >= '\t' && blank <= '\r') || blank == '#';
    if (kind >= '1' && kind <= '6' && blanks) return PictureFormat::pnm;
  }
  return PictureFormat::other;
}

/// The name of a format that this library does not read, and what to do; empty if it is not known.
struct ForeignFormat {
  std::string_view name, advice;
};

inline ForeignFormat foreign_format(std::span<std::byte const> bytes) {
  using namespace std::string_view_literals;
  struct Entry {
    std::size_t at;
    std::string_view magic, name;
    std::string_view advice = "convert it to PNG or JPEG"sv;
  };
  static constexpr Entry table[] = {
      {0, "GIF87a"sv, "GIF"sv},
      {0, "GIF89a"sv, "GIF"sv},
      {6, "\0\0\0\0"sv, "BMP"sv},  // looked at only where the file begins with BM
      {8, "WEBP"sv, "WebP"sv},
      {0, "\xFF\x0A"sv, "JPEG XL"sv},
      {0, "\0\0\0\x0CJXL "sv, "JPEG XL"sv},
      {0, "\0\0\0\x0CjP  "sv, "JPEG 2000"sv},
      {0, "\xFF\x4F\xFF\x51"sv, "JPEG 2000"sv},
      {4, "ftypavif"sv, "AVIF"sv},
      {4, "ftypavis"sv, "AVIF"sv},
      {4, "ftyphei"sv, "HEIC"sv},
      {4, "ftyphev"sv, "HEIC"sv},
      {4, "ftypmif1"sv, "HEIF"sv},
      {4, "ftypmsf1"sv, "HEIF"sv},
      {4, "ftyp"sv, "a video or another ISO media file"sv, "extract its pictures as PNG or JPEG"sv},
      {0, "8BPS"sv, "Photoshop"sv},
      {0, "\x76\x2F\x31\x01"sv, "OpenEXR"sv},
      {0, "qoif"sv, "QOI"sv},
      {0, "\0\0\1\0"sv, "ICO"sv},
      {128, "DICM"sv, "DICOM"sv, "export its pictures as PNG"sv},
      {0, "SIMPLE  ="sv, "FITS"sv, "export its pictures as PNG"sv},
      {0, "\x89HDF"sv, "HDF5"sv, "export its pictures as PNG"sv},
      {0, "\x93NUMPY"sv, "a NumPy array"sv, "save it as PNG"sv},
      {0, "%PDF-"sv, "PDF"sv, "save its pages as PNG or JPEG"sv},
      {0, "<svg"sv, "SVG"sv, "draw it as PNG"sv},
      {0, "version https://git-lfs"sv, "a pointer of Git LFS"sv, "fetch the picture with git lfs pull"sv},
      {0, "<!DOCTYPE html"sv, "a web page"sv, "download the picture again"sv},
      {0, "<!doctype html"sv, "a web page"sv, "download the picture again"sv},
      {0, "<html"sv, "a web page"sv, "download the picture again"sv},
      {0, "PK\3\4"sv, "a zip archive"sv, "unpack it"sv},
      {0, "\x1F\x8B"sv, "gzip"sv, "unpack it"sv},
  };
  for (auto const& entry : table) {
    if (!has_at(bytes, entry.at, entry.magic)) continue;
    if (entry.name == "BMP" && !has_at(bytes, 0, "BM")) continue;
    if (entry.name == "WebP" && !has_at(bytes, 0, "RIFF")) continue;
    return {entry.name, entry.advice};
  }
  return {};
}

}  // namespace kovos::detail
