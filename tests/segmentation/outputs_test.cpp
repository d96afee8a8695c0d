// SPDX-License-Identifier: Apache-2.0
// Decoders from class maps and mask sets, compared with FC-CLIP's recorded outputs (tests/data/masks) and with plain
// loops.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kovos/io/safetensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/segmentation/decode/instances.hpp"
#include "kovos/segmentation/decode/labels.hpp"
#include "kovos/segmentation/decode/mask_classes.hpp"
#include "kovos/segmentation/decode/panoptic.hpp"
#include "kovos/segmentation/outputs.hpp"
#include "support/approx.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using test::close;
using test::message_of;
using Host = Kokkos::HostSpace;
using Memory = Context<>::memory_space;
using Json = nlohmann::json;
using Flags = std::vector<bool>;

struct Recorded {
  Json cases;
  NamedTensors tensors;

  static Recorded const& instance() {
    static Recorded const recorded = [] {
      std::string const folder = std::string(KOVOS_TEST_DATA) + "/masks/";
      Recorded r;
      std::ifstream(folder + "outputs.json") >> r.cases;
      r.tensors = read_safetensors(folder + "outputs.safetensors");
      return r;
    }();
    return recorded;
  }
  bool has(std::string const& name) const { return tensors.tensors.count(name) > 0; }
  std::vector<std::size_t> const& shape(std::string const& name) const { return tensors.tensors.at(name).shape; }
  std::vector<float> floats(std::string const& name) const { return to_float(tensors.tensors.at(name)); }
  /// Numbers of one or of four bytes.
  std::vector<int> integers(std::string const& name) const {
    auto const& tensor = tensors.tensors.at(name);
    std::vector<int> result;
    std::size_t const size = tensor.dtype == DType::u8 ? 1 : 4;
    for (std::size_t i = 0; i < tensor.bytes.size(); i += size) {
      std::uint32_t number = 0;
      for (std::size_t b = 0; b < size; ++b)
        number |= std::uint32_t{std::to_integer<std::uint8_t>(tensor.bytes[i + b])} << (8 * b);
      result.push_back(static_cast<int>(number));
    }
    return result;
  }
};

test::Values doubles(std::vector<float> const& x) { return {x.begin(), x.end()}; }

template <class Exec>
MaskSet<typename Exec::memory_space> on(Context<Exec> const& context, MaskSet<Host> const& set) {
  return {to_device(context, set.class_logits), to_device(context, set.masks)};
}

/// The inputs of a recorded case; masks of pictures are resized to the output first.
template <class Exec>
MaskSet<typename Exec::memory_space> mask_set(Context<Exec> const& context, std::string const& name) {
  auto const& recorded = Recorded::instance();
  auto const c = recorded.shape(name + "/class_logits"), m = recorded.shape(name + "/mask_logits");
  MaskSet<Host> const host{DynamicTensor<float, 2>(dynamic_extents<2>(c[0], c[1])),
                           DynamicTensor<float, 3>(dynamic_extents<3>(m[0], m[1], m[2]))};
  auto const logits = recorded.floats(name + "/class_logits"), masks = recorded.floats(name + "/mask_logits");
  std::copy(logits.begin(), logits.end(), host.class_logits.data());
  std::copy(masks.begin(), masks.end(), host.masks.data());
  auto const set = on(context, host);
  auto const& meta = recorded.cases.at(name);
  if (!meta.contains("output_size")) return set;
  return resize_masks(context, set,
                      {meta.at("size")[0], meta.at("size")[1], meta.at("padded_to")[0], meta.at("padded_to")[1]},
                      meta.at("output_size")[0], meta.at("output_size")[1]);
}

Flags things_of(Json const& meta, std::size_t classes) {
  Flags things(classes, false);
  for (auto const& k : meta.at("things")) things[k.get<std::size_t>()] = true;
  return things;
}

std::vector<int> as_numbers(std::vector<std::int32_t> const& ids) { return {ids.begin(), ids.end()}; }

LabelMap label_map(std::vector<std::string> const& rows) {
  LabelMap map{rows.size(), rows.at(0).size(), {}};
  for (auto const& row : rows)
    for (char const c : row) map.labels.push_back(c == '?' ? LabelMap::unknown : static_cast<std::uint16_t>(c - '0'));
  return map;
}

std::vector<int> ids(std::vector<std::string> const& rows) {
  std::vector<int> result;
  for (auto const& row : rows)
    for (char const c : row) result.push_back(c - '0');
  return result;
}

}  // namespace

TEST_CASE("mask sets: class maps, labels, panoptic maps and instances as the authors' code recorded them") {
  auto const& recorded = Recorded::instance();
  REQUIRE(recorded.cases.size() == 7);
  test::for_each_context([&](auto const& context) {
    for (auto const& [name, meta] : recorded.cases.items()) {
      CAPTURE(name);
      auto const set = mask_set(context, name);
      bool const picture = meta.contains("output_size");
      std::size_t const height = set.masks.extent(1), width = set.masks.extent(2), classes = set.classes();

      // Class maps; of a picture every so many of their numbers were recorded.
      MaskClassMaps const maps(context, set);
      auto const scores = to_host(context, maps.tile(context, 0, classes));
      std::size_t const stride = meta.value("sem_seg_stride", std::size_t{1});
      auto const sem_seg = doubles(recorded.floats(name + "/sem_seg"));
      test::Values sample;
      for (std::size_t i = 0; i < scores.size(); i += stride) sample.push_back(static_cast<double>(scores.data()[i]));
      CHECK(close(sample, sem_seg, 5e-6 * std::max(1.0, test::largest(sem_seg))));
      auto const labels = choose_labels(context, maps, height, width, classes);
      CHECK(test::values(labels.scores) == test::values(scores));
      if (picture) {
        std::vector<int> const argmax(labels.labels.labels.begin(), labels.labels.labels.end());
        CHECK(argmax == recorded.integers(name + "/argmax"));
      }

      // A panoptic map.
      auto const things = things_of(meta, classes);
      auto const map =
          panoptic_map(context, set, things, {meta.at("object_mask_threshold"), meta.at("overlap_threshold")});
      CHECK(as_numbers(map.ids) == recorded.integers(name + "/panoptic"));
      REQUIRE(map.segments.size() == meta.at("segments_info").size());
      auto const probabilities = recorded.floats(name + "/scores");
      for (std::size_t s = 0; s < map.segments.size(); ++s) {
        auto const& expected = meta.at("segments_info")[s];
        CHECK(map.segments[s].id == expected.at("id"));
        CHECK(map.segments[s].label == expected.at("category_id"));
        CHECK(map.segments[s].is_thing == expected.at("isthing"));
        CHECK(map.segments[s].area ==
              static_cast<std::size_t>(std::count(map.ids.begin(), map.ids.end(), map.segments[s].id)));
        CHECK(std::any_of(probabilities.begin(), probabilities.end(),
                          [&](float p) { return std::fabs(static_cast<double>(p) - map.segments[s].score) <= 1e-6; }));
      }

      // Instances. Of several pairs of equal probability at the end of the list the authors' code takes any, so that
      // those are left out; those of equal score may be recorded in another order.
      InstanceOptions const options{meta.at("topk"), things};
      auto found = instances(context, set, options);
      auto expected = recorded.floats(name + "/instance_scores");
      auto const expected_class = recorded.integers(name + "/instance_classes");
      auto const probability = to_host(context, softmax(context, set.class_logits));
      std::vector<float> pairs;
      for (std::size_t i = 0; i < probability.size(); ++i)
        if (i % (classes + 1) < classes) pairs.push_back(probability.data()[i]);
      std::sort(pairs.begin(), pairs.end(), std::greater<>());
      REQUIRE(pairs.size() >= options.most);
      float const last = pairs[options.most - 1];
      if (pairs.size() > options.most && last - pairs[options.most] < 1e-5f) {
        std::erase_if(found, [&](Instance const& x) { return probability(x.source, x.label) < last + 1e-5f; });
        std::erase_if(expected, [&](float score) { return score < last + 1e-5f; });
      }
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        CHECK(std::fabs(found[i].score - static_cast<double>(expected[i])) <= 2e-6);
        bool const unique = (i == 0 || expected[i - 1] - expected[i] > 4e-6f) &&
                            (i + 1 == found.size() || expected[i] - expected[i + 1] > 4e-6f);
        if (!unique) continue;
        CHECK(static_cast<int>(found[i].label) == expected_class[i]);
        auto const pixels = mask_pixels(found[i].mask);
        if (recorded.has(name + "/instance_query")) {
          CHECK(static_cast<int>(found[i].source) == recorded.integers(name + "/instance_query")[i]);
          CHECK(static_cast<int>(found[i].mask.area()) == recorded.integers(name + "/instance_areas")[i]);
        }
        if (recorded.has(name + "/instance_mask_bits")) {
          auto const bits = recorded.integers(name + "/instance_mask_bits");
          std::size_t different = 0;
          for (std::size_t p = 0; p < pixels.size(); ++p) {
            std::size_t const at = i * pixels.size() + p;
            different += ((bits[at / 8] >> (7 - at % 8)) & 1) != pixels[p];
          }
          CHECK(different == 0);
        }
        if (recorded.has(name + "/instance_masks")) {
          auto const masks = recorded.integers(name + "/instance_masks");
          CHECK(
              std::equal(pixels.begin(), pixels.end(), masks.begin() + static_cast<std::ptrdiff_t>(i * pixels.size())));
        }
      }
    }
  });
}

TEST_CASE("without a list of things every class can be an instance, and no more are given than there are pairs") {
  Context<> const context;
  auto const set = mask_set(context, "stuff_merged");
  auto const all = instances(context, set);
  CHECK(all.size() == set.count() * set.classes());
  for (std::size_t i = 1; i < all.size(); ++i) CHECK(all[i - 1].score >= all[i].score);
  CHECK(instances(context, set, {3, {}}).size() == 3);
  CHECK(instances(context, set, {0, {}}).empty());
}

TEST_CASE("a mask's logit of 0 is inside for a panoptic map and outside for an instance") {
  Context<> const context;
  MaskSet<Host> host{DynamicTensor<float, 2>(dynamic_extents<2>(1, 2)),
                     DynamicTensor<float, 3>(dynamic_extents<3>(1, 1, 3))};
  host.class_logits(0, 0) = 2, host.class_logits(0, 1) = -2;
  host.masks(0, 0, 0) = 0, host.masks(0, 0, 1) = 1, host.masks(0, 0, 2) = -1;
  auto const set = on(context, host);
  CHECK(as_numbers(panoptic_map(context, set, {true}).ids) == std::vector<int>{1, 1, 0});
  CHECK(mask_pixels(instances(context, set).at(0).mask) == std::vector<std::uint8_t>{0, 1, 0});
}

TEST_CASE("mask sets that say nothing, and nothing that is a number") {
  test::for_each_context([](auto const& context) {
    auto const none = on(context, MaskSet<Host>{DynamicTensor<float, 2>(dynamic_extents<2>(0, 3)),
                                                DynamicTensor<float, 3>(dynamic_extents<3>(0, 2, 2))});
    CHECK(panoptic_map(context, none, {true, false}).segments.empty());
    CHECK(as_numbers(panoptic_map(context, none, {true, false}).ids) == std::vector<int>(4, 0));
    CHECK(instances(context, none).empty());
    MaskSet<Host> numbers{test::random_tensor(1, 1, std::size_t{3}, std::size_t{3}),
                          test::random_tensor(2, 1, std::size_t{3}, std::size_t{4}, std::size_t{5})};
    for (std::size_t i = 0; i < 9; ++i) numbers.class_logits.data()[i] = std::numeric_limits<float>::quiet_NaN();
    numbers.masks.data()[7] = std::numeric_limits<float>::quiet_NaN();
    auto const broken = on(context, numbers);
    CHECK(panoptic_map(context, broken, {true, false}).segments.empty());
    CHECK(instances(context, broken).size() == 6);
  });
}

TEST_CASE("labels from class maps: resized, the first on ties, in tiles as at once") {
  test::for_each_context([](auto const& context) {
    auto const scores =
        test::random_tensor(context, 9, 1, std::size_t{40}, std::size_t{6}, std::size_t{5}, std::size_t{1});
    auto const chosen = choose_labels(context, ClassMaps(scores), 17, 23, 40);
    auto const resized = to_host(context, resize_bilinear(context, scores, 17, 23));
    CHECK(test::values(chosen.scores) == test::values(resized));
    for (std::size_t p = 0; p < 17 * 23; ++p) {
      std::size_t best = 0;
      for (std::size_t k = 1; k < 40; ++k)
        if (resized.data()[k * 17 * 23 + p] > resized.data()[best * 17 * 23 + p]) best = k;
      CHECK(chosen.labels.labels[p] == best);
      CHECK(chosen.confidence[p] == resized.data()[best * 17 * 23 + p]);
    }
    CHECK(choose_labels(context, ClassMaps(scores), 17, 23).labels.labels == chosen.labels.labels);
    auto const equal = context.template tensor<float>(3, 2, 2, 1);
    fill(context, equal, -5.0f);
    auto const tied = choose_labels(context, ClassMaps(equal), 2, 2);
    CHECK(tied.labels.labels == std::vector<std::uint16_t>(4, 0));
    CHECK(tied.confidence == std::vector<float>(4, -5.0f));
  });
}

TEST_CASE("panoptic maps from labels: stuff is one segment, things are what touches, at corners too") {
  auto const labels = label_map({"0011?",  //
                                 "20012",  //
                                 "22011",  //
                                 "?1000"});
  auto const map = panoptic_map(labels, {true, true, false});
  // 0: a thing, all of it connected; 1: above at the right, and one pixel below; 2: stuff in two places.
  CHECK(as_numbers(map.ids) == ids({"11220",  //
                                    "31123",  //
                                    "33122",  //
                                    "04111"}));
  REQUIRE(map.segments.size() == 4);
  CHECK(map.segments[0].label == 0);
  CHECK(map.segments[0].area == 8);
  CHECK(map.segments[1].label == 1);
  CHECK(map.segments[2].label == 2);
  CHECK_FALSE(map.segments[2].is_thing);
  CHECK(map.segments[2].area == 4);
  CHECK(map.segments[3].label == 1);
  CHECK(map.segments[3].score == 1);

  std::vector<float> confidence(20, 0.5f);
  confidence[16] = 0.75f;  // the lone pixel
  confidence[5] = 0.1f;    // of stuff
  auto const scored = panoptic_map(labels, {true, true, false}, confidence);
  CHECK(scored.segments[3].score == doctest::Approx(0.75));
  CHECK(scored.segments[2].score == doctest::Approx((0.1 + 3 * 0.5) / 4));
  auto const things = instances(scored);
  REQUIRE(things.size() == 3);
  CHECK(things[0].source == 3);
  CHECK(things[0].label == 1);
  CHECK(things[0].mask.area() == 1);
  CHECK(mask_pixels(things[0].mask)[16] == 1);
  for (std::size_t i = 1; i < 3; ++i)
    for (std::size_t p = 0; p < 20; ++p)
      CHECK(mask_pixels(things[i].mask)[p] == (scored.ids[p] == static_cast<int>(things[i].source) + 1));
}

TEST_CASE("panoptic maps from random labels: two pixels have one id just where a path joins them") {
  test::Random random(5);
  for (int trial = 0; trial < 20; ++trial) {
    LabelMap labels{7, 9, std::vector<std::uint16_t>(63)};
    for (auto& label : labels.labels) label = static_cast<std::uint16_t>(random.below(3));
    auto const map = panoptic_map(labels, {true, true, false});
    // Components by spreading the smallest number until nothing changes.
    std::vector<std::size_t> root(63);
    for (std::size_t i = 0; i < 63; ++i) root[i] = i;
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < 63; ++i)
        for (std::size_t j = 0; j < 63; ++j) {
          long const dy = static_cast<long>(i / 9) - static_cast<long>(j / 9),
                     dx = static_cast<long>(i % 9) - static_cast<long>(j % 9);
          bool const joined = labels.labels[i] == labels.labels[j] &&
                              (labels.labels[i] == 2 || (std::abs(dy) <= 1 && std::abs(dx) <= 1));
          if (joined && root[j] < root[i]) root[i] = root[j], changed = true;
        }
    }
    for (std::size_t i = 0; i < 63; ++i)
      for (std::size_t j = 0; j < 63; ++j) CHECK((root[i] == root[j]) == (map.ids[i] == map.ids[j]));
  }
}

TEST_CASE("run-length masks: column by column, the first run outside") {
  auto const mask = run_length_mask(2, 3, [](std::size_t y, std::size_t x) { return (y == 0 && x == 0) || x == 2; });
  CHECK(mask.runs == std::vector<std::uint32_t>{0, 1, 3, 2});
  CHECK(mask.area() == 3);
  CHECK(mask_pixels(mask) == std::vector<std::uint8_t>{1, 0, 1, 0, 0, 1});
  auto const empty = run_length_mask(2, 2, [](std::size_t, std::size_t) { return false; });
  CHECK(empty.runs == std::vector<std::uint32_t>{4});
  CHECK(empty.area() == 0);
  CHECK(mask_pixels({2, 2, {1, 100}}) == std::vector<std::uint8_t>{0, 1, 1, 1});
}

TEST_CASE("outputs that do not fit are refused") {
  Context<> const context;
  auto const refusal = [](auto const& f) { return message_of<ShapeError>(f); };
  auto const set = mask_set(context, "stuff_merged");  // 4 masks, 4 classes
  CHECK(refusal([&] { panoptic_map(context, set, {true}); }) == "[panoptic_map] is_thing is 1, expected 4");
  CHECK(refusal([&] { instances(context, set, {100, Flags{true}}); }) == "[instances] is_thing is 1, expected 4");
  MaskSet<Memory> const fewer{set.class_logits.slice(0, 3), set.masks};
  CHECK(refusal([&] { instances(context, fewer); }) ==
        "[instances] the number of rows of class_logits is 3, expected 4");
  MaskSet<Memory> const no_class{test::random_tensor(context, 1, 1, std::size_t{4}, std::size_t{1}), set.masks};
  CHECK(refusal([&] { MaskClassMaps(context, no_class); }) ==
        "[MaskClassMaps] class_logits has 1 columns, expected one per class and void");
  CHECK(refusal([&] {
          resize_masks(context, set, {20, 16, 12, 16}, 5, 5);
        }) == "[resize_masks] a picture of 20 x 16 in 12 x 16 with its padding");
  ClassMaps const maps(
      test::random_tensor(context, 1, 1, std::size_t{2}, std::size_t{3}, std::size_t{3}, std::size_t{1}));
  CHECK(refusal([&] { choose_labels(context, maps, 0, 3); }) == "[choose_labels] the picture is empty");
  CHECK(refusal([&] { choose_labels(context, maps, 3, 3, 1); }) ==
        "[choose_labels] scores of 1 classes are to be kept, but there is a map of class 1");
  ClassMaps const none(context.tensor<float>(0, 3, 3, 1));
  CHECK(refusal([&] { choose_labels(context, none, 3, 3); }) == "[choose_labels] there is nothing to choose from");
  auto const labels = label_map({"02"});
  CHECK(refusal([&] { panoptic_map(labels, {true, false}); }) == "[panoptic_map] label 2 is none of 2 classes");
  std::vector<float> const confidence(3, 1.0f);
  CHECK(refusal([&] {
          panoptic_map(labels, {true, false, false}, confidence);
        }) == "[panoptic_map] there are 3 confidences for 2 pixels");
  CHECK(refusal([&] {
          panoptic_map(LabelMap{2, 2, {0}}, {true});
        }) == "[panoptic_map] the number of labels is 1, expected 4");
}
