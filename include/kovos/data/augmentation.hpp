// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/color_jitter.hpp"
#include "kovos/data/random.hpp"
#include "kovos/data/sample.hpp"
#include "kovos/kernels/resize_u8.hpp"

namespace kovos {

/// A window of random area and shape, with torchvision's defaults.
struct RandomResizedCropConfig {
  double scale_low = 0.08, scale_high = 1;           ///< share of the picture's area
  double ratio_low = 3. / 4., ratio_high = 4. / 3.;  ///< width / height, evenly distributed in its logarithm
};

/// How a training sample is made; the defaults are CAT-Seg's.
struct AugmentationConfig {
  std::size_t crop = 384;           ///< height and width of the result, pixels
  std::size_t short_edge = 384;     ///< the shorter side before cropping, pixels
  std::size_t longest_edge = 1333;  ///< the longer side is at most this, pixels
  std::optional<ColorJitterConfig> color_jitter = ColorJitterConfig{};
  double flip_probability = 0.5;
  std::uint8_t padding = 128;  ///< of the picture, right and below, where it is smaller than the crop
  /// Instead of short_edge, longest_edge and a crop of that size.
  std::optional<RandomResizedCropConfig> random_resized_crop = {};
};

/// Resizes labels as torch's nearest: the source is at floor(i * in / out) in float. Throws ShapeError for empty maps
/// or sizes.
inline LabelMap resize_nearest(LabelMap const& labels, std::size_t height, std::size_t width) {
  require<ShapeError>(labels.height > 0 && labels.width > 0 && height > 0 && width > 0,
                      "[resize_nearest] cannot resize ", labels.height, " x ", labels.width, " to ", height, " x ",
                      width);
  auto const sources = [](std::size_t in, std::size_t out) {
    std::vector<std::size_t> list(out);
    float const scale = static_cast<float>(in) / static_cast<float>(out);
    for (std::size_t i = 0; i < out; ++i)
      list[i] = std::min(in - 1, static_cast<std::size_t>(static_cast<float>(i) * scale));
    return list;
  };
  auto const rows = sources(labels.height, height), columns = sources(labels.width, width);
  LabelMap result{height, width, std::vector<std::uint16_t>(height * width)};
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) result(y, x) = labels(rows[y], columns[x]);
  return result;
}

/// Picture (Pillow's bilinear) and labels (nearest) at another size.
inline SegmentationSample resize_sample(SegmentationSample const& sample, std::size_t height, std::size_t width) {
  return {resize_pillow(sample.image, height, width, ResizeFilter::bilinear),
          resize_nearest(sample.labels, height, width), sample.name};
}

/// A window of picture and labels. Throws ShapeError if it is not inside the picture.
inline SegmentationSample crop_sample(SegmentationSample const& sample, std::size_t top, std::size_t left,
                                      std::size_t height, std::size_t width) {
  require<ShapeError>(top <= sample.image.height && height <= sample.image.height - top && left <= sample.image.width &&
                          width <= sample.image.width - left,
                      "[crop_sample] a window of ", height, " x ", width, " at (", top, ", ", left,
                      ") is not inside a picture of ", sample.image.height, " x ", sample.image.width);
  SegmentationSample result{{height, width, {}}, {height, width, {}}, sample.name};
  result.image.pixels.reserve(height * width * 3);
  result.labels.labels.reserve(height * width);
  for (std::size_t y = top; y < top + height; ++y) {
    auto const* const pixels = sample.image.row(y) + 3 * left;
    result.image.pixels.insert(result.image.pixels.end(), pixels, pixels + 3 * width);
    auto const* const labels = sample.labels.labels.data() + y * sample.labels.width + left;
    result.labels.labels.insert(result.labels.labels.end(), labels, labels + width);
  }
  return result;
}

/// Mirrors picture and labels left to right.
inline void flip_sample(SegmentationSample& sample) {
  std::size_t const width = sample.image.width;
  for (std::size_t y = 0; y < sample.image.height; ++y)
    for (std::size_t x = 0; x < width / 2; ++x) {
      std::size_t const other = width - 1 - x;
      std::swap_ranges(sample.image.row(y) + 3 * x, sample.image.row(y) + 3 * x + 3, sample.image.row(y) + 3 * other);
      std::swap(sample.labels(y, x), sample.labels(y, other));
    }
}

/// Extends a sample to the right and below: the picture by a grey, the labels by LabelMap::unknown. A side that is
/// long enough stays.
inline SegmentationSample pad_sample(SegmentationSample sample, std::size_t height, std::size_t width,
                                     std::uint8_t grey) {
  height = std::max(height, sample.image.height);
  width = std::max(width, sample.image.width);
  if (height == sample.image.height && width == sample.image.width) return sample;
  SegmentationSample result{{height, width, std::vector<std::uint8_t>(height * width * 3, grey)},
                            {height, width, std::vector<std::uint16_t>(height * width, LabelMap::unknown)},
                            std::move(sample.name)};
  for (std::size_t y = 0; y < sample.image.height; ++y) {
    std::copy_n(sample.image.row(y), 3 * sample.image.width, result.image.row(y));
    std::copy_n(sample.labels.labels.data() + y * sample.labels.width, sample.labels.width,
                result.labels.labels.data() + y * width);
  }
  return result;
}

/// Throws ConfigError for a value out of its range.
inline void check_augmentation(AugmentationConfig const& config) {
  constexpr std::size_t largest = 1 << 16;
  auto const side = [&](char const* name, std::size_t pixels) {
    require<ConfigError>(pixels >= 1 && pixels <= largest, "augmentation: ", name, " is ", pixels,
                         " pixels, expected 1 to ", largest);
  };
  side("crop", config.crop);
  side("short_edge", config.short_edge);
  side("longest_edge", config.longest_edge);
  require<ConfigError>(config.flip_probability >= 0 && config.flip_probability <= 1,
                       "augmentation: flip_probability is ", config.flip_probability, ", expected 0 to 1");
  if (config.color_jitter) check_color_jitter(*config.color_jitter);
  if (!config.random_resized_crop) return;
  auto const& window = *config.random_resized_crop;
  require<ConfigError>(window.scale_low > 0 && window.scale_low <= window.scale_high && window.scale_high <= 1,
                       "augmentation: scales from ", window.scale_low, " to ", window.scale_high,
                       " are not a range above 0 and up to 1");
  require<ConfigError>(window.ratio_low >= 0.01 && window.ratio_low <= window.ratio_high && window.ratio_high <= 100,
                       "augmentation: ratios from ", window.ratio_low, " to ", window.ratio_high,
                       " are not a range within 0.01 to 100");
}

namespace detail {

struct CropWindow {
  std::size_t top, left, height, width;
};

/// torchvision's rule: ten tries, then the largest window in the middle that keeps the range of shapes.
inline CropWindow draw_window(std::size_t height, std::size_t width, RandomResizedCropConfig const& config,
                              std::mt19937_64& random) {
  double const h = static_cast<double>(height), w = static_cast<double>(width);
  double const log_low = std::log(config.ratio_low), log_high = std::log(config.ratio_high);
  for (int tries = 0; tries < 10; ++tries) {
    double const area = h * w * draw_between(random, config.scale_low, config.scale_high);
    // In float, because the last bit of a double's exp is not the same everywhere.
    double const ratio = static_cast<float>(std::exp(draw_between(random, log_low, log_high)));
    double const wanted_width = std::nearbyint(std::sqrt(area * ratio));
    double const wanted_height = std::nearbyint(std::sqrt(area / ratio));
    if (wanted_width < 1 || wanted_width > w || wanted_height < 1 || wanted_height > h) continue;
    auto const crop_height = static_cast<std::size_t>(wanted_height);
    auto const crop_width = static_cast<std::size_t>(wanted_width);
    std::size_t const top = draw_below(random, height - crop_height + 1);
    return {top, draw_below(random, width - crop_width + 1), crop_height, crop_width};
  }
  auto const at_least_one = [](double length) {
    return static_cast<std::size_t>(std::max(1.0, std::nearbyint(length)));
  };
  std::size_t crop_height = height, crop_width = width;
  if (w / h < config.ratio_low) crop_height = std::min(height, at_least_one(w / config.ratio_low));
  else if (w / h > config.ratio_high) crop_width = std::min(width, at_least_one(h * config.ratio_high));
  return {(height - crop_height) / 2, (width - crop_width) / 2, crop_height, crop_width};
}

}  // namespace detail

/// A training sample of exactly crop x crop pixels, in the order of CAT-Seg's mapper: short side resized, random crop,
/// colours, flip, padding. The same random state gives the same bytes on every machine. Throws DataError for a sample
/// without pixels or whose labels have another size, ConfigError for a value out of its range.
KOVOS_DOOR SegmentationSample augment(SegmentationSample const& sample, AugmentationConfig const& config,
                                      std::mt19937_64& random);

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR SegmentationSample augment(SegmentationSample const& sample, AugmentationConfig const& config,
                                      std::mt19937_64& random) {
  check_augmentation(config);
  std::size_t const height = sample.image.height, width = sample.image.width;
  require<DataError>(height > 0 && width > 0 && sample.image.pixels.size() == height * width * 3, "the picture ",
                     detail::in_quotes(sample.name), " of ", height, " x ", width, " has ", sample.image.pixels.size(),
                     " bytes, expected three for each of at least one pixel");
  require<DataError>(
      sample.labels.height == height && sample.labels.width == width && sample.labels.labels.size() == height * width,
      "the picture ", detail::in_quotes(sample.name), " is ", height, " x ", width, " and its labels ",
      sample.labels.height, " x ", sample.labels.width, " (height x width): expected the same size");
  SegmentationSample result;
  if (config.random_resized_crop) {
    auto const window = detail::draw_window(height, width, *config.random_resized_crop, random);
    result = resize_sample(crop_sample(sample, window.top, window.left, window.height, window.width), config.crop,
                           config.crop);
  } else {
    auto const [new_height, new_width] = shortest_edge_size(height, width, config.short_edge, config.longest_edge);
    result = resize_sample(sample, new_height, new_width);
    std::size_t const crop_height = std::min(config.crop, new_height), crop_width = std::min(config.crop, new_width);
    std::size_t const top = detail::draw_below(random, new_height - crop_height + 1);
    std::size_t const left = detail::draw_below(random, new_width - crop_width + 1);
    result = crop_sample(result, top, left, crop_height, crop_width);
  }
  if (config.color_jitter) jitter_color(result.image, *config.color_jitter, random);
  if (detail::draw_chance(random, config.flip_probability)) flip_sample(result);
  return pad_sample(std::move(result), config.crop, config.crop, config.padding);
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
