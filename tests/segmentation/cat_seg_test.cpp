// SPDX-License-Identifier: Apache-2.0
// CatSeg as a user holds it, with a configuration no preset has, from every container the model is published in.

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "kovos/clip/preprocess.hpp"
#include "kovos/clip/zero_shot.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "kovos/segmentation/cat_seg.hpp"
#include "support/tools_probe.hpp"

namespace {

using namespace kovos;
using Exec = Kokkos::DefaultExecutionSpace;

constexpr CatSegConfig tiny{
    .clip = {.embed_dim = 12,
             .vision = {.image_size = 16, .patch_size = 4, .width = 16, .layers = 3, .heads = 2},
             .text = {.vocabulary_size = 554, .width = 8, .layers = 1, .heads = 2}},
    .clip_resolution = 24,
    .hooked_blocks = {0, 1},
    .decoder_guidance_dims = {8, 4},
    .decoder_guidance_proj_dims = {4, 4},
    .decoder_dims = {16, 16},
    .hidden_dim = 8,
    .num_heads = 2,
    .window_size = 3,
    .shift_size = 1,
    .appearance_guidance_dim = 4,
    .text_guidance_dim = 6,
    .test = {.short_edge = 40, .longest_edge = 160, .canvas = 40, .window = 24, .stride = 16, .size_divisibility = 4}};

std::filesystem::path data() { return std::filesystem::path(KOVOS_TEST_DATA) / "checkpoints"; }

CatSeg<tiny> load(char const* name = "tiny.safetensors") { return CatSeg<tiny>::load(data() / name); }

NamedTensors const& expected() {
  static auto const file = read_checkpoint(data() / "tiny_expected.safetensors");
  return file;
}

Image picture() {
  auto const& tensor = expected().tensors.at("image");
  Image image{tensor.shape[0], tensor.shape[1], std::vector<std::uint8_t>(tensor.bytes.size())};
  std::transform(tensor.bytes.begin(), tensor.bytes.end(), image.pixels.begin(),
                 [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return image;
}

/// The largest difference to a recorded map of every third row and column.
float error_of(Segmentation const& result, char const* name) {
  auto const values = to_float(expected().tensors.at(name));
  auto const& shape = expected().tensors.at(name).shape;
  float worst = 0;
  for (std::size_t t = 0; t < shape[0]; ++t)
    for (std::size_t y = 0; y < shape[1]; ++y)
      for (std::size_t x = 0; x < shape[2]; ++x) {
        float const d = std::fabs(result.scores(t, 3 * y, 3 * x) - values[(t * shape[1] + y) * shape[2] + x]);
        if (!(d <= worst)) worst = std::isnan(d) ? INFINITY : d;
      }
  return worst;
}

std::filesystem::path fresh_folder() {
  static int number = 0;
  auto const path = std::filesystem::temp_directory_path() /
                    ("kovos_cat_seg_" + std::to_string(getpid()) + "_" + std::to_string(number++));
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace

TEST_CASE("every container gives the recorded probabilities, whole and sliding") {
  // The recorded picture is 40 x 52: its short edge is 40 already, so that nothing is resized before the network.
  for (auto const* name :
       {"tiny.safetensors", "tiny_zip.pth", "tiny_legacy.pth", "tiny_statedict.pth", "tiny_trainer.pth"}) {
    CAPTURE(name);
    auto const model = load(name);
    auto const words = model.encode(ClassList{{"cat", {"cat"}}, {"stone wall", {"stone wall"}}, {"sky", {"sky"}}});
    auto const text = to_float(expected().tensors.at("text"));
    auto const features = to_host(model.context(), words.features);
    for (std::size_t i = 0; i < text.size(); ++i) CHECK(std::fabs(features.data()[i] - text[i]) <= 1e-6f);
    SegmentOptions options;
    options.keep_scores = true;
    CHECK(error_of(model.segment(picture(), words, options), "sliding") <= 1e-5f);
    options.window = WindowMode::whole;
    CHECK(error_of(model.segment(picture(), words, options), "whole") <= 1e-5f);
  }
}

TEST_CASE("scores on the grid are those that are resized to the picture's size and compared") {
  auto const model = load();
  auto const words = model.encode({"cat", "wall", "sky"});
  for (auto const mode : {WindowMode::whole, WindowMode::sliding})
    for (std::size_t const most : {0, 2}) {
      SegmentOptions options;
      options.window = mode;
      options.most_classes = most;
      options.keep_scores = true;
      auto const result = model.segment(picture(), words, options);
      auto const grid = model.grid_scores(picture(), words, options);
      CHECK(grid.extent(0) == 3);
      auto const resized = to_host(model.context(), resize_bilinear(model.context(), grid, 40, 52));
      CHECK(std::equal(resized.data(), resized.data() + resized.size(), result.scores.data()));
    }
}

TEST_CASE("labels, confidence, areas and scores belong together") {
  auto const model = load();
  auto const words = model.encode({"cat", "wall", "sky"});
  SegmentOptions options;
  options.keep_scores = true;
  auto const result = model.segment(picture(), words, options);
  CHECK(result.labels.height == 40);
  CHECK(result.labels.width == 52);
  CHECK(result.names == std::vector<std::string>{"cat", "wall", "sky"});
  std::vector<double> count(3, 0), confidence(3, 0);
  for (std::size_t y = 0; y < 40; ++y)
    for (std::size_t x = 0; x < 52; ++x) {
      std::size_t const label = result.labels(y, x);
      REQUIRE(label < 3);
      for (std::size_t t = 0; t < 3; ++t) CHECK(result.scores(label, y, x) >= result.scores(t, y, x));
      CHECK(result.confidence[y * 52 + x] == result.scores(label, y, x));
      count[label] += 1;
      confidence[label] += static_cast<double>(result.scores(label, y, x));
    }
  for (std::size_t t = 0; t < 3; ++t) {
    CHECK(result.area[t] == doctest::Approx(count[t] / (40 * 52)));
    CHECK(result.mean_confidence[t] == doctest::Approx(count[t] > 0 ? confidence[t] / count[t] : 0));
  }
  CHECK(result.unknown_area == 0);
}

TEST_CASE("stage times are taken where they are asked for; nothing else differs") {
  auto const model = load();
  auto const words = model.encode({"cat", "wall", "sky"});
  SegmentOptions options;
  options.keep_scores = true;
  options.views_at_once = 1;
  (void)model.segment(picture(), words, options);  // what is packed or allocated is there then
  auto const run = [&](bool timed) {
    options.time_stages = timed;
    kovos::test::ToolsProbe probe;
    auto result = model.segment(picture(), words, options);
    return std::tuple(std::move(result), probe.kernels, probe.fences.size());
  };
  auto const [plain, plain_kernels, plain_fences] = run(false);
  auto const [timed, timed_kernels, timed_fences] = run(true);
  CHECK(plain.times.stages().empty());
  std::vector<std::string> stages;
  for (auto const& [stage, seconds] : timed.times.stages()) {
    stages.push_back(stage);
    CHECK(seconds > 0);
  }
  // Class aggregation comes early because of what it takes from the words, for all views.
  CHECK(stages == std::vector<std::string>{"preprocessing", "image encoder", "class aggregation", "cost volume",
                                           "cost embedding", "guidance", "spatial aggregation", "decoder", "labels"});
  CHECK(timed_kernels == plain_kernels);
  // Five views, of which each goes through four stages and two layers of two.
  CHECK(timed_fences == plain_fences + 4 + 5 * (4 + 2 * 2));
  CHECK(timed.labels.labels == plain.labels.labels);
  CHECK(timed.confidence == plain.confidence);
  for (std::size_t i = 0; i < plain.scores.size(); ++i) REQUIRE(timed.scores.data()[i] == plain.scores.data()[i]);
}

#ifdef KOVOS_HOST_ENGINE
TEST_CASE("every way into a context packs each weight once") {
  using Host = Kokkos::DefaultHostExecutionSpace;
  using Model = CatSeg<tiny, float, Host>;
  auto const names = {"cat", "wall", "sky"};
  // How often something was packed to be kept by the first picture and its words, and by the second.
  auto const packings = [&](Model const& model) {
    auto const run = [&] {
      auto const before = model.context().packed().made();
      (void)model.segment(picture(), model.encode(names));
      return model.context().packed().made() - before;
    };
    std::size_t const first = run();
    return std::pair(first, run());
  };
  EmbeddingCache const nothing_kept{std::filesystem::path()};
  auto const file = with_canonical_names(read_checkpoint(data() / "tiny.safetensors"));
  auto const vocabulary = find_vocabulary(file, data() / "tiny.safetensors");
  auto const loaded = Model::from_tensors(file, vocabulary, {}, nothing_kept);
  auto const [first, second] = packings(loaded);
  CHECK(first > 30);
  CHECK(second == 0);
  auto const expected = std::pair(first, second);
  CHECK(packings(Model::load(data() / "tiny.safetensors", {}, {}, nothing_kept)) == expected);
  CHECK(packings(loaded.with_context(Context<Host>())) == expected);
  CHECK(packings(loaded.with_context(Context<Host>()).with_context(Context<Host>())) == expected);
  CHECK(packings(Model(loaded.network(), loaded.tokenizer(), {}, nothing_kept)) == expected);
}
#endif

TEST_CASE("unknown and background") {
  auto const model = load();
  auto const words = model.encode({"cat", "wall", "sky"});
  auto const plain = model.segment(picture(), words);
  SegmentOptions options;
  options.unknown = 1.0f;
  auto const nothing = model.segment(picture(), words, options);
  CHECK(nothing.unknown_area == 1);
  CHECK(nothing.labels(3, 3) == LabelMap::unknown);
  options.unknown = 0.0f;
  CHECK(model.segment(picture(), words, options).labels.labels == plain.labels.labels);
  SegmentOptions background;
  background.background_from = 1;
  auto const folded = model.segment(picture(), words, background);
  CHECK(folded.names == std::vector<std::string>{"cat", "background"});
  CHECK(folded.area[0] == plain.area[0]);
  CHECK(folded.area[1] == doctest::Approx(plain.area[1] + plain.area[2]));
  background.background_from = 3;
  CHECK_THROWS_WITH_AS((void)model.segment(picture(), words, background), doctest::Contains("background_from is 3"),
                       ConfigError);
}

TEST_CASE("synonyms are averaged and order does not matter") {
  auto const model = load();
  auto const encode = [&](ClassList const& classes) {
    return to_host(model.context(), model.encode(classes).features);
  };
  auto const one = encode(ClassList{{"cat", {"cat", "kitten"}}});
  auto const two = encode(ClassList{{"cat", {"kitten", "cat"}}});
  auto const single = encode(ClassList{{"cat", {"cat"}}});
  float difference = 0, length = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(std::fabs(one.data()[i] - two.data()[i]) <= 1e-6f);
    difference += std::fabs(one.data()[i] - single.data()[i]);
    length += one.data()[i] * one.data()[i];
  }
  CHECK(difference > 1e-3f);
  CHECK(length == doctest::Approx(1));
}

TEST_CASE("odd pictures") {
  auto const model = load();
  auto const words = model.encode({"cat", "sky"});
  for (auto const& [height, width] : std::vector<std::pair<std::size_t, std::size_t>>{{1, 1}, {1, 10000}, {700, 2}}) {
    Image image{height, width, std::vector<std::uint8_t>(height * width * 3, 90)};
    for (auto const mode : {WindowMode::whole, WindowMode::sliding}) {
      SegmentOptions options;
      options.window = mode;
      auto const result = model.segment(image, words, options);
      CHECK(result.labels.labels.size() == height * width);
      for (auto const c : result.confidence) REQUIRE(std::isfinite(c));
    }
  }
  CHECK_THROWS_WITH_AS((void)model.segment(Image{}, words), doctest::Contains("picture is empty"), ShapeError);
}

TEST_CASE("a second picture of the same size allocates nothing") {
  auto const model = load();
  auto const words = model.encode({"cat", "wall", "sky"});
  (void)model.segment(picture(), words);
  auto const before = model.context().workspace().allocations();
  (void)model.segment(picture(), words);
  CHECK(model.context().workspace().allocations() == before);
}

TEST_CASE("several callers at once, each with a context of its own, get what one alone gets") {
  auto const model = load();
  auto const words = model.encode({"cat", "dog", "sofa"});
  auto const alone = model.segment(picture(), words);
  std::vector<std::string> problems(4);
  std::vector<std::thread> callers;
  for (auto& problem : problems)
    callers.emplace_back([&] {
      try {
        auto const mine = model.with_context(Context<Exec>());
        for (int run = 0; run < 5; ++run) {
          auto const result = mine.segment(picture(), words);
          if (result.labels.labels != alone.labels.labels || result.confidence != alone.confidence)
            problem = "another result";
        }
      } catch (std::exception const& error) {
        problem = error.what();
      }
    });
  for (auto& caller : callers) caller.join();
  for (auto const& problem : problems) CHECK(problem == "");
}

TEST_CASE("more classes than the padding length are pruned, and thousands of words work") {
  auto const model = load();
  std::vector<std::string> names;
  for (int i = 0; i < 700; ++i) names.push_back("thing " + std::to_string(i));
  auto const words = model.encode(names);
  SegmentOptions options;
  options.window = WindowMode::whole;
  options.keep_scores = true;
  auto const result = model.segment(picture(), words, options);
  std::size_t absent = 0;
  for (std::size_t t = 0; t < 700; ++t) absent += result.scores(t, 0, 0) < 1e-30f;
  CHECK(absent == 700 - 256);
}

TEST_CASE("classes side by side, in turn and with the portable engine give the same; memory is found again") {
  auto const model = load();
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("thing " + std::to_string(i));
  auto const words = model.encode(names);
  SegmentOptions options;
  options.keep_scores = true;
  auto const scores = [&](Context<Exec> context) {
    auto const result = model.with_context(std::move(context)).segment(picture(), words, options).scores;
    return std::vector<float>(result.data(), result.data() + result.size());
  };
  auto const worst = [](std::vector<float> const& a, std::vector<float> const& b) {
    float most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(a[i] - b[i]));
    return most;
  };
  auto const& context = model.context();
  auto const side_by_side = scores(context);
  if constexpr (is_host_execution<Exec>) {
    auto const before = context.workspace().allocations();
    CHECK(scores(context) == side_by_side);
    CHECK(context.workspace().allocations() == before);
    CHECK(worst(scores(context.alone(0)), side_by_side) <= 1e-6f);
  }
  CHECK(worst(scores(Context<Exec>(Exec(), Engine::portable)), side_by_side) <= 1e-5f);
#ifdef KOVOS_HOST_ENGINE
  if (is_host_execution<Exec> && detail::host_bf16_kernels()) {
    auto const difference = worst(scores(context.with_precision(MatmulPrecision::bf16)), side_by_side);
    CHECK(difference > 0);
    CHECK(difference <= 0.06f);
  }
#endif
  options.window = WindowMode::whole;
  auto const computed = [&](SegmentOptions const& o) {
    auto const one_view = model.segment(picture(), words, o);
    std::size_t count = 0;
    for (std::size_t t = 0; t < names.size(); ++t) count += one_view.scores(t, 0, 0) >= 1e-30f;
    return count;
  };
  options.most_classes = 7;
  CHECK(computed(options) == 7);
  options.most_decoded = 5;
  CHECK(computed(options) == 5);
  options.most_classes = 0;
  CHECK(computed(options) == 5);
  options.layers = 3;
  CHECK_THROWS_WITH_AS((void)model.segment(picture(), words, options), doctest::Contains("the model has 2"),
                       ConfigError);
}

TEST_CASE("text embeddings are kept on disk and found again") {
  auto const folder = fresh_folder();
  auto const network = load().network();
  Tokenizer const tokenizer(find_vocabulary(data() / "tiny.safetensors"));
  CatSeg<tiny> const model(network, tokenizer, {}, EmbeddingCache(folder));
  auto const encode = [&] { return to_host(model.context(), model.encode({"cat", "sky"}).features); };
  auto const first = encode();
  std::vector<std::filesystem::path> files(std::filesystem::directory_iterator(folder), {});
  REQUIRE(files.size() == 1);
  auto const written = std::filesystem::last_write_time(files[0]);
  auto const second = encode();
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(first.data()[i] == second.data()[i]);
  CHECK(std::filesystem::last_write_time(files[0]) == written);
  (void)model.encode({"sky", "cat"});
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 2);
  // A damaged entry is as good as none.
  std::filesystem::resize_file(files[0], 20);
  auto const third = encode();
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(first.data()[i] == third.data()[i]);
  std::filesystem::remove_all(folder);
}

/// On the processor, where weights are packed.
template <class T>
void check_start_cache(MatmulPrecision precision) {
  using Host = Kokkos::DefaultHostExecutionSpace;
  using Model = CatSeg<tiny, T, Host>;
  auto const folder = fresh_folder();
  EmbeddingCache const cache(folder / "cache");
  auto const weights = folder / "weights.safetensors";
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(data() / "tiny.safetensors", weights);
  auto const start = [&](EmbeddingCache const& with) {
    return Model::load(weights, std::filesystem::path(data() / "merges.txt"), Context<Host>().with_precision(precision),
                       with);
  };
  SegmentOptions options;
  options.keep_scores = true;
  auto const scores = [&](Model const& model) {
    auto const result = model.segment(picture(), model.encode({"cat", "sky", "sofa"}), options);
    return std::vector<float>(result.scores.data(), result.scores.data() + result.scores.size());
  };
  auto const plain = start(EmbeddingCache(std::filesystem::path()));
  auto const expected = scores(plain);
  CHECK(!plain.save_packed());

  auto const first = start(cache);
  CHECK(scores(first) == expected);
  CHECK(first.context().packed().made() > 0);
  CHECK(first.save_packed());
  CHECK(!first.save_packed());
  // The weights lie elsewhere now.
  auto const second = start(cache);
  CHECK(second.network().clip_model.text.text_projection.data() !=
        first.network().clip_model.text.text_projection.data());
  CHECK(scores(second) == expected);
  CHECK(second.context().packed().made() == 0);
  CHECK(second.context().packed().bytes() == first.context().packed().bytes());
  CHECK(!second.save_packed());
  std::filesystem::remove_all(folder);
}

TEST_CASE("packed weights are kept on disk, and the next start packs nothing") {
  check_start_cache<float>(MatmulPrecision::fp32);
  check_start_cache<bf16>(MatmulPrecision::bf16);
}

TEST_CASE("what cannot be encoded is refused") {
  auto const model = load();
  CHECK_THROWS_AS((void)model.encode(std::vector<std::string>{}), TextError);
  CHECK_THROWS_AS((void)model.encode({"cat", "cat"}), TextError);
  CHECK_THROWS_AS((void)model.encode(std::vector<std::string>{"\xff"}), TextError);
  CHECK_THROWS_WITH_AS((void)model.encode(class_list({"cat"}), prompt_templates("imagenet")),
                       doctest::Contains("made for 1 prompt template, got 80"), ConfigError);
  // A vocabulary of another model has ids this one does not know.
  std::string merges = "#version: 0.2\n";
  for (char a = 'a'; a <= 'z'; ++a)
    for (char b = 'a'; b <= 'z'; ++b) merges += std::string(1, a) + " " + std::string(1, b) + "\n";
  auto const other =
      CatSeg<tiny>(model.network(), Tokenizer(Vocabulary(merges)), {}, EmbeddingCache(std::filesystem::path()));
  CHECK_THROWS_WITH_AS((void)other.encode({"zz"}), doctest::Contains("outside the model's vocabulary of 554"),
                       TextError);
}

TEST_CASE("presets are chosen by shape") {
  auto const shape = cat_seg_shape(with_canonical_names(read_checkpoint(data() / "tiny_zip.pth")));
  CHECK(shape == shape_of(tiny));
  CHECK(shape != shape_of(cat_seg_tiny));
  CHECK_THROWS_WITH_AS((void)AnyModel<>::load(data() / "tiny_zip.pth"),
                       doctest::Contains("no preset has this geometry"), CheckpointError);
  CHECK_THROWS_WITH_AS((void)AnyModel<>::load(data() / "tiny_openai.pt"), doctest::Contains("which cannot segment"),
                       CheckpointError);
  CHECK(preset_name<cat_seg_vit_b16> == "cat_seg_vit_b16");
  CHECK(preset_name<tiny> == "custom");
  CHECK(count_parameters(CatSegNetwork<cat_seg_vit_b16, float, Kokkos::HostSpace>()) == 154289378);
  CHECK(count_parameters(CatSegNetwork<cat_seg_vit_l14_336, float, Kokkos::HostSpace>()) == 433726946);
}

TEST_CASE("CLIP's preprocessing crops the centre") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  Image image{4, 8, std::vector<std::uint8_t>(4 * 8 * 3)};
  for (std::size_t x = 0; x < 8; ++x)
    for (std::size_t y = 0; y < 4; ++y)
      for (std::size_t c = 0; c < 3; ++c) image.row(y)[3 * x + c] = static_cast<std::uint8_t>(30 * x);
  auto const pixels = clip_preprocess(context, image, 4);
  for (std::size_t x = 0; x < 4; ++x)
    CHECK(pixels(0, 1, x, 0) ==
          doctest::Approx((30.0 * static_cast<double>(x + 2) / 255 - 0.48145466) / 0.26862954).epsilon(1e-5));
}
