// SPDX-License-Identifier: Apache-2.0
#include "kovos/segmentation/work.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

namespace {

using namespace kovos;

/// Multiply-adds of a product.
constexpr double product(double rows, double depth, double columns) { return 2 * rows * depth * columns; }

double operations(std::vector<StageWork> const& work) {
  double sum = 0;
  for (auto const& stage : work) sum += stage.operations;
  return sum;
}

}  // namespace

TEST_CASE("stages of the released model, counted once more by hand") {
  auto const work = segment_work(cat_seg_vit_b16, 150, {.window = WindowMode::whole}, 640, 640);
  double const tokens = 24 * 24 + 1, pixels = 24 * 24, classes = 150;
  // 12 blocks of 768: qkv, two products of attention, output, mlp; the last one without its attention and class token.
  double image = product(pixels, 3 * 16 * 16, 768) + product(tokens, 768, 512);
  for (int block = 0; block < 11; ++block)
    image += product(tokens, 768, 3 * 768) + 2 * product(tokens, 768, tokens) + product(tokens, 768, 768) +
             2 * product(tokens, 768, 4 * 768);
  image += 2 * product(pixels, 768, 768) + 2 * product(pixels, 768, 4 * 768);
  image += product(pixels, 768, 4 * 256) + product(pixels, 768, 16 * 128);  // upsampled hooks
  CHECK(work_of(work, "image encoder").operations == doctest::Approx(image).epsilon(1e-12));
  CHECK(work_of(work, "cost volume").operations == doctest::Approx(product(classes * pixels, 512, 1)).epsilon(1e-12));
  CHECK(work_of(work, "cost embedding").operations ==
        doctest::Approx(product(classes * pixels, 49, 128)).epsilon(1e-12));
  // Two layers of two blocks: q, k, v, output, mlp, attention among 144 pixels; guidance of 128 once per block.
  double const block = 4 * product(pixels, 128, 128) + 2 * product(pixels, 128, 512) + 2 * product(pixels, 144, 128);
  CHECK(work_of(work, "spatial aggregation").operations ==
        doctest::Approx(4 * (classes * block + 2 * product(pixels, 128, 128))).epsilon(1e-12));
  // Up to 48 and 96 pixels, each time as 2 x 2 taps per pixel, a second convolution, then one output channel.
  double const decoder = product(48 * 48, 4 * 128, 64) + product(48 * 48, 9 * 64, 64) + product(96 * 96, 4 * 64, 32) +
                         product(96 * 96, 9 * 32, 32) + product(96 * 96, 9 * 32, 1);
  double const decoder_guidance = product(48 * 48, 9 * 256, 32) + product(48 * 48, 9 * 32, 64) +
                                  product(96 * 96, 9 * 128, 16) + product(96 * 96, 9 * 16, 32);
  CHECK(work_of(work, "decoder").operations == doctest::Approx(classes * decoder + decoder_guidance).epsilon(1e-12));
  CHECK(work_of(work, "labels").operations == 0);
  CHECK(work_of(work, "no such stage").operations == 0);
}

TEST_CASE("work grows with classes up to the padding, with views, and bytes with both") {
  auto const of = [](std::size_t classes, WindowMode mode) {
    return segment_work(cat_seg_vit_b16, classes, {.window = mode}, 640, 640);
  };
  CHECK(view_count(cat_seg_vit_b16.test, WindowMode::whole) == 1);
  CHECK(view_count(cat_seg_vit_b16.test, WindowMode::sliding) == 5);
  CHECK(operations(of(150, WindowMode::sliding)) ==
        doctest::Approx(5 * operations(of(150, WindowMode::whole))).epsilon(1e-12));
  auto const decoder = [&](std::size_t classes) { return work_of(of(classes, WindowMode::whole), "decoder"); };
  CHECK(decoder(200).operations - decoder(100).operations ==
        doctest::Approx(decoder(100).operations - decoder(0).operations).epsilon(1e-9));
  CHECK(decoder(300).operations == decoder(256).operations);
  CHECK(decoder(200).bytes > decoder(100).bytes);
  // All class maps in, all logits out: no less can be read and written.
  CHECK(decoder(100).bytes > 4.0 * 100 * 24 * 24 * (128 + 16));
}

TEST_CASE("work that was left out by choice") {
  auto const of = [](SegmentOptions options) {
    options.window = WindowMode::whole;
    return segment_work(cat_seg_vit_b16, 150, options, 640, 640);
  };
  auto const operations_of = [](std::vector<StageWork> const& work, char const* stage) {
    return work_of(work, stage).operations;
  };
  auto const all = of({});
  auto const pruned = of({.most_classes = 40});
  auto const forty = segment_work(cat_seg_vit_b16, 40, {.window = WindowMode::whole}, 640, 640);
  CHECK(operations_of(pruned, "cost volume") == operations_of(all, "cost volume"));
  for (auto const* stage : {"cost embedding", "spatial aggregation", "class aggregation", "decoder"})
    CHECK(operations_of(pruned, stage) == operations_of(forty, stage));
  CHECK(operations(of({.most_classes = 150, .most_decoded = 150, .layers = 2})) == operations(all));

  // 40 of 150 classes decoded, after a quarter of everything but the guidance's projections for each of them.
  auto const decoded = of({.most_decoded = 40});
  double const per_class = (operations_of(all, "decoder") - operations_of(forty, "decoder")) / 110;
  double const coarse_guidance = product(24 * 24, 9 * 32, 64) + product(48 * 48, 9 * 16, 32);
  CHECK(operations_of(decoded, "decoder") ==
        doctest::Approx(operations_of(forty, "decoder") + 150 * per_class / 4 + coarse_guidance).epsilon(1e-12));
  CHECK(operations_of(decoded, "class aggregation") == operations_of(all, "class aggregation"));
  CHECK(work_of(decoded, "labels").bytes == work_of(forty, "labels").bytes);
  auto odd = cat_seg_vit_b16;
  odd.clip_resolution = 15 * 16;
  CHECK(operations(segment_work(odd, 150, {.most_decoded = 40}, 640, 640)) ==
        operations(segment_work(odd, 150, {}, 640, 640)));

  auto const early = of({.layers = 1});
  for (auto const* stage : {"spatial aggregation", "class aggregation"})
    CHECK(2 * operations_of(early, stage) == doctest::Approx(operations_of(all, stage)));
  CHECK(operations_of(early, "decoder") == operations_of(all, "decoder"));
  CHECK_THROWS_AS((void)of({.layers = 3}), ConfigError);
}

TEST_CASE("the floor is what takes longer, products or memory") {
  StageWork const stage{"any", 1e9, 1e8};
  CHECK(stage.floor_seconds(1e9, 1e9) == doctest::Approx(1.0));
  CHECK(stage.floor_seconds(1e12, 1e9) == doctest::Approx(0.1));
  double const one = text_work(cat_seg_vit_b16, {10}).operations;
  CHECK(text_work(cat_seg_vit_b16, {10, 10}).operations == doctest::Approx(2 * one));
  CHECK(text_work(cat_seg_vit_b16, {20}).operations > 2 * one);  // attention grows with the square
}
