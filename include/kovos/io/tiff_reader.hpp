// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/detail/tiff_handle.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/georeference.hpp"

namespace kovos {

enum class TiffSample : std::uint8_t { unsigned_integer, signed_integer, floating };
enum class TiffColor : std::uint8_t { white_is_zero, black_is_zero, rgb, palette };

/// What the first picture of a TIFF is.
struct TiffLayout {
  std::size_t height = 0, width = 0;  // pixels
  std::size_t bands = 0;
  int bits = 0;  ///< per sample: 1, 2, 4, 8, 16, 32 or 64
  TiffSample sample = TiffSample::unsigned_integer;
  TiffColor color = TiffColor::black_is_zero;
  bool planar = false;                            ///< each band by itself
  bool tiled = false;                             ///< else strips as wide as the picture
  std::size_t chunk_height = 0, chunk_width = 0;  ///< of a tile or strip, pixels
  unsigned compression = 1;                       ///< the tag's value
  int orientation = 1;                            ///< 1 to 8, as EXIF counts
  bool big = false, big_endian = false;           ///< BigTIFF; the byte order of the file
};

/// A part of a TIFF: [height, width, bands], bands side by side, in this machine's byte order. Samples of less than 8
/// bits have 8 here and their own value.
struct TiffWindow {
  std::size_t height = 0, width = 0, bands = 0;
  int bits = 8;  // 8, 16, 32 or 64
  TiffSample sample = TiffSample::unsigned_integer;
  std::vector<std::byte> samples;

  /// Sample i as T, which must be the type of the samples.
  template <class T>
  T at(std::size_t i) const {
    T value;
    std::memcpy(&value, samples.data() + i * sizeof(T), sizeof(T));
    return value;
  }
  /// Sample i as a number; exact but for integers beyond 2^53.
  double number(std::size_t i) const {
    if (sample == TiffSample::floating) return bits == 32 ? static_cast<double>(at<float>(i)) : at<double>(i);
    if (sample == TiffSample::signed_integer) {
      switch (bits) {
        case 8:
          return at<std::int8_t>(i);
        case 16:
          return at<std::int16_t>(i);
        case 32:
          return at<std::int32_t>(i);
        default:
          return static_cast<double>(at<std::int64_t>(i));
      }
    }
    switch (bits) {
      case 8:
        return at<std::uint8_t>(i);
      case 16:
        return at<std::uint16_t>(i);
      case 32:
        return at<std::uint32_t>(i);
      default:
        return static_cast<double>(at<std::uint64_t>(i));
    }
  }
};

/// Reads parts of the first picture of a TIFF or BigTIFF without reading the rest: strips or tiles, bands together or
/// apart, either byte order, every compression that this machine's libtiff has. Tiles and strips read last stay
/// decoded, up to 128 MB of them. One thread at a time.
class TiffReader {
 public:
  /// Opens a file. Throws FileError if it cannot be read, ImageError if it is no TIFF that can be read, with the
  /// reason.
  explicit TiffReader(std::filesystem::path const& path)
      : name_(path.string()), stream_(std::make_unique<detail::TiffStream>()) {
    struct ::stat status = {};
    {
      detail::Descriptor const file(detail::open_to_read(path, status));
    }  // for its sentences
    require<FileError>(S_ISREG(status.st_mode), detail::shown(path),
                       " is a pipe or a device, expected a regular file: copy it to a file first");
    file_ = std::make_unique<std::ifstream>(path, std::ios::binary);
    require<FileError>(static_cast<bool>(*file_), detail::shown(path), " could not be opened for reading");
    stream_->input = file_.get();
    stream_->size = static_cast<std::uint64_t>(status.st_size);
    open();
  }
  /// The same from memory, which must outlive the reader. Throws ImageError.
  TiffReader(std::span<std::byte const> bytes, std::string_view source_name)
      : name_(source_name), stream_(std::make_unique<detail::TiffStream>()) {
    stream_->bytes = bytes;
    stream_->size = bytes.size();
    open();
  }

  TiffLayout const& layout() const { return layout_; }
  Georeference const& georeference() const { return georeference_; }
  /// GDAL's tag: the value that means "no data"; none if there is no such tag, or no number in it.
  std::optional<double> no_data() const { return no_data_; }
  /// Of TiffColor::palette: RGB triples. libtiff's 16-bit entries by their high byte, as Pillow has them.
  std::vector<std::uint8_t> const& palette() const { return palette_; }
  std::string const& name() const { return name_; }
  /// Whether a tile or strip has no data in the file (GDAL leaves out what is empty); it reads as zeros.
  bool has_holes() const {
    std::uint32_t const count = layout_.tiled ? TIFFNumberOfTiles(tiff()) : TIFFNumberOfStrips(tiff());
    for (std::uint32_t i = 0; i < count; ++i)
      if (is_hole(i)) return true;
    return false;
  }

  /// The pixels [top, top + height) x [left, left + width) in these bands (from 0; none named: all).
  /// Throws ImageError if the part is not inside the picture, a band does not exist, or the data cannot be decoded.
  TiffWindow read(std::size_t top, std::size_t left, std::size_t height, std::size_t width,
                  std::span<std::size_t const> bands = {}) {
    require<ImageError>(height > 0 && width > 0 && height <= layout_.height && top <= layout_.height - height &&
                            width <= layout_.width && left <= layout_.width - width,
                        name_, ": ", width, " x ", height, " pixels at row ", top, ", column ", left,
                        " are not inside the picture of ", layout_.width, " x ", layout_.height, " pixels");
    std::vector<std::size_t> chosen(bands.begin(), bands.end());
    if (chosen.empty()) {
      chosen.resize(layout_.bands);
      std::iota(chosen.begin(), chosen.end(), std::size_t{0});
    }
    for (auto const band : chosen)
      require<ImageError>(band < layout_.bands, name_, ": there is no band ", band + 1, ", the picture has ",
                          layout_.bands, layout_.bands == 1 ? " band" : " bands");
    TiffWindow window{height, width, chosen.size(), std::max(layout_.bits, 8), layout_.sample, {}};
    std::size_t const bytes = static_cast<std::size_t>(window.bits) / 8;
    window.samples.resize(height * width * chosen.size() * bytes);
    std::size_t const ch = layout_.chunk_height, cw = layout_.chunk_width;
    for (std::size_t row = top / ch; row * ch < top + height; ++row)
      for (std::size_t column = left / cw; column * cw < left + width; ++column) {
        // In planar files each band has chunks of its own.
        for (std::size_t b = 0; b < chosen.size(); ++b) {
          if (!layout_.planar && b > 0) break;
          auto const& data = chunk(row, column, layout_.planar ? chosen[b] : 0);
          std::size_t const y0 = std::max(top, row * ch), y1 = std::min(top + height, (row + 1) * ch);
          std::size_t const x0 = std::max(left, column * cw), x1 = std::min(left + width, (column + 1) * cw);
          for (std::size_t y = y0; y < y1; ++y) {
            std::byte const* const from = data.data() + (y - row * ch) * stride_;
            std::byte* const to = window.samples.data() + ((y - top) * width + (x0 - left)) * chosen.size() * bytes;
            if (layout_.planar) copy(from, x0 - column * cw, x1 - x0, 1, 0, to + b * bytes, chosen.size());
            else
              for (std::size_t k = 0; k < chosen.size(); ++k)
                copy(from, x0 - column * cw, x1 - x0, layout_.bands, chosen[k], to + k * bytes, chosen.size());
          }
        }
      }
    return window;
  }

 private:
  static constexpr std::uint64_t most_chunk_bytes = std::uint64_t{512} << 20;
  static constexpr std::size_t most_kept_bytes = std::size_t{128} << 20;

  struct Chunk {
    std::uint32_t index;
    std::vector<std::byte> data;
  };

  TIFF* tiff() const { return handle_->get(); }

  template <class T>
  T field(std::uint32_t tag, T otherwise) const {
    T value{};
    return TIFFGetFieldDefaulted(tiff(), tag, &value) ? value : otherwise;
  }

  KOVOS_COLD void open() {
    handle_ = std::make_unique<detail::TiffHandle>(*stream_, "r");
    if (!handle_->get())
      fail<ImageError>(name_, ": damaged TIFF (", reason("libtiff does not say why"), "); save or download it again");
    handle_->call([&] {
      read_layout();
      return 0;
    });
    georeference_.pixel_scale = numbers<double>(33550, TIFF_DOUBLE);
    georeference_.tiepoints = numbers<double>(33922, TIFF_DOUBLE);
    georeference_.transformation = numbers<double>(34264, TIFF_DOUBLE);
    georeference_.keys = numbers<std::uint16_t>(34735, TIFF_SHORT);
    georeference_.key_doubles = numbers<double>(34736, TIFF_DOUBLE);
    georeference_.key_text = text(34737);
    auto const empty = text(42113);
    char* end = nullptr;
    double const value = std::strtod(empty.c_str(), &end);
    if (end != empty.c_str()) no_data_ = value;
  }

  /// What libtiff said, without the file's name before it, which is ours to say.
  std::string reason(char const* otherwise) const {
    std::string_view said = stream_->error[0] ? stream_->error : stream_->warning[0] ? stream_->warning : otherwise;
    while (said.starts_with(':') || said.starts_with(' ')) said.remove_prefix(1);
    return std::string(said);
  }

  KOVOS_COLD void read_layout() {
    layout_.height = field<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0);
    layout_.width = field<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
    layout_.bands = field<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
    layout_.bits = field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
    layout_.compression = field<std::uint16_t>(TIFFTAG_COMPRESSION, 1);
    layout_.orientation = field<std::uint16_t>(TIFFTAG_ORIENTATION, 1);
    if (layout_.orientation < 1 || layout_.orientation > 8) layout_.orientation = 1;
    layout_.planar = field<std::uint16_t>(TIFFTAG_PLANARCONFIG, 1) == PLANARCONFIG_SEPARATE && layout_.bands > 1;
    layout_.tiled = TIFFIsTiled(tiff()) != 0;
    layout_.big = is_big();
    layout_.big_endian = TIFFIsBigEndian(tiff()) != 0;
    require<ImageError>(
        layout_.height > 0 && layout_.width > 0 && layout_.height <= 0x7fffffff && layout_.width <= 0x7fffffff, name_,
        ": the picture is ", layout_.width, " x ", layout_.height, " pixels, which cannot be read");
    require<ImageError>(layout_.bands > 0, name_, ": the picture has no bands");

    if (!TIFFIsCODECConfigured(static_cast<std::uint16_t>(layout_.compression))) {
      auto const compression = detail::tiff_compression_name(layout_.compression);
      fail<ImageError>(name_, ": its compression ",
                       compression.empty() ? "is number " + std::to_string(layout_.compression) + ", which"
                                           : "is " + std::string(compression) + ", which",
                       " this machine's libtiff cannot read; write it again with Deflate or LZW (gdal_translate -co "
                       "COMPRESS=DEFLATE)");
    }
    require<ImageError>(layout_.compression != COMPRESSION_OJPEG, name_,
                        ": its compression is old-style JPEG, which was withdrawn in 1995 and is not read; write it "
                        "again with Deflate or LZW");

    auto const format = field<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    switch (format) {
      case SAMPLEFORMAT_INT:
        layout_.sample = TiffSample::signed_integer;
        break;
      case SAMPLEFORMAT_IEEEFP:
        layout_.sample = TiffSample::floating;
        break;
      case SAMPLEFORMAT_UINT:
      case SAMPLEFORMAT_VOID:
        layout_.sample = TiffSample::unsigned_integer;
        break;
      default:
        fail<ImageError>(name_, ": its samples are complex numbers, expected integers or floating point");
    }
    bool const floating = layout_.sample == TiffSample::floating;
    static constexpr std::array sizes{1, 2, 4, 8, 16, 32, 64};
    require<ImageError>(std::find(sizes.begin(), sizes.end(), layout_.bits) != sizes.end() &&
                            (!floating || layout_.bits >= 32) &&
                            (layout_.sample != TiffSample::signed_integer || layout_.bits >= 8),
                        name_, ": its samples are ", floating ? "floating point of " : "integers of ", layout_.bits,
                        " bits, expected ", floating ? "32 or 64" : "1, 2, 4, 8, 16, 32 or 64");

    std::uint16_t photometric = PHOTOMETRIC_MINISBLACK;
    TIFFGetField(tiff(), TIFFTAG_PHOTOMETRIC, &photometric);
    if (photometric == PHOTOMETRIC_YCBCR && layout_.compression == COMPRESSION_JPEG) {
      TIFFSetField(tiff(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      photometric = PHOTOMETRIC_RGB;
    }
    switch (photometric) {
      case PHOTOMETRIC_MINISWHITE:
        layout_.color = TiffColor::white_is_zero;
        break;
      case PHOTOMETRIC_MINISBLACK:
        layout_.color = TiffColor::black_is_zero;
        break;
      case PHOTOMETRIC_RGB:
        layout_.color = TiffColor::rgb;
        break;
      case PHOTOMETRIC_PALETTE:
        layout_.color = TiffColor::palette;
        break;
      default:
        fail<ImageError>(name_, ": its colours are ",
                         photometric == PHOTOMETRIC_SEPARATED ? "inks (CMYK)"
                         : photometric == PHOTOMETRIC_YCBCR   ? "YCbCr without JPEG"
                         : photometric == PHOTOMETRIC_CIELAB || photometric == PHOTOMETRIC_ICCLAB ||
                                 photometric == PHOTOMETRIC_ITULAB
                             ? "CIE L*a*b*"
                             : "of the kind " + std::to_string(photometric),
                         ", expected grey, RGB or a palette; convert it to RGB");
    }
    if (layout_.color == TiffColor::palette) {
      require<ImageError>(layout_.bits <= 16 && layout_.bands == 1 && !floating, name_,
                          ": a palette belongs to one band of at most 16 bits, this picture has ", layout_.bands,
                          " of ", layout_.bits);
      std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
      require<ImageError>(TIFFGetField(tiff(), TIFFTAG_COLORMAP, &red, &green, &blue) != 0, name_,
                          ": the picture says that it has a palette but holds none");
      for (std::size_t i = 0; i < std::size_t{1} << layout_.bits; ++i)
        for (auto const* const entry : {red, green, blue}) palette_.push_back(static_cast<std::uint8_t>(entry[i] >> 8));
    }

    if (layout_.tiled) {
      layout_.chunk_height = field<std::uint32_t>(TIFFTAG_TILELENGTH, 0);
      layout_.chunk_width = field<std::uint32_t>(TIFFTAG_TILEWIDTH, 0);
      stride_ = static_cast<std::size_t>(std::max<tmsize_t>(TIFFTileRowSize(tiff()), 0));
    } else {
      layout_.chunk_height =
          std::min<std::size_t>(field<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, 0xffffffff), layout_.height);
      layout_.chunk_width = layout_.width;
      stride_ = static_cast<std::size_t>(std::max<tmsize_t>(TIFFScanlineSize(tiff()), 0));
    }
    std::size_t const in_row = layout_.chunk_width * (layout_.planar ? 1 : layout_.bands);
    require<ImageError>(layout_.chunk_height > 0 && layout_.chunk_width > 0 &&
                            stride_ >= (in_row * static_cast<std::size_t>(layout_.bits) + 7) / 8,
                        name_, ": damaged TIFF (", reason("the size of its strips or tiles makes no sense"),
                        "); save or download it again");
    require<ImageError>(stride_ <= most_chunk_bytes / layout_.chunk_height, name_, ": its ",
                        layout_.tiled ? "tiles" : "strips", " of ", layout_.chunk_width, " x ", layout_.chunk_height,
                        " pixels take more than ", most_chunk_bytes >> 20,
                        " MB each; write it again with tiles (gdal_translate -co TILED=YES)");
    // The known codes of these can shrink only so much; the smallest are a file that lies about its size.
    std::uint64_t const shrink = layout_.compression == COMPRESSION_NONE       ? 1
                                 : layout_.compression == COMPRESSION_PACKBITS ? 64
                                 : layout_.compression == COMPRESSION_LZW      ? 4096
                                                                               : 0;
    bool const deflated =
        layout_.compression == COMPRESSION_ADOBE_DEFLATE || layout_.compression == COMPRESSION_DEFLATE;
    most_shrunk_ = deflated ? 1100 : shrink;
  }

  /// libtiff tells it from 4.5 on only.
  bool is_big() const {
    char version[4] = {};
    if (stream_->input) {
      stream_->input->clear();
      stream_->input->seekg(0);
      stream_->input->read(version, 4);
    } else if (stream_->bytes.size() >= 4) {
      std::memcpy(version, stream_->bytes.data(), 4);
    }
    return version[2] == 43 || version[3] == 43;
  }

  /// The values of a tag that libtiff does not know by itself; another part of the program may have taught it.
  template <class T>
  std::vector<T> numbers(std::uint32_t tag, TIFFDataType type) const {
    auto const [count, data] = raw(tag, type);
    if (!data) return {};
    std::vector<T> values(count);
    std::memcpy(values.data(), data, count * sizeof(T));
    return values;
  }
  std::string text(std::uint32_t tag) const {
    auto const [count, data] = raw(tag, TIFF_ASCII);
    if (!data) return {};
    std::string value(static_cast<char const*>(data), count);
    return value.substr(0, value.find('\0'));
  }
  std::pair<std::size_t, void const*> raw(std::uint32_t tag, TIFFDataType type) const {
    return handle_->call([&]() -> std::pair<std::size_t, void const*> {
      auto const* const known = TIFFFindField(tiff(), tag, TIFF_ANY);
      if (!known || TIFFFieldDataType(known) != type) return {0, nullptr};
      void const* data = nullptr;
      if (!TIFFFieldPassCount(known)) {
        if (type != TIFF_ASCII || !TIFFGetField(tiff(), tag, &data) || !data) return {0, nullptr};
        return {std::strlen(static_cast<char const*>(data)), data};
      }
      if (TIFFFieldReadCount(known) == TIFF_VARIABLE2) {
        std::uint32_t count = 0;
        return TIFFGetField(tiff(), tag, &count, &data) ? std::pair<std::size_t, void const*>{count, data}
                                                        : std::pair<std::size_t, void const*>{0, nullptr};
      }
      std::uint16_t count = 0;
      return TIFFGetField(tiff(), tag, &count, &data) ? std::pair<std::size_t, void const*>{count, data}
                                                      : std::pair<std::size_t, void const*>{0, nullptr};
    });
  }

  bool is_hole(std::uint32_t index) const {
    return handle_->call([&] { return TIFFGetStrileByteCount(tiff(), index) == 0; });
  }

  /// A decoded tile or strip.
  std::vector<std::byte> const& chunk(std::size_t row, std::size_t column, std::size_t band) {
    auto const y = static_cast<std::uint32_t>(row * layout_.chunk_height);
    auto const x = static_cast<std::uint32_t>(column * layout_.chunk_width);
    auto const plane = static_cast<std::uint16_t>(band);
    std::uint32_t const index =
        layout_.tiled ? TIFFComputeTile(tiff(), x, y, 0, plane) : TIFFComputeStrip(tiff(), y, plane);
    auto const found = std::find_if(kept_.begin(), kept_.end(), [&](Chunk const& c) { return c.index == index; });
    if (found != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, found);
      return kept_.front().data;
    }
    std::size_t const rows = layout_.tiled
                                 ? layout_.chunk_height
                                 : std::min(layout_.chunk_height, layout_.height - row * layout_.chunk_height);
    std::size_t const size = rows * stride_;
    while (!kept_.empty() && kept_bytes_ + size > most_kept_bytes) {
      kept_bytes_ -= kept_.back().data.size();
      kept_.pop_back();
    }
    std::uint64_t const stored = TIFFGetStrileByteCount(tiff(), index);
    auto const damaged = [&](std::string const& what) {
      fail<ImageError>(name_, ": damaged TIFF, ", layout_.tiled ? "the tile" : "the strip", " at row ", y, ", column ",
                       x, " cannot be read (", what, "); save or download it again");
    };
    if (stored > 0 && most_shrunk_ > 0 && stored < size / most_shrunk_)
      damaged("it is too short for its size in pixels");
    if (stored > stream_->size) damaged("the file is truncated");
    std::vector<std::byte> data(size);
    if (stored > 0) {
      auto const got = handle_->call([&] {
        return layout_.tiled ? TIFFReadEncodedTile(tiff(), index, data.data(), static_cast<tmsize_t>(size))
                             : TIFFReadEncodedStrip(tiff(), index, data.data(), static_cast<tmsize_t>(size));
      });
      if (got < 0 || static_cast<std::size_t>(got) != size || stream_->error[0])
        damaged(reason("the data is incomplete"));
      // libjpeg goes on after losing data and only warns.
      std::string_view const warning = stream_->warning;
      if (warning.find("Premature") != std::string_view::npos ||
          (warning.find("Corrupt") != std::string_view::npos && warning.find("extraneous") == std::string_view::npos))
        damaged(std::string(warning));
    }
    kept_bytes_ += size;
    kept_.push_front({index, std::move(data)});
    return kept_.front().data;
  }

  /// Every `step`-th sample of a row, from band `band` of pixel `first` on, to places `spacing` samples apart.
  void copy(std::byte const* row, std::size_t first, std::size_t count, std::size_t step, std::size_t band,
            std::byte* to, std::size_t spacing) const {
    if (layout_.bits < 8) {
      auto const bits = static_cast<std::size_t>(layout_.bits);
      unsigned const mask = (1u << bits) - 1;
      for (std::size_t i = 0; i < count; ++i) {
        std::size_t const at = ((first + i) * step + band) * bits;
        to[i * spacing] = static_cast<std::byte>(std::to_integer<unsigned>(row[at / 8]) >> (8 - bits - at % 8) & mask);
      }
      return;
    }
    auto const bytes = static_cast<std::size_t>(layout_.bits) / 8;
    for (std::size_t i = 0; i < count; ++i)
      std::memcpy(to + i * spacing * bytes, row + ((first + i) * step + band) * bytes, bytes);
  }

  std::string name_;
  std::unique_ptr<std::ifstream> file_;
  std::unique_ptr<detail::TiffStream> stream_;
  std::unique_ptr<detail::TiffHandle> handle_;
  TiffLayout layout_;
  Georeference georeference_;
  std::optional<double> no_data_;
  std::vector<std::uint8_t> palette_;
  std::size_t stride_ = 0;         // bytes of a row of a chunk
  std::uint64_t most_shrunk_ = 0;  // how many times smaller stored data can be; 0: not known
  std::list<Chunk> kept_;          // the last used first
  std::size_t kept_bytes_ = 0;
};

}  // namespace kovos
