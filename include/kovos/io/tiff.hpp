// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/io/exif.hpp"
#include "kovos/io/image_options.hpp"
#include "kovos/io/label_values.hpp"
#include "kovos/io/picture_size.hpp"
#include "kovos/io/tiff_reader.hpp"
#include "kovos/io/tiff_writer.hpp"

namespace kovos {

/// Which values of a picture become black and white; what is between goes linearly, what is beyond is cut off.
struct ValueRange {
  double black = 0, white = 255;
};

/// A window of one band, or of three or more of which the first three are red, green and blue, as 8-bit RGB. Without a
/// range as Pillow converts it: 16-bit grey saturates and 16-bit colour keeps its high byte (or both are scaled, as the
/// options say), wider integers and floating point are cut off at 0 and 255, grey of less than 8 bits is spread over
/// them, white_is_zero is inverted up to 8 bits, palettes are applied. Orientation is not applied.
/// Throws ImageError where the options ask for what the samples do not allow.
inline Image as_rgb(TiffReader const& reader, TiffWindow const& window, ImageOptions const& options = {},
                    std::optional<ValueRange> const& range = {}) {
  auto const& layout = reader.layout();
  bool const indexed = layout.color == TiffColor::palette;
  bool const wide = window.bits == 16 && window.sample == TiffSample::unsigned_integer;
  require<ImageError>(options.bit_depth == BitDepth::saturate || range || window.bits == 8 || wide, reader.name(),
                      ": its samples are not unsigned integers of 16 bits, whose range is known and can be scaled; say "
                      "which values are "
                      "black and white");
  require<ImageError>(!indexed || !range, reader.name(), ": indices of a palette have no range of values");
  // Colour, and grey beside alpha, keep the high byte in Pillow; grey alone saturates.
  bool const high_byte = layout.bands > 1 && window.bands != 1;
  bool const inverted = layout.color == TiffColor::white_is_zero && layout.bits <= 8;
  unsigned const spread = layout.bits < 8 ? 255u / ((1u << layout.bits) - 1) : 1u;
  auto const level = [&](std::size_t i) -> std::uint8_t {
    if (range) {
      double const share = (window.number(i) - range->black) / (range->white - range->black);
      double const value = std::isnan(share) ? 0 : std::clamp(share, 0.0, 1.0) * 255;
      return static_cast<std::uint8_t>(value + 0.5);
    }
    if (window.bits == 8 && window.sample == TiffSample::unsigned_integer) {
      unsigned const value = window.at<std::uint8_t>(i) * spread;
      return static_cast<std::uint8_t>(inverted ? 255 - value : value);
    }
    if (wide) {
      unsigned const value = window.at<std::uint16_t>(i);
      if (options.bit_depth == BitDepth::scale) return static_cast<std::uint8_t>((value * 255u + 32767u) / 65535u);
      return static_cast<std::uint8_t>(high_byte ? value >> 8 : std::min(value, 255u));
    }
    double const value = window.number(i);
    return value > 0 ? static_cast<std::uint8_t>(std::min(value, 255.0)) : std::uint8_t{0};  // not a number: 0
  };
  std::size_t const pixels = window.height * window.width;
  Image image{window.height, window.width, std::vector<std::uint8_t>(pixels * 3)};
  for (std::size_t i = 0; i < pixels; ++i) {
    std::uint8_t* const to = image.pixels.data() + 3 * i;
    if (indexed) {
      std::size_t const index =
          window.bits == 16 ? std::size_t{window.at<std::uint16_t>(i)} : std::size_t{window.at<std::uint8_t>(i)};
      for (std::size_t c = 0; c < 3; ++c) to[c] = reader.palette()[3 * index + c];
    } else if (window.bands < 3) {
      to[0] = to[1] = to[2] = level(i * window.bands);
    } else {
      for (std::size_t c = 0; c < 3; ++c) to[c] = level(i * window.bands + c);
    }
  }
  return image;
}

namespace detail {

/// f(top, window) for the whole picture, some rows at a time.
template <class F>
void for_each_rows(TiffReader& reader, std::span<std::size_t const> bands, F const& f) {
  auto const& layout = reader.layout();
  std::size_t const step = std::min(layout.height, std::max<std::size_t>(layout.chunk_height, 16));
  for (std::size_t top = 0; top < layout.height; top += step)
    f(top, reader.read(top, 0, std::min(step, layout.height - top), layout.width, bands));
}

/// A whole TIFF as 8-bit RGB, by as_rgb's rules: of more than three bands the first three, of two the first.
inline Image decode_tiff(TiffReader& reader, ImageOptions const& options) {
  auto const& layout = reader.layout();
  check_picture_size(layout.height, layout.width, reader.name());
  std::vector<std::size_t> bands(std::min<std::size_t>(layout.bands, 3));
  std::iota(bands.begin(), bands.end(), std::size_t{0});
  (void)reader.read(0, 0, 1, 1, bands);  // before memory is asked for
  Image image{layout.height, layout.width, std::vector<std::uint8_t>(layout.height * layout.width * 3)};
  for_each_rows(reader, bands, [&](std::size_t top, TiffWindow const& window) {
    auto const part = as_rgb(reader, window, options);
    std::copy(part.pixels.begin(), part.pixels.end(), image.row(top));
  });
  return options.apply_orientation ? oriented(std::move(image), layout.orientation) : image;
}
inline Image decode_tiff(std::span<std::byte const> bytes, std::string_view name, ImageOptions const& options = {}) {
  TiffReader reader(bytes, name);
  return decode_tiff(reader, options);
}

/// What np.asarray(Image.open(file)) of Pillow gives for an image of one band, which for TIFF applies the orientation.
/// Values that no 16 bits hold, or that are no whole numbers, are refused by pixel.
inline LabelFile decode_tiff_labels(TiffReader& reader) {
  auto const& layout = reader.layout();
  std::string const& name = reader.name();
  check_picture_size(layout.height, layout.width, name);
  bool const indexed = layout.color == TiffColor::palette;
  require<ImageError>(layout.bands == 1 || layout.bands == 3, name, ": a label TIFF has one band, this one has ",
                      layout.bands, "; save the index of each pixel's class as its only band");
  require<ImageError>(layout.bits != 1 || indexed, name,
                      ": a grey TIFF of 1 bit has no agreed label values (Pillow reads its white as 1, OpenCV as 255); "
                      "save it with 8 bits or with a palette");
  require<ImageError>(layout.bands == 1 || (layout.bits == 8 && layout.sample == TiffSample::unsigned_integer), name,
                      ": labels of three bands have 8 bits each, these have ", layout.bits,
                      "; save the index of each pixel's class as the only band");
  require<ImageError>(layout.color != TiffColor::white_is_zero || layout.bits <= 8, name, ": labels of ", layout.bits,
                      " bits whose zero is white have no agreed values; save them as \"black is zero\"");
  require<ImageError>(!reader.has_holes(), name,
                      ": a part of it holds no data; what its labels are is not known: write the file again in full");
  (void)reader.read(0, 0, 1, 1);  // before memory is asked for
  LabelFile file{layout.height, layout.width, layout.bits <= 8 ? 8 : 16,
                 std::vector<std::uint16_t>(layout.height * layout.width)};
  unsigned const spread = layout.bits < 8 && !indexed ? 255u / ((1u << layout.bits) - 1) : 1u;
  bool const inverted = layout.color == TiffColor::white_is_zero;
  for_each_rows(reader, {}, [&](std::size_t top, TiffWindow const& window) {
    for (std::size_t i = 0; i < window.height * window.width; ++i) {
      auto const where = [&] {
        return name + ": row " + std::to_string(top + i / layout.width) + ", column " +
               std::to_string(i % layout.width);
      };
      double const value = window.number(i * window.bands);
      if (window.bands == 3 && (window.number(3 * i + 1) != value || window.number(3 * i + 2) != value))
        fail<ImageError>(where(), " has the colour (", value, ", ", window.number(3 * i + 1), ", ",
                         window.number(3 * i + 2),
                         "), expected three equal channels: labels are class indices, not colours; save the index of "
                         "each pixel's class as the only band");
      if (!(value >= 0 && value <= 65535) || value != std::floor(value))
        fail<ImageError>(where(), " has the value ", value, ", expected a whole number from 0 to 65535");
      auto const whole = static_cast<unsigned>(value) * spread;
      file.values[top * layout.width + i] = static_cast<std::uint16_t>(inverted ? 255 - whole : whole);
    }
  });
  if (layout.orientation > 1) file.values = turned(file.values, file.height, file.width, 1, layout.orientation);
  return file;
}
inline LabelFile decode_tiff_labels(std::filesystem::path const& path) {
  TiffReader reader(path);
  return decode_tiff_labels(reader);
}

}  // namespace detail

}  // namespace kovos
