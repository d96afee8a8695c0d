// SPDX-License-Identifier: Apache-2.0
// What CAT-Seg's paper claims, in miniature: variants of the head and of fine-tuning, trained equally long from the
// same CLIP on the seen classes of the scenes, scored on seen and unseen ones.

#include <CLI/CLI.hpp>
#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "heads.hpp"
#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts/cat_seg.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/drawing/curves.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/result.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"
#include "kovos/segmentation/sliding_window.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/training/initialization.hpp"
#include "kovos/training/tasks.hpp"
#include "kovos/training/trainer.hpp"

namespace {

using namespace kovos;

/// The default model at the resolution at which its CLIP began, which makes the runs short.
constexpr CatSegConfig config = [] {
  auto c = cat_seg_scenes;
  c.clip_resolution = c.clip.vision.image_size;
  c.window_size = 4;
  c.shift_size = 2;
  c.test.short_edge = c.test.canvas = c.test.window = c.test.stride = c.clip_resolution;
  return c;
}();
using Memory = Context<>::memory_space;
using CostNetwork = bench::NetworkWith<config, bench::CostHead<config, Memory>, Memory>;
using FeatureNetwork = bench::NetworkWith<config, bench::FeatureHead<config, Memory>, Memory>;

struct Variant {
  std::string name, text, fine_tuning;
  bool cost, spatial, by_class;
};

std::vector<Variant> const variants{
    {"full", "cost aggregation, spatial and class; q, v fine-tuned (CAT-Seg)", "attention", true, true, true},
    {"feature", "feature aggregation; q, v fine-tuned", "attention", false, true, false},
    {"no_aggregation", "cost volume and decoder only", "attention", true, false, false},
    {"spatial", "spatial aggregation only", "attention", true, true, false},
    {"class", "class aggregation only", "attention", true, false, true},
    {"frozen", "CLIP frozen", "frozen", true, true, true},
    {"all_of_clip", "CLIP fine-tuned in full", "full", true, true, true},
};

struct Settings {
  std::string clip, output = "build/claims";
  std::size_t steps = 300, seeds = 3, evaluations = 3;
  std::vector<std::string> only;
  bool report_only = false;
};

struct Score {
  std::size_t step = 0;
  double seen = 0, unseen = 0;
};

std::vector<std::string> class_names() {
  std::vector<std::string> names;
  for (auto const& entry : scene_classes()) names.push_back(entry.name);
  return names;
}

std::vector<std::size_t> seen_classes() {
  std::vector<std::size_t> seen;
  for (std::size_t i = 0; i < scene_classes().size(); ++i)
    if (scene_classes()[i].seen) seen.push_back(i);
  return seen;
}

/// mIoU over the benchmark's pictures. logits_of(context, view, words) -> [T, h, w].
template <class Network, class Logits>
Score evaluate(Context<> const& context, Network const& network, Tokenizer const& tokenizer,
               TrainingConfig const& training, std::size_t pictures, Logits const& logits_of) {
  auto const names = class_names();
  std::vector<std::vector<std::int32_t>> prompts;
  for (auto const& name : names)
    prompts.push_back(
        tokenizer.encode_prompt(in_template(training.class_template, name), config.clip.text.context_length));
  auto const encoded = l2_normalize(
      context, network.clip_model.text.encode(context, std::span<std::vector<std::int32_t> const>(prompts)));
  auto const words = encoded.reshape(dynamic_extents<3>(names.size(), 1, encoded.extent(1)));
  std::size_t const side = config.clip_resolution;
  ConfusionMatrix matrix(names.size());
  for (std::size_t i = 0; i < pictures; ++i) {
    auto const scene = benchmark_scene(i, side);
    auto const picture = cut_views(context, image_tensor(context, scene.image), WindowMode::whole, config.test, side);
    auto const views = network.image_features(context, picture.pixels, words);
    auto const logits = logits_of(context, views, words);
    auto const coarse = logits.reshape(dynamic_extents<4>(names.size(), logits.extent(1), logits.extent(2), 1));
    auto const scores = to_host(context, resize_bilinear(context, coarse, side, side));
    LabelMap labels{side, side, std::vector<std::uint16_t>(side * side, 0)};
    for (std::size_t p = 0; p < side * side; ++p)
      for (std::size_t c = 1; c < names.size(); ++c)
        if (scores.data()[c * side * side + p] > scores.data()[labels.labels[p] * side * side + p])
          labels.labels[p] = static_cast<std::uint16_t>(c);
    matrix.add(labels, scene.labels);
  }
  auto const seen = seen_classes();
  auto const metrics = seen_unseen_metrics(matrix, seen);
  return {0, metrics.seen.mean_iou, metrics.unseen.mean_iou};
}

TensorBytes scalar(float value, std::size_t rank) {
  auto const owner = std::make_shared<float>(value);
  TensorBytes tensor;
  tensor.shape.assign(rank, 1);
  tensor.bytes = std::as_bytes(std::span<float const>(owner.get(), 1));
  tensor.owner = owner;
  return tensor;
}

/// The common CLIP; the head from the seed.
template <class Network>
void load_start(Context<> const& context, Network& network, NamedTensors const& clip, std::uint64_t seed) {
  NamedTensors start;
  start.source = clip.source;
  for (auto const& [name, tensor] : clip.tensors) start.tensors[std::string(cat_seg_clip_prefix) + name] = tensor;
  if constexpr (std::is_same_v<Network, FeatureNetwork>) {  // a random sign would not do
    start.tensors["sem_seg_head.predictor.transformer.cosine.weight"] = scalar(10, 2);
    start.tensors["sem_seg_head.predictor.transformer.cosine.bias"] = scalar(-5, 1);
  }
  auto const report = load_parameters(context, network, start);
  require<CheckpointError>(
      report.mismatched.empty() && !report.matched.empty(), clip.source,
      ": not the CLIP that `kovos train --config weights/clip_96.json` makes: ", report.to_string());
  initialize(context, network, seed);
}

template <class Network>
std::vector<Score> run(Settings const& settings, Variant const& variant, NamedTensors const& clip, std::uint64_t seed) {
  TrainingConfig training;
  training.model = std::string(preset_name<cat_seg_scenes>);
  training.fine_tuning = variant.fine_tuning;
  training.steps = settings.steps;
  training.classes_per_step = 24;
  training.learning_rate = 1e-3;
  training.clip_multiplier = 0.1;
  training.max_gradient_norm = 1;
  training.warmup_steps = settings.steps / 20;
  training.end_factor = 0.01;
  training.seed = seed;

  Context<> const context;
  Network network;
  if constexpr (std::is_same_v<Network, CostNetwork>) {
    for (auto& layer : network.transformer.layers) {
      layer.swin_block.on = variant.spatial;
      layer.attention.on = variant.by_class;
    }
  }
  load_start(context, network, clip, seed);
  Tokenizer const tokenizer(find_vocabulary(clip, clip.source, std::nullopt));
  auto const source = [seed](std::size_t position) {
    auto scene = split_scene(training_scenes, (seed << 40) + position, config.clip_resolution);
    return SegmentationSample{std::move(scene.image), std::move(scene.labels), {}};
  };
  CatSegTask<config, float, Context<>::execution_space, Network> task(network, tokenizer, class_names(), seen_classes(),
                                                                      source, training);
  Trainer<decltype(task)> trainer(context, task, training);
  auto const logits = [&](Context<> const& c, ImageFeatures<Memory> const& view,
                          DynamicTensor<float, 3, Memory> const& words) {
    return network.transformer(c, view, words).front().logits;
  };
  std::vector<Score> scores;
  double loss = 0;
  while (!trainer.finished()) {
    auto const step = trainer.step();
    loss += step.loss;
    std::size_t const part = std::max<std::size_t>(1, settings.steps / settings.evaluations);
    if (step.step % part != 0 && !trainer.finished()) continue;
    auto score = evaluate(context, network, tokenizer, training,
                          trainer.finished() ? benchmark_scenes.count : benchmark_scenes.count / 4, logits);
    score.step = step.step;
    std::fprintf(stderr, "%-14s seed %llu  step %4zu  loss %.4f  mIoU seen %4.1f  unseen %4.1f\n", variant.name.c_str(),
                 static_cast<unsigned long long>(seed), step.step, loss / static_cast<double>(part), 100 * score.seen,
                 100 * score.unseen);
    loss = 0;
    scores.push_back(score);
  }
  return scores;
}

nlohmann::json to_json(std::vector<Score> const& scores) {
  nlohmann::json list = nlohmann::json::array();
  for (auto const& score : scores)
    list.push_back({{"step", score.step}, {"seen", score.seen}, {"unseen", score.unseen}});
  return list;
}

struct Spread {
  double mean = 0, deviation = 0;
};

Spread spread(std::vector<double> const& values) {
  Spread s;
  for (double const v : values) s.mean += v / static_cast<double>(values.size());
  for (double const v : values) s.deviation += (v - s.mean) * (v - s.mean);
  if (values.size() > 1) s.deviation = std::sqrt(s.deviation / static_cast<double>(values.size() - 1));
  return s;
}

/// The table, and mIoU over training as a picture.
void report(nlohmann::json const& results, std::filesystem::path const& picture) {
  std::printf("| variant | seen mIoU | unseen mIoU | seeds |\n| --- | --- | --- | --- |\n");
  std::vector<CurvePanel> panels{{"seen classes: mIoU", "step", {}}, {"unseen classes: mIoU", "step", {}}};
  char const* const kinds[] = {"seen", "unseen"};
  for (auto const& variant : variants) {
    if (!results.contains("runs") || !results["runs"].contains(variant.name)) continue;
    auto const& runs = results["runs"][variant.name];
    std::vector<double> last[2];
    Curve curves[2]{{variant.name, {}, {}}, {variant.name, {}, {}}};
    for (int kind = 0; kind < 2; ++kind) {
      for (auto const& run : runs) last[kind].push_back(100 * run.back()[kinds[kind]].get<double>());
      for (std::size_t i = 0; i < runs.begin()->size(); ++i) {
        double mean = 0;
        for (auto const& run : runs) mean += run[i][kinds[kind]].get<double>() / static_cast<double>(runs.size());
        curves[kind].x.push_back((*runs.begin())[i]["step"].get<double>());
        curves[kind].y.push_back(mean);
      }
      panels[static_cast<std::size_t>(kind)].curves.push_back(curves[kind]);
    }
    Spread const seen = spread(last[0]), unseen = spread(last[1]);
    std::printf("| %s | %.1f ± %.1f | %.1f ± %.1f | %zu |\n", variant.text.c_str(), seen.mean, seen.deviation,
                unseen.mean, unseen.deviation, runs.size());
  }
  auto const& raw = results["raw"];
  std::printf("| CLIP's raw cost volume, no training | %.1f | %.1f | |\n", 100 * raw["seen"].get<double>(),
              100 * raw["unseen"].get<double>());
  write_png(picture, draw_curves(panels));
}

int run_all(Settings const& settings) {
  std::filesystem::create_directories(settings.output);
  auto const file = std::filesystem::path(settings.output) / "claims.json";
  nlohmann::json results;
  if (std::filesystem::exists(file)) {
    std::ifstream(file) >> results;
    require<ConfigError>(results["steps"] == settings.steps, file.string(), " holds runs of ", results["steps"].dump(),
                         " steps; name another output folder");
  }
  results["steps"] = settings.steps;
  if (!settings.report_only) {
    auto const clip = with_canonical_names(read_checkpoint(settings.clip));
    if (!results.contains("raw")) {
      Context<> const context;
      CostNetwork network;
      load_start(context, network, clip, 0);
      auto const score = evaluate(
          context, network, Tokenizer(find_vocabulary(clip, clip.source, std::nullopt)), TrainingConfig{},
          benchmark_scenes.count,
          [](Context<> const& c, ImageFeatures<Memory> const& view, DynamicTensor<float, 3, Memory> const& words) {
            auto const cost = cost_volume(c, view.dense, words);
            return cost.reshape(dynamic_extents<3>(cost.extent(0), cost.extent(1), cost.extent(2)));
          });
      results["raw"] = {{"seen", score.seen}, {"unseen", score.unseen}};
      write_json(file, results);
    }
    for (std::size_t seed = 1; seed <= settings.seeds; ++seed)
      for (auto const& variant : variants) {
        auto const key = std::to_string(seed);
        if (!settings.only.empty() &&
            std::find(settings.only.begin(), settings.only.end(), variant.name) == settings.only.end())
          continue;
        if (results["runs"][variant.name].contains(key)) continue;
        auto const scores = variant.cost ? run<CostNetwork>(settings, variant, clip, seed)
                                         : run<FeatureNetwork>(settings, variant, clip, seed);
        results["runs"][variant.name][key] = to_json(scores);
        write_json(file, results);
      }
  }
  report(results, std::filesystem::path(settings.output) / "claims.png");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The claims of CAT-Seg's paper in miniature");
  Settings settings;
  app.add_option("--clip", settings.clip, "The CLIP that `kovos train --config weights/clip_96.json` made");
  app.add_option("--output", settings.output, "Folder; runs it already holds are not repeated")->capture_default_str();
  app.add_option("--steps", settings.steps, "Steps of each run")->capture_default_str();
  app.add_option("--seeds", settings.seeds, "Runs of each variant")->capture_default_str();
  app.add_option("--evaluations", settings.evaluations, "How often a run is scored")->capture_default_str();
  app.add_option("--only", settings.only, "Names of variants");
  app.add_flag("--report", settings.report_only, "Only print the table of the runs that are there");
  CLI11_PARSE(app, argc, argv);
  try {
    Runtime const runtime;
    return run_all(settings);
  } catch (std::exception const& error) {
    std::fprintf(stderr, "kovos_claims: %s\n", error.what());
    return 1;
  }
}
