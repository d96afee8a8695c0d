// SPDX-License-Identifier: Apache-2.0
// kovos segment --window native
#include "segment_native.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <utility>

#include "command.hpp"
#include "kovos/drawing/overlay.hpp"
#include "kovos/drawing/palette.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/picture_format.hpp"
#include "kovos/segmentation/native_windows.hpp"

namespace kovos::cli {

namespace {

constexpr std::size_t overlay_side = 2048;  // pixels at most
constexpr std::size_t block = 512;          // pixels; of label TIFFs the side of a tile

bool is_tiff(Picture const& picture) {
  if (picture.is_standard_input()) return false;
  std::array<char, 4> magic{};
  std::ifstream(picture.path, std::ios::binary).read(magic.data(), magic.size());
  return kovos::detail::picture_format(std::as_bytes(std::span(magic))) == kovos::detail::PictureFormat::tiff;
}

/// Every step-th pixel of a picture that is seen in parts only.
struct Reduced {
  Reduced(std::size_t height, std::size_t width) : step((std::max(height, width) + overlay_side - 1) / overlay_side) {
    std::size_t const h = (height + step - 1) / step, w = (width + step - 1) / step;
    image = {h, w, std::vector<std::uint8_t>(h * w * 3)};
    labels = {h, w, std::vector<std::uint16_t>(h * w, LabelMap::unknown)};
  }

  /// f(y, x, row, column) for the reduced pixels (y, x) whose pixel lies in a part, at (row, column) of it.
  template <class F>
  void visit(std::size_t top, std::size_t left, std::size_t height, std::size_t width, F const& f) const {
    for (std::size_t y = (top + step - 1) / step; y * step < top + height; ++y)
      for (std::size_t x = (left + step - 1) / step; x * step < left + width; ++x)
        f(y, x, y * step - top, x * step - left);
  }

  std::size_t step;
  Image image;
  LabelMap labels;
};

#ifdef KOVOS_ENABLE_TIFF
/// A TIFF that is read by parts.
PictureParts parts_of(std::shared_ptr<TiffReader> const& reader, NativeOptions const& native,
                      ImageOptions const& options) {
  auto const& layout = reader->layout();
  require<ImageError>(layout.orientation == 1 || !options.apply_orientation, reader->name(), ": its orientation is ",
                      layout.orientation,
                      ", but by windows a picture is read as it is stored; turn it first, or say "
                      "--ignore-orientation");
  std::vector<std::size_t> bands;
  for (auto const band : native.bands) bands.push_back(band - 1);
  if (bands.empty())
    for (std::size_t b = 0; b < (layout.bands < 3 ? 1 : 3); ++b) bands.push_back(b);
  std::optional<ValueRange> range;
  if (!native.range.empty()) range = ValueRange{native.range[0], native.range[1]};
  (void)as_rgb(*reader, reader->read(0, 0, 1, 1, bands), options, range);  // says at once what cannot be
  PictureParts parts{
      layout.height, layout.width,
      [reader, bands, options, range](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
        return as_rgb(*reader, reader->read(top, left, height, width, bands), options, range);
      }};
  if (auto const empty = reader->no_data())
    parts.no_data = [reader, bands, empty](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
      auto const window = reader->read(top, left, height, width, bands);
      std::vector<std::uint8_t> result(height * width, 1);
      for (std::size_t i = 0; i < result.size() * bands.size(); ++i) {
        double const value = window.number(i);
        if (value != *empty && !(std::isnan(value) && std::isnan(*empty))) result[i / bands.size()] = 0;
      }
      return result;
    };
  return parts;
}

std::vector<std::uint8_t> palette_of(std::size_t classes) {
  std::vector<std::uint8_t> palette;
  for (std::size_t i = 0; i < 256; ++i) {
    auto const color = i < classes ? class_color(i) : std::array<std::uint8_t, 3>{128, 128, 128};
    palette.insert(palette.end(), color.begin(), color.end());
  }
  return palette;
}
#endif

/// A decoded picture.
PictureParts parts_of(std::shared_ptr<Image const> const& image) {
  return {image->height, image->width,
          [image](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
            Image part{height, width, std::vector<std::uint8_t>(height * width * 3)};
            for (std::size_t y = 0; y < height; ++y)
              std::copy_n(image->row(top + y) + 3 * left, 3 * width, part.row(y));
            return part;
          }};
}

}  // namespace

std::string NativeOptions::to_string() const {
  std::string text = "native, overlap " + std::to_string(overlap.value_or(0.5)) + ", window " +
                     (window ? std::to_string(*window) : std::string("of the network"));
  for (auto const band : bands) text += ", band " + std::to_string(band);
  for (auto const value : range) text += ", range " + std::to_string(value);
  return text;
}

void add_native_options(CLI::App& command, NativeOptions& options) {
  command
      .add_option("--overlap", options.overlap,
                  "--window native: share of a window that the next one covers again [0.5]")
      ->check(CLI::Range(0.0, 0.9));
  command
      .add_option("--window-size", options.window,
                  "--window native: side of a window in the picture's pixels [what the network takes]")
      ->check(CLI::Range(std::size_t{16}, std::size_t{16384}));
  command.add_option("--bands", options.bands, "--window native: which bands of a TIFF are red, green and blue: 3,2,1")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      .add_option("--range", options.range, "--window native: which values of a TIFF become black and white: 0,3000")
      ->delimiter(',')
      ->expected(2);
}

void check_native_options(NativeOptions const& options, bool native) {
  if (!native && options.any())
    throw UsageError("--overlap, --window-size, --bands and --range go with --window native");
  if (!options.bands.empty() && options.bands.size() != 1 && options.bands.size() != 3)
    throw UsageError("--bands takes three bands (red, green, blue) or one, not " +
                     std::to_string(options.bands.size()));
  if (!options.range.empty() && !(options.range[0] < options.range[1]))
    throw UsageError("--range takes the value of black and a larger one of white");
}

std::vector<std::string> native_suffixes(Picture const& picture) {
  return {is_tiff(picture) ? ".labels.tif" : ".labels.png", ".overlay.png", ".json"};
}

nlohmann::ordered_json segment_native(NativeOptions const& native, Picture const& picture,
                                      std::filesystem::path const& folder, AnyModel<> const& model,
                                      AnyModel<>::Words const& words, SegmentOptions const& options,
                                      ImageOptions const& image_options, ResultRecord record,
                                      std::function<void(std::size_t, std::size_t)> const& progress,
                                      std::function<void(nlohmann::ordered_json&)> const& change) {
  auto const file = [&](char const* suffix) { return folder / (picture.stem + suffix); };
  bool const tiff = is_tiff(picture);
  PictureParts parts;
#ifdef KOVOS_ENABLE_TIFF
  std::shared_ptr<TiffReader> reader;
  if (tiff) {
    reader = std::make_shared<TiffReader>(picture.path);
    parts = parts_of(reader, native, image_options);
  }
#endif
  if (!parts.read) {
    if (!native.bands.empty() || !native.range.empty())
      throw ImageError(picture.path.string() + ": --bands and --range are for TIFF, and this is none");
    parts = parts_of(std::make_shared<Image const>(load(picture, image_options)));
  }

  Reduced reduced(parts.height, parts.width);
  auto const read = std::move(parts.read);
  parts.read = [&](std::size_t top, std::size_t left, std::size_t height, std::size_t width) {
    Image part = read(top, left, height, width);
    reduced.visit(top, left, height, width, [&](std::size_t y, std::size_t x, std::size_t row, std::size_t column) {
      std::copy_n(part.row(row) + 3 * column, 3, reduced.image.row(y) + 3 * x);
    });
    return part;
  };
  NativeWindows windows;
  windows.window = native.window.value_or(model.config().test.window);
  windows.overlap = native.overlap.value_or(0.5);
  windows.block = block;
  NativeSegmentation result;
  auto const segment_into = [&](auto const& put) {
    result = kovos::segment_native(
        model, parts, words, options, windows,
        [&](std::size_t top, std::size_t left, LabelMap const& labels) {
          reduced.visit(top, left, labels.height, labels.width,
                        [&](std::size_t y, std::size_t x, std::size_t row, std::size_t column) {
                          reduced.labels(y, x) = labels(row, column);
                        });
          put(top, left, labels);
        },
        progress);
  };
  std::size_t const classes = options.background_from > 0 ? options.background_from + 1 : words.names.size();
  int const bits = classes <= 255 ? 8 : 16;
#ifdef KOVOS_ENABLE_TIFF
  if (tiff) {
    static_assert(TiffLabelTiles::side == block);
    TiffLabelFormat const format{parts.height, parts.width, bits, reader->georeference(),
                                 bits == 8 ? palette_of(classes) : std::vector<std::uint8_t>{}};
    write_tiff_labels(file(".labels.tif"), format, [&](TiffLabelTiles& tiles) {
      segment_into([&](std::size_t top, std::size_t left, LabelMap const& labels) { tiles.write(top, left, labels); });
    });
  }
#endif
  if (!tiff) {
    LabelMap whole{parts.height, parts.width, std::vector<std::uint16_t>(parts.height * parts.width)};
    segment_into([&](std::size_t top, std::size_t left, LabelMap const& labels) {
      for (std::size_t y = 0; y < labels.height; ++y)
        std::copy_n(labels.labels.data() + y * labels.width, labels.width, &whole(top + y, left));
    });
    write_png_labels(file(".labels.png"), whole, bits);
  }
  write_overlay(file(".overlay.png"), reduced.image, reduced.labels, result.names);

  record.image = picture.path.string();
  record.height = parts.height;
  record.width = parts.width;
  record.names = result.names;
  record.area = result.area;
  record.mean_confidence = result.mean_confidence;
  record.unknown_area = result.unknown_area;
  record.stage_seconds = result.times.stages();
  auto json = to_json(record);
  json["windows"] = {{"side", windows.window}, {"stride", windows.stride()}, {"computed", result.windows}};
  json["settings"]["native"] = native.to_string();
  if (change) change(json);
  write_json(file(".json"), json);
  return json;
}

}  // namespace kovos::cli
