// SPDX-License-Identifier: Apache-2.0
// A Segmenter around networks that are not CAT-Seg: one that gives class maps, one that gives masks.

#include "kovos/segmentation/segmenter.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kovos/io/safetensors.hpp"
#include "kovos/segmentation/decode/instances.hpp"
#include "kovos/segmentation/decode/panoptic.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using test::message_of;
using Exec = Kokkos::DefaultHostExecutionSpace;
using Host = Kokkos::HostSpace;

/// Encodes a prompt as how often each of six remainders occurs among its tokens.
struct ToyTextEncoder {
  static constexpr TextConfig config{.context_length = 40, .vocabulary_size = 515, .width = 6, .layers = 1, .heads = 1};
  Parameter<float, Host, 6, 6> text_projection;
  Activation activation = Activation::none;

  template <execution_context C, class Observer = Unobserved>
  DynamicTensor<float, 2> encode(C const& context, std::span<std::vector<std::int32_t> const> prompts,
                                 Observer const& = {}) const {
    auto const features = context.template tensor<float>(prompts.size(), std::size_t{6});
    fill(context, features, 0.0f);
    context.fence();
    for (std::size_t i = 0; i < prompts.size(); ++i)
      for (auto const token : prompts[i]) features(i, static_cast<std::size_t>(token % 6)) += text_projection(0, 0);
    return features;
  }
  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "text_projection", text_projection, ParameterRole::projection);
  }
};

struct ToyNetwork {
  static constexpr int config = 7;
  static constexpr std::string_view name = "Toy", preset = "toy_7", storage = "fp32", default_templates = "fc_clip";
  ToyTextEncoder text;
  Parameter<float, Host, 3> gain;

  ToyTextEncoder const& text_encoder() const { return text; }
  static NamedTensors canonical_names(NamedTensors const& file) {
    NamedTensors renamed = file;
    renamed.tensors.erase("toy.gain");
    renamed.tensors.insert_or_assign("gain", file.tensors.at("toy.gain"));
    return renamed;
  }
  template <class F>
  void visit(F& f, std::string const& prefix) const {
    text.visit(f, prefix + "text.");
    f(prefix + "gain", gain, ParameterRole::weight);
  }
};

/// The column decides: a picture of two columns, of which each has a class; the third class has no map.
struct ToyMaps : ToyNetwork {
  static constexpr RowOptions rows{Reduction::mean, TemplateUse::mean};
  static constexpr std::size_t num_templates = 0;

  template <class Context>
  ClassMaps<Host> output(Context const&, Image const& picture, EncodedWords<Host> const&, SegmentOptions const&,
                         StageTimes*) const {
    DynamicTensor<float, 4> scores(dynamic_extents<4>(2, 1, 2, 1));
    float const bright = static_cast<float>(picture.pixels[0]) / 255;
    scores(0, 0, 0, 0) = gain(0) * bright, scores(0, 0, 1, 0) = 0;
    scores(1, 0, 0, 0) = 0.25f, scores(1, 0, 1, 0) = gain(1);
    return ClassMaps<Host>(scores);
  }
};

/// A mask for each half of the picture; a mask's class is the one whose number it has, its logits those of the words.
struct ToyMasks : ToyNetwork {
  static constexpr RowOptions rows{Reduction::maximum, TemplateUse::mean};
  static constexpr std::size_t num_templates = 14;

  DynamicTensor<float, 2> void_row() const {
    DynamicTensor<float, 2> row(dynamic_extents<2>(1, 6));
    std::fill_n(row.data(), 6, 2.0f);
    return row;
  }
  template <class Exec>
  MaskSet<Host> output(Context<Exec> const& context, Image const&, EncodedWords<Host> const& words,
                       SegmentOptions const&, StageTimes*) const {
    DynamicTensor<float, 2> rows_of(dynamic_extents<2>(2, words.rows()));
    std::fill_n(rows_of.data(), rows_of.size(), 0.0f);
    rows_of(0, 1) = 5;  // the second word of the first class
    rows_of(1, 2) = 5;  // the second class
    DynamicTensor<float, 3> masks(dynamic_extents<3>(2, 1, 2));
    masks(0, 0, 0) = masks(1, 0, 1) = 4;
    masks(0, 0, 1) = masks(1, 0, 0) = -4;
    return {class_scores(context, rows_of, words), masks};
  }
};

static_assert(segmenter_network<ToyMaps, Exec> && segmenter_network<ToyMasks, Exec>);

NamedTensors toy_weights() {
  static float const projection[36] = {1};
  static float const gain[3] = {0.75f, 0.5f, 0};
  NamedTensors file;
  file.source = "toy.safetensors";
  file.tensors["text.text_projection"] = {DType::f32, {6, 6}, std::as_bytes(std::span(projection)), nullptr};
  file.tensors["gain"] = {DType::f32, {3}, std::as_bytes(std::span(gain)), nullptr};
  return file;
}

template <class Network>
Segmenter<Network, Exec> toy(EmbeddingCache cache = EmbeddingCache(std::filesystem::path())) {
  return Segmenter<Network, Exec>::from_tensors(toy_weights(), Vocabulary("a b\n"), {}, std::move(cache));
}

Image picture(std::size_t height, std::size_t width) {
  return {height, width, std::vector<std::uint8_t>(height * width * 3, 255)};
}

ClassList const classes{{"cat", {"cat", "kitten"}}, {"dog", {"dog"}}, {"sky", {"sky"}}};

}  // namespace

TEST_CASE("a network that gives class maps") {
  auto const model = toy<ToyMaps>();
  CHECK(model.config == 7);
  auto const words = model.encode(classes, {"a {}"});
  CHECK(one_row_per_class(words));
  CHECK(test::shape(words.features) == std::vector<std::size_t>{3, 1, 6});
  CHECK(test::shape(model.encode({"cat", "dog"}).features) == std::vector<std::size_t>{2, 1, 6});
  SegmentOptions options;
  options.keep_scores = true;
  options.time_stages = true;
  auto const result = model.segment(picture(2, 4), words, options);
  CHECK(result.names == std::vector<std::string>{"cat", "dog", "sky"});
  CHECK(result.labels.labels == std::vector<std::uint16_t>{0, 0, 1, 1, 0, 0, 1, 1});
  CHECK(result.confidence[0] == 0.75f);
  CHECK(result.confidence[3] == 0.5f);
  CHECK(result.area == std::vector<double>{0.5, 0.5, 0});
  CHECK(result.scores(0, 1, 0) == 0.75f);
  CHECK(result.scores(2, 1, 0) == 0);
  CHECK(result.times.stages().size() == 1);
  options.unknown = 0.6f;
  CHECK(model.segment(picture(2, 4), words, options).labels.labels[3] == LabelMap::unknown);
  auto const scores = model.grid_scores(picture(2, 4), words);
  CHECK(test::values(scores) == test::Values{0.75, 0, 0.25, 0.5, 0, 0});
  CHECK(model.with_context({}).network().gain.data() == model.network().gain.data());
  CHECK(!model.save_packed());
}

TEST_CASE("a network that gives masks") {
  auto const model = toy<ToyMasks>();
  auto const words = model.encode(classes);
  CHECK(words.has_void);
  CHECK(words.rows() == 5);
  CHECK(words.owner == std::vector<std::int32_t>{0, 0, 1, 2});
  for (std::size_t d = 0; d < 6; ++d) CHECK(words.features(4, 0, d) == doctest::Approx(0.408248));
  auto const result = model.segment(picture(2, 4), words);
  CHECK(result.labels.labels == std::vector<std::uint16_t>{0, 0, 1, 1, 0, 0, 1, 1});
  CHECK(result.confidence[0] == doctest::Approx(0.9623).epsilon(0.001));  // e^5 / (e^5 + 3) sigmoid(4), and little more
  CHECK(test::shape(model.grid_scores(picture(2, 4), words)) == std::vector<std::size_t>{3, 1, 2, 1});

  // The decoders take what it says as it is.
  auto const said = resize_masks(model.context(), model.output(picture(2, 4), words), {1, 2, 1, 2}, 2, 4);
  auto const map = panoptic_map(model.context(), said, {true, false, false});
  CHECK(std::vector<int>(map.ids.begin(), map.ids.end()) == std::vector<int>{1, 1, 2, 2, 1, 1, 2, 2});
  CHECK(map.segments.at(1).label == 1);
  auto const found = instances(model.context(), said);
  CHECK(found.size() == 6);
  CHECK(found[0].score > 0.9);
}

TEST_CASE("what a Segmenter refuses names its network") {
  auto const model = toy<ToyMasks>();
  auto const words = model.encode(classes);
  CHECK(message_of<ConfigError>([&] { (void)model.encode(classes, {"a {}"}); }) ==
        "[Toy] the model was made for 14 prompt templates, got 1; choose another template set");
  CHECK(message_of<TextError>([&] { (void)model.segment(picture(2, 4), {}); }) ==
        "[Toy] there are no words to look for");
  CHECK(message_of<ShapeError>([&] { (void)model.segment({}, words); }) == "[Toy] the picture is empty");
  CHECK(message_of<ShapeError>([&] { (void)model.grid_scores({}, words); }) == "[Toy] the picture is empty");
  auto file = toy_weights();
  file.tensors.erase("gain");
  CHECK(message_of<CheckpointError>([&] {
          (void)Segmenter<ToyMaps, Exec>::from_tensors(file, Vocabulary("a b\n"));
        }).starts_with("toy.safetensors: the keys do not fit toy_7"));
}

TEST_CASE("words of any network are kept on disk and found again") {
  auto const folder = std::filesystem::temp_directory_path() / ("kovos_segmenter_" + std::to_string(::getpid()));
  auto const count = [&] { return std::distance(std::filesystem::directory_iterator(folder), {}); };
  auto const first = toy<ToyMasks>(EmbeddingCache(folder)).encode(classes);
  CHECK(count() == 1);
  auto const second = toy<ToyMasks>(EmbeddingCache(folder)).encode(classes);
  CHECK(count() == 1);
  CHECK(test::values(first.features) == test::values(second.features));
  CHECK(second.has_void);
  (void)toy<ToyMaps>(EmbeddingCache(folder)).encode(classes);
  CHECK(count() == 2);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a network is loaded from a file, and starts again from what was packed") {
  auto const folder = std::filesystem::temp_directory_path() / ("kovos_segmenter_file_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  auto file = toy_weights();
  file.tensors["toy.gain"] = file.tensors.at("gain");
  file.tensors.erase("gain");
  write_safetensors(folder / "toy.safetensors", file);
  std::filesystem::copy_file(std::string(KOVOS_TEST_DATA) + "/checkpoints/merges.txt", folder / "merges.txt");
  auto const start = [&] {
    return Segmenter<ToyMaps, Exec>::load(folder / "toy.safetensors", {}, {}, EmbeddingCache(folder / "cache"));
  };
  auto const first = start();
  auto const labels = first.segment(picture(2, 4), first.encode(classes)).labels.labels;
  CHECK(labels == std::vector<std::uint16_t>{0, 0, 1, 1, 0, 0, 1, 1});
  CHECK(first.save_packed());
  auto const second = start();
  CHECK(second.segment(picture(2, 4), second.encode(classes)).labels.labels == labels);
  CHECK(!second.save_packed());
  std::filesystem::remove_all(folder);
}
