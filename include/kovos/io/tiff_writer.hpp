// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/io/detail/tiff_handle.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/georeference.hpp"

namespace kovos {

/// A label TIFF to be written.
struct TiffLabelFormat {
  std::size_t height = 0, width = 0;  // pixels
  int bits = 8;                       ///< 8 or 16
  Georeference georeference{};        ///< of the picture that was labelled; may be empty
  /// RGB triples of the labels from 0 on, by which programs show the file; empty: as grey. 8 bits only.
  std::vector<std::uint8_t> palette{};
};

/// The tiles of a label TIFF that is being written. Only write_tiff_labels makes one.
class TiffLabelTiles {
 public:
  static constexpr std::size_t side = 512;  ///< of a tile, pixels

  TiffLabelTiles(std::string name, TiffLabelFormat const& format, std::ostream& stream)
      : name_(std::move(name)), format_(format) {
    stream_.output = &stream;
    // Deflate can make labels a little larger; the directory comes last.
    std::uint64_t const bytes =
        std::uint64_t{format.height + side} * (format.width + side) * static_cast<std::uint64_t>(format.bits / 8);
    big_ = bytes > std::uint64_t{4'000'000'000};
    handle_.emplace(stream_, big_ ? "w8" : "w");
    check(handle_->get() != nullptr);
    check(handle_->call([&] { return set_tags(); }));
    buffer_.resize(side * side * static_cast<std::size_t>(format.bits / 8));
    tiles_across_ = (format.width + side - 1) / side;
    written_.resize(tiles_across_ * ((format.height + side - 1) / side));
  }

  /// Labels of a part that begins at a tile's corner and ends at one or at the picture's edge. LabelMap::unknown
  /// becomes the largest value. Throws ImageError if the part does not lie so, or a label does not fit; FileError if
  /// the disk is full.
  void write(std::size_t top, std::size_t left, LabelMap const& labels) {
    auto const ends = [](std::size_t end, std::size_t size) { return end == size || (end < size && end % side == 0); };
    require<ImageError>(top % side == 0 && left % side == 0 && labels.height > 0 && labels.width > 0 &&
                            ends(top + labels.height, format_.height) && ends(left + labels.width, format_.width),
                        name_, ": ", labels.width, " x ", labels.height, " labels at row ", top, ", column ", left,
                        " do not lie on tiles of ", side, " pixels in ", format_.width, " x ", format_.height);
    for (std::size_t y = 0; y < labels.height; y += side)
      for (std::size_t x = 0; x < labels.width; x += side) {
        fill(labels, y, x);
        auto const row = static_cast<std::uint32_t>(top + y), column = static_cast<std::uint32_t>(left + x);
        check(handle_->call([&] {
          auto const tile = TIFFComputeTile(handle_->get(), column, row, 0, 0);
          return TIFFWriteEncodedTile(handle_->get(), tile, buffer_.data(), static_cast<tmsize_t>(buffer_.size())) > 0;
        }));
        written_[row / side * tiles_across_ + column / side] = true;
      }
  }

  /// Ends the file. Throws ImageError if a tile is missing.
  void finish() {
    require<ImageError>(std::find(written_.begin(), written_.end(), false) == written_.end(), name_,
                        ": not all labels were written");
    check(handle_->call([&] { return TIFFWriteDirectory(handle_->get()) != 0; }));
    handle_->close();
  }

 private:
  void check(bool good) const {
    if (good) return;
    bool const full = stream_.output && !*stream_.output;
    if (full)
      fail<FileError>(
          "cannot write '", name_,
          "': the data could not be written; free some space or choose another folder; nothing was written");
    fail<ImageError>(name_, ": libtiff could not write the labels",
                     stream_.error[0] ? " (" + std::string(stream_.error) + ")" : "");
  }

  bool set_tags() {
    TIFF* const tiff = handle_->get();
    static constexpr TIFFFieldInfo georeference_tags[] = {
        {33550, -3, -3, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, const_cast<char*>("ModelPixelScale")},
        {33922, -3, -3, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, const_cast<char*>("ModelTiepoint")},
        {34264, -3, -3, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, const_cast<char*>("ModelTransformation")},
        {34735, -3, -3, TIFF_SHORT, FIELD_CUSTOM, 1, 1, const_cast<char*>("GeoKeyDirectory")},
        {34736, -3, -3, TIFF_DOUBLE, FIELD_CUSTOM, 1, 1, const_cast<char*>("GeoDoubleParams")},
        {34737, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, const_cast<char*>("GeoAsciiParams")},
        {42113, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, const_cast<char*>("GDAL_NODATA")},
    };
    bool good = TIFFMergeFieldInfo(tiff, georeference_tags, std::size(georeference_tags)) == 0;
    bool const colored = format_.bits == 8 && !format_.palette.empty();
    auto const set = [&](std::uint32_t tag, auto... values) { good = good && TIFFSetField(tiff, tag, values...) == 1; };
    set(TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(format_.width));
    set(TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(format_.height));
    set(TIFFTAG_BITSPERSAMPLE, format_.bits);
    set(TIFFTAG_SAMPLESPERPIXEL, 1);
    set(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    set(TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    set(TIFFTAG_PHOTOMETRIC, colored ? PHOTOMETRIC_PALETTE : PHOTOMETRIC_MINISBLACK);
    set(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    set(TIFFTAG_TILEWIDTH, static_cast<std::uint32_t>(side));
    set(TIFFTAG_TILELENGTH, static_cast<std::uint32_t>(side));
    if (colored) {
      std::array<std::array<std::uint16_t, 256>, 3> map{};
      for (std::size_t i = 0; i < std::min<std::size_t>(256, format_.palette.size() / 3); ++i)
        for (std::size_t c = 0; c < 3; ++c) map[c][i] = static_cast<std::uint16_t>(format_.palette[3 * i + c] * 257);
      set(TIFFTAG_COLORMAP, map[0].data(), map[1].data(), map[2].data());
    }
    auto const& g = format_.georeference;
    auto const pass_on = [&](std::uint32_t tag, auto const& values) {
      if (!values.empty()) set(tag, static_cast<std::uint32_t>(values.size()), values.data());
    };
    pass_on(33550, g.pixel_scale);
    pass_on(33922, g.tiepoints);
    pass_on(34264, g.transformation);
    pass_on(34735, g.keys);
    pass_on(34736, g.key_doubles);
    if (!g.key_text.empty()) set(34737, g.key_text.c_str());
    set(42113, format_.bits == 8 ? "255" : "65535");
    return good;
  }

  /// One tile; what is beyond the picture stays at "no label".
  void fill(LabelMap const& labels, std::size_t top, std::size_t left) {
    std::size_t const height = std::min(side, labels.height - top), width = std::min(side, labels.width - left);
    std::size_t const bytes = static_cast<std::size_t>(format_.bits / 8);
    std::fill(buffer_.begin(), buffer_.end(), std::uint8_t{0xFF});
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        std::uint16_t const label = labels(top + y, left + x);
        std::uint8_t* const to = buffer_.data() + (y * side + x) * bytes;
        if (bytes == 2) {
          std::memcpy(to, &label, 2);
          continue;
        }
        require<ImageError>(label < 255 || label == LabelMap::unknown, name_, ": label ", label,
                            " does not fit into 8 bits beside 255 for unknown; write 16 bits");
        *to = static_cast<std::uint8_t>(label & 0xFF);
      }
  }

  std::string name_;
  TiffLabelFormat const& format_;
  detail::TiffStream stream_;
  std::optional<detail::TiffHandle> handle_;
  bool big_ = false;
  std::vector<std::uint8_t> buffer_;
  std::size_t tiles_across_ = 0;
  std::vector<bool> written_;
};

/// Writes a label TIFF part by part, to a temporary name first: tiles of 512 pixels, Deflate, BigTIFF where it may not
/// fit into 4 GB; 255 or 65535, which stand for unknown, are declared as GDAL's "no data". `fill` calls write() until
/// every label is there. Throws what it throws, FileError or ImageError; then nothing is left behind.
inline void write_tiff_labels(std::filesystem::path const& path, TiffLabelFormat const& format,
                              std::function<void(TiffLabelTiles&)> const& fill) {
  require<ImageError>(format.bits == 8 || format.bits == 16, path.string(), ": label files have 8 or 16 bits, not ",
                      format.bits);
  require<ImageError>(
      format.height > 0 && format.width > 0 && format.height <= 0x7fffffff && format.width <= 0x7fffffff, path.string(),
      ": ", format.width, " x ", format.height, " labels make no file");
  write_file_atomically(path, [&](std::ostream& stream) {
    TiffLabelTiles tiles(path.string(), format, stream);
    fill(tiles);
    tiles.finish();
  });
}

}  // namespace kovos
