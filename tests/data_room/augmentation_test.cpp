// SPDX-License-Identifier: Apache-2.0
#include "kovos/data/augmentation.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "data_room/support.hpp"

using namespace kovos;
using test::contains;
using test::message_of;

namespace {

/// The pictures of tests/reference/augmentation_reference.py.
SegmentationSample picture(std::size_t height, std::size_t width) {
  SegmentationSample sample{{height, width, {}}, {height, width, {}}, "noise"};
  auto state = static_cast<std::uint32_t>(height * 1000 + width);
  for (std::size_t i = 0; i < height * width; ++i) {
    state = state * 1664525u + 1013904223u;
    for (int shift : {24, 16, 8}) sample.image.pixels.push_back(static_cast<std::uint8_t>(state >> shift));
    bool const none = state >> 28 == 0;
    sample.labels.labels.push_back(none ? LabelMap::unknown : static_cast<std::uint16_t>((state >> 12) % 300));
  }
  return sample;
}

std::uint32_t check_sum(std::vector<std::uint8_t> const& bytes, std::uint32_t before = 0) {
  return static_cast<std::uint32_t>(crc32(before, bytes.data(), static_cast<uInt>(bytes.size())));
}

std::uint32_t check_sum(LabelMap const& labels) {
  std::vector<std::uint8_t> bytes;
  for (auto const label : labels.labels) {
    bytes.push_back(static_cast<std::uint8_t>(label & 255));
    bytes.push_back(static_cast<std::uint8_t>(label >> 8));
  }
  return check_sum(bytes);
}

bool same(SegmentationSample const& a, SegmentationSample const& b) {
  return a.image.pixels == b.image.pixels && a.labels.labels == b.labels.labels;
}

SegmentationSample augmented(SegmentationSample const& sample, AugmentationConfig const& config, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  return augment(sample, config, random);
}

/// Blocks of 8 x 8 pixels, each of one class, whose colour tells it.
SegmentationSample blocks(std::size_t height, std::size_t width) {
  SegmentationSample sample{{height, width, std::vector<std::uint8_t>(height * width * 3)},
                            {height, width, std::vector<std::uint16_t>(height * width)},
                            "blocks"};
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      auto const label = static_cast<std::uint16_t>(y / 8 * ((width + 7) / 8) + x / 8);
      sample.labels(y, x) = label;
      auto* const pixel = sample.image.row(y) + 3 * x;
      pixel[0] = static_cast<std::uint8_t>(label * 37 % 256);
      pixel[1] = static_cast<std::uint8_t>(255 - pixel[0]);
      pixel[2] = 200;
    }
  return sample;
}

/// Whether a pixel has exactly the colour of its label.
bool pure(SegmentationSample const& sample, std::size_t y, std::size_t x) {
  auto const* const pixel = sample.image.row(y) + 3 * x;
  int const label = sample.labels(y, x);
  if (label == LabelMap::unknown) return pixel[0] == 128 && pixel[1] == 128 && pixel[2] == 128;
  return pixel[0] == label * 37 % 256 && pixel[1] == 255 - pixel[0] && pixel[2] == 200;
}

/// Four and a half standard deviations of a share that is p in the long run.
bool share_is(std::size_t count, std::size_t draws, double p) {
  double const n = static_cast<double>(draws);
  return std::abs(static_cast<double>(count) / n - p) < 4.5 * std::sqrt(p * (1 - p) / n);
}

Image plain(std::uint8_t r, std::uint8_t g, std::uint8_t b) {
  Image image{5, 7, {}};
  for (int i = 0; i < 35; ++i) image.pixels.insert(image.pixels.end(), {r, g, b});
  return image;
}

AugmentationConfig geometry_alone(std::size_t crop, std::size_t short_edge) {
  AugmentationConfig config;
  config.crop = crop;
  config.short_edge = short_edge;
  config.color_jitter.reset();
  return config;
}

}  // namespace

// Check sums are those of tests/reference/augmentation_reference.py, which OpenCV agrees with on every colour.
TEST_CASE("every colour becomes hue, saturation and value as in OpenCV, and back") {
  std::uint32_t forward = 0, backward = 0;
  std::vector<std::uint8_t> there(256 * 256 * 3), back(256 * 256 * 3);
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t j = 0; j < 256 * 256; ++j) {
      auto const a = static_cast<std::uint8_t>(i), b = static_cast<std::uint8_t>(j / 256);
      auto const c = static_cast<std::uint8_t>(j % 256);
      Hsv const hsv = rgb_to_hsv({a, b, c});
      there[3 * j] = hsv.hue;
      there[3 * j + 1] = hsv.saturation;
      there[3 * j + 2] = hsv.value;
      if (i >= 180) continue;
      Rgb const rgb = hsv_to_rgb({a, b, c});
      std::copy(rgb.begin(), rgb.end(), back.begin() + static_cast<std::ptrdiff_t>(3 * j));
    }
    forward = check_sum(there, forward);
    if (i < 180) backward = check_sum(back, backward);
  }
  CHECK(forward == 0x0400829F);
  CHECK(backward == 0xF7238232);
}

TEST_CASE("colour changes") {
  auto const changed = [](auto const& change) {
    Image image = picture(40, 64).image;
    change(image);
    return check_sum(image.pixels);
  };
  CHECK(changed([](Image& image) { adjust_brightness(image, -20.7); }) == 0xBEC820DF);
  CHECK(changed([](Image& image) { adjust_brightness(image, 31.9); }) == 0x3E6F0228);
  CHECK(changed([](Image& image) { adjust_contrast(image, 0.613); }) == 0x6D5C9838);
  CHECK(changed([](Image& image) { adjust_contrast(image, 1.47); }) == 0x3E6FCD33);
  CHECK(changed([](Image& image) { adjust_saturation(image, 0.55); }) == 0x60DA56A3);
  CHECK(changed([](Image& image) { adjust_saturation(image, 1.45); }) == 0x82EA6ADB);
  CHECK(changed([](Image& image) { adjust_hue(image, -18); }) == 0x54800067);
  CHECK(changed([](Image& image) { adjust_hue(image, 7); }) == 0x98E657B1);
  CHECK(changed([](Image& image) { adjust_hue(image, 7 - 360); }) == 0x98E657B1);
}

TEST_CASE("picture and labels at another size") {
  auto const sums = [](std::size_t height, std::size_t width, std::size_t new_height, std::size_t new_width) {
    auto const sample = resize_sample(picture(height, width), new_height, new_width);
    CHECK(sample.labels.height == new_height);
    CHECK(sample.labels.width == new_width);
    return std::vector<std::uint32_t>{check_sum(sample.image.pixels), check_sum(sample.labels)};
  };
  using Sums = std::vector<std::uint32_t>;
  CHECK(sums(40, 64, 24, 38) == Sums{0xAE518800, 0x9B18C94A});
  CHECK(sums(40, 64, 96, 154) == Sums{0x41804881, 0x40DA76A7});
  CHECK(sums(7, 5, 7, 11) == Sums{0x48B748AB, 0x4B39970C});
  CHECK(sums(33, 50, 32, 48) == Sums{0x6054C876, 0x6DFB30A1});
}

TEST_CASE("whole samples equal those of Pillow, PyTorch and OpenCV's rules") {
  struct Case {
    std::size_t height, width, crop, short_edge, longest_edge;
    bool resized_crop;
    std::uint64_t seed;
    std::uint32_t image, labels;
  };
  // clang-format off
  static constexpr Case cases[] = {
    {40, 64, 32, 32, 1333, false, 1, 0x8947AD49, 0xA6EC09C7},
    {40, 64, 32, 32, 1333, false, 2, 0xBF30E829, 0xA5565F88},
    {40, 64, 32, 32, 1333, false, 3, 0x901CBB7A, 0x6C6F48BA},
    {40, 64, 32, 32, 1333, false, 4, 0x1C0AE2F1, 0x9F78C357},
    {40, 64, 32, 32, 1333, false, 5, 0x3001D0B5, 0x0BF59DC9},
    {40, 64, 32, 32, 1333, false, 6, 0xA7289D50, 0xC530A218},
    {40, 64, 32, 32, 1333, true, 1, 0xCD4E8EF2, 0xE3427C1B},
    {40, 64, 32, 32, 1333, true, 2, 0xDE687EE1, 0x58A0F8B5},
    {40, 64, 32, 32, 1333, true, 3, 0x7BD30511, 0x70AA5E35},
    {40, 64, 32, 32, 1333, true, 4, 0x2B9B816C, 0x98F2B6AF},
    {40, 64, 32, 32, 1333, true, 5, 0xD0E01549, 0x99962533},
    {40, 64, 32, 32, 1333, true, 6, 0xA8BF632A, 0xC4001F50},
    {64, 40, 32, 48, 1333, false, 1, 0xF847A8E4, 0xC6992858},
    {64, 40, 32, 48, 1333, false, 2, 0x5C2544BF, 0xD64DA119},
    {64, 40, 32, 48, 1333, false, 3, 0x230754EB, 0x17FB48C8},
    {64, 40, 32, 48, 1333, false, 4, 0x31108FBB, 0xD756793E},
    {64, 40, 32, 48, 1333, false, 5, 0xE4CE0CD2, 0xDAE411DC},
    {64, 40, 32, 48, 1333, false, 6, 0x30116027, 0x4B9E257D},
    {64, 40, 32, 48, 1333, true, 1, 0xF9991C12, 0x17569B9B},
    {64, 40, 32, 48, 1333, true, 2, 0x025C4A9C, 0x0661A3ED},
    {64, 40, 32, 48, 1333, true, 3, 0xA7E48536, 0x6206B106},
    {64, 40, 32, 48, 1333, true, 4, 0x7D96E33C, 0x0CF09FD7},
    {64, 40, 32, 48, 1333, true, 5, 0x6440400C, 0xD27AC98E},
    {64, 40, 32, 48, 1333, true, 6, 0x9011F33C, 0x1AE01D64},
    {17, 90, 32, 32, 60, false, 1, 0x201C7ADC, 0x70CB56F3},
    {17, 90, 32, 32, 60, false, 2, 0x940E4519, 0x67B11FE4},
    {17, 90, 32, 32, 60, false, 3, 0xE08C9DFE, 0x4FBF03B4},
    {17, 90, 32, 32, 60, false, 4, 0x89ED3B28, 0x5EDA974C},
    {17, 90, 32, 32, 60, false, 5, 0xC22C68CF, 0x98180FF6},
    {17, 90, 32, 32, 60, false, 6, 0x8F413BF7, 0x20794A70},
    {17, 90, 32, 32, 60, true, 1, 0x2A5589C8, 0x5EEC82CE},
    {17, 90, 32, 32, 60, true, 2, 0xCFC6D7EC, 0xAB8E15DA},
    {17, 90, 32, 32, 60, true, 3, 0xCE3A4898, 0x7A9D3D2B},
    {17, 90, 32, 32, 60, true, 4, 0xDE848484, 0x9D116201},
    {17, 90, 32, 32, 60, true, 5, 0x0D08C510, 0x261949A7},
    {17, 90, 32, 32, 60, true, 6, 0x2857DAD7, 0xD1B1FD38},
    {30, 30, 64, 48, 1333, false, 1, 0x3743EE80, 0x775D13F7},
    {30, 30, 64, 48, 1333, false, 2, 0x1158B060, 0x775D13F7},
    {30, 30, 64, 48, 1333, false, 3, 0xDD30AEC6, 0x9A207566},
    {30, 30, 64, 48, 1333, false, 4, 0xC9F0290A, 0x775D13F7},
    {30, 30, 64, 48, 1333, false, 5, 0xB9DEAC5D, 0x9A207566},
    {30, 30, 64, 48, 1333, false, 6, 0x29EFEF5F, 0x9A207566},
    {30, 30, 64, 48, 1333, true, 1, 0x50B41A3A, 0xE5DF1190},
    {30, 30, 64, 48, 1333, true, 2, 0x20A2EB95, 0x3AB66F4B},
    {30, 30, 64, 48, 1333, true, 3, 0xE44C4A39, 0x734B723A},
    {30, 30, 64, 48, 1333, true, 4, 0x63E02BE1, 0x11434DB0},
    {30, 30, 64, 48, 1333, true, 5, 0xC18BFE89, 0xE7A61C83},
    {30, 30, 64, 48, 1333, true, 6, 0x35C43299, 0x02240C3D},
  };
  // clang-format on
  for (auto const& c : cases) {
    AugmentationConfig config;
    config.crop = c.crop;
    config.short_edge = c.short_edge;
    config.longest_edge = c.longest_edge;
    if (c.resized_crop) config.random_resized_crop.emplace();
    auto const sample = augmented(picture(c.height, c.width), config, c.seed);
    INFO(c.height, " x ", c.width, ", resized crop ", c.resized_crop, ", seed ", c.seed);
    CHECK(sample.image.height == c.crop);
    CHECK(sample.image.width == c.crop);
    CHECK(check_sum(sample.image.pixels) == c.image);
    CHECK(check_sum(sample.labels) == c.labels);
    CHECK(sample.name == "noise");
  }
}

TEST_CASE("the authors' values are the defaults") {
  AugmentationConfig const config;
  auto const sample = augmented(picture(20, 30), config, 1);
  CHECK(sample.image.height == 384);
  CHECK(sample.labels.width == 384);
  CHECK(config.longest_edge == 1333);
  CHECK(config.padding == 128);
  CHECK_FALSE(config.random_resized_crop.has_value());
}

TEST_CASE("labels follow their pictures") {
  auto const sample = blocks(48, 72);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    auto const cropped = augmented(sample, geometry_alone(40, 48), seed);
    bool all = true;
    for (std::size_t y = 0; y < 40; ++y)
      for (std::size_t x = 0; x < 40; ++x) all = all && pure(cropped, y, x);
    CHECK(all);

    // Enlarged, colours mix where blocks meet: an eighth of each side at most.
    auto const enlarged = augmented(sample, geometry_alone(80, 96), seed);
    std::size_t count = 0;
    for (std::size_t y = 0; y < 80; ++y)
      for (std::size_t x = 0; x < 80; ++x) count += pure(enlarged, y, x);
    CHECK(count >= 80 * 80 * 3 / 4);
  }
}

TEST_CASE("a picture smaller than the crop is padded right and below") {
  auto config = geometry_alone(16, 8);
  for (double flip : {0., 1.}) {
    config.flip_probability = flip;
    auto const sample = augmented(blocks(8, 12), config, 3);
    for (std::size_t y = 0; y < 16; ++y)
      for (std::size_t x = 0; x < 16; ++x) {
        CHECK((sample.labels(y, x) == LabelMap::unknown) == (y >= 8 || x >= 12));
        CHECK(pure(sample, y, x));
      }
    CHECK(sample.labels(0, 0) == (flip > 0 ? 1 : 0));
  }
  config.padding = 7;
  CHECK(augmented(blocks(8, 12), config, 3).image.pixels.back() == 7);
}

TEST_CASE("crops are everywhere alike, and every second sample is mirrored") {
  // Labels tell where they come from: 4 rows and 6 columns of places.
  SegmentationSample sample{{11, 13, std::vector<std::uint8_t>(11 * 13 * 3)}, {11, 13, {}}, ""};
  for (std::uint16_t i = 0; i < 11 * 13; ++i) sample.labels.labels.push_back(i);
  constexpr std::size_t draws = 6000;
  std::vector<std::size_t> places(24, 0);
  std::size_t flipped = 0;
  auto const config = geometry_alone(8, 11);
  std::mt19937_64 random(9);
  for (std::size_t i = 0; i < draws; ++i) {
    auto const crop = augment(sample, config, random);
    bool const mirrored = crop.labels(0, 0) > crop.labels(0, 1);
    flipped += mirrored;
    std::size_t const corner = crop.labels(0, mirrored ? 7 : 0);
    ++places.at(corner / 13 * 6 + corner % 13);
  }
  for (auto const count : places) CHECK(share_is(count, draws, 1. / 24));
  CHECK(share_is(flipped, draws, 0.5));
}

TEST_CASE("each colour change happens half of the time, within its range") {
  constexpr std::size_t draws = 4000;
  std::mt19937_64 random(21);
  std::size_t same_grey = 0, brighter = 0;
  ColorJitterConfig brightness_alone;
  brightness_alone.contrast_low = brightness_alone.contrast_high = 1;
  std::set<int> levels;
  for (std::size_t i = 0; i < draws; ++i) {
    Image grey = plain(100, 100, 100);
    jitter_color(grey, brightness_alone, random);
    levels.insert(grey.pixels[0]);
    brighter += grey.pixels[0] > 100;
    same_grey += grey.pixels[0] == 100;
  }
  // From 68 (never below, for the delta is above -32) to 131; 100 also for deltas from 0 to 1.
  CHECK(*levels.begin() == 68);
  CHECK(*levels.rbegin() == 131);
  CHECK(levels.size() == 64);
  CHECK(share_is(same_grey, draws, 0.5 + 0.5 / 64));
  CHECK(share_is(brighter, draws, 0.5 * 31 / 64));

  std::size_t same_hue = 0, same_saturation = 0;
  std::set<int> hues;
  ColorJitterConfig hsv_alone = brightness_alone;
  hsv_alone.brightness_delta = 0;
  for (std::size_t i = 0; i < draws; ++i) {
    Image image = plain(51, 255, 51);  // hue 60, saturation 204
    jitter_color(image, hsv_alone, random);
    Hsv const hsv = rgb_to_hsv({image.pixels[0], image.pixels[1], image.pixels[2]});
    same_hue += image.pixels[0] == image.pixels[2];
    same_saturation += std::abs(hsv.saturation - 204) <= 2;
    hues.insert(hsv.hue);
  }
  // No turn is one of 37. Colours survive HSV but for a level or two: of saturations from 102 to 255 (what would be
  // more is clipped) five lie that near, out of 204 that are drawn.
  CHECK(share_is(same_hue, draws, 0.5 + 0.5 / 37));
  CHECK(share_is(same_saturation, draws, 0.5 + 0.5 * 5 / 204));
  CHECK(std::abs(*hues.begin() - 42) <= 1);
  CHECK(std::abs(*hues.rbegin() - 78) <= 1);
}

TEST_CASE("contrast comes before or after saturation, as often") {
  ColorJitterConfig config;
  config.probability = 1;
  config.brightness_delta = config.hue_delta = 0;
  config.contrast_low = config.contrast_high = 1.5;
  config.saturation_low = config.saturation_high = 0.5;
  Image before = plain(200, 90, 40), after = before;
  adjust_contrast(before, 1.5);
  adjust_saturation(before, 0.5);
  adjust_hue(before, 0);
  adjust_saturation(after, 0.5);
  adjust_hue(after, 0);
  adjust_contrast(after, 1.5);
  REQUIRE(before.pixels != after.pixels);
  constexpr std::size_t draws = 2000;
  std::mt19937_64 random(4);
  std::size_t first = 0, second = 0;
  for (std::size_t i = 0; i < draws; ++i) {
    Image image = plain(200, 90, 40);
    jitter_color(image, config, random);
    first += image.pixels == before.pixels;
    second += image.pixels == after.pixels;
  }
  CHECK(first + second == draws);
  CHECK(share_is(first, draws, 0.5));
}

TEST_CASE("windows of random area and shape") {
  std::mt19937_64 random(5);
  double shapes = 0, areas = 0;
  constexpr int draws = 2000;
  for (int i = 0; i < draws; ++i) {
    auto const window = detail::draw_window(900, 1000, {}, random);
    double const h = static_cast<double>(window.height), w = static_cast<double>(window.width);
    bool const inside = window.top + window.height <= 900 && window.left + window.width <= 1000;
    REQUIRE(inside);
    double const area = h * w / 900000;
    bool const in_range = area > 0.079 && w / h > 0.74 && w / h < 1.35;
    REQUIRE(in_range);
    shapes += std::log(w / h) / draws;
    areas += area / draws;
  }
  CHECK(std::abs(shapes) < 0.02);
  CHECK(areas > 0.45);
  CHECK(areas < 0.54);
  // No try can succeed in a strip: what is left is the largest window of an allowed shape, in its middle.
  auto const strip = detail::draw_window(1000, 9, {}, random);
  CHECK(strip.top == 494);
  CHECK(strip.height == 12);
  CHECK(strip.width == 9);
  auto const dot = detail::draw_window(1, 1, {}, random);
  CHECK(dot.height == 1);
  CHECK(dot.width == 1);
}

TEST_CASE("the same random state, the same bytes") {
  auto const sample = picture(50, 70);
  auto const untouched = sample;
  AugmentationConfig config;
  config.crop = config.short_edge = 40;
  for (bool resized_crop : {false, true}) {
    if (resized_crop) config.random_resized_crop.emplace();
    CHECK(same(augmented(sample, config, 8), augmented(sample, config, 8)));
    CHECK_FALSE(same(augmented(sample, config, 8), augmented(sample, config, 9)));
    std::mt19937_64 random(8);
    auto const first = augment(sample, config, random);
    CHECK_FALSE(same(first, augment(sample, config, random)));
  }
  CHECK(same(sample, untouched));
}

TEST_CASE("extreme pictures still give a whole sample") {
  AugmentationConfig config;
  config.crop = config.short_edge = 16;
  config.longest_edge = 40;
  for (auto const& [height, width] : {std::pair<std::size_t, std::size_t>{1, 1}, {1, 3000}, {3000, 1}}) {
    auto const sample = augmented(picture(height, width), config, 1);
    CHECK(sample.image.pixels.size() == 16 * 16 * 3);
    CHECK(sample.labels.labels.size() == 16 * 16);
  }
}

TEST_CASE("what cannot be augmented") {
  auto sample = picture(4, 6);
  auto const refused = [&](AugmentationConfig const& config) {
    return message_of<ConfigError>([&] { augmented(sample, config, 1); });
  };
  AugmentationConfig config;
  config.crop = 0;
  CHECK(contains(refused(config), "crop is 0 pixels, expected 1 to 65536"));
  config = {};
  config.flip_probability = std::nan("");
  CHECK(contains(refused(config), "flip_probability is nan, expected 0 to 1"));
  config = {};
  config.color_jitter->contrast_high = 0.25;
  CHECK(contains(refused(config), "colour jitter: contrast from 0.5 to 0.25 is not a range within 0 to 255"));
  config = {};
  config.color_jitter->hue_delta = -1;
  CHECK(contains(refused(config), "hue delta from -1 to -1 is not a range within 0 to 180"));
  config = {};
  config.random_resized_crop = RandomResizedCropConfig{.scale_low = 0};
  CHECK(contains(refused(config), "scales from 0 to 1 are not a range above 0 and up to 1"));
  config.random_resized_crop = RandomResizedCropConfig{.ratio_low = 2, .ratio_high = 1};
  CHECK(contains(refused(config), "ratios from 2 to 1 are not a range within 0.01 to 100"));

  auto const unusable = [&] { return message_of<DataError>([&] { augmented(sample, {}, 1); }); };
  sample.labels = {6, 4, std::vector<std::uint16_t>(24)};
  CHECK(contains(unusable(), "the picture 'noise' is 4 x 6 and its labels 6 x 4"));
  sample.image = {};
  CHECK(contains(unusable(), "the picture 'noise' of 0 x 0 has 0 bytes"));
  CHECK(contains(message_of<ShapeError>([] { crop_sample(picture(4, 6), 2, 0, 3, 1); }),
                 "a window of 3 x 1 at (2, 0) is not inside a picture of 4 x 6"));
}
