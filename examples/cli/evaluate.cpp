// SPDX-License-Identifier: Apache-2.0
// kovos evaluate

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "command.hpp"
#include "folder.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/io/result.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"
#include "kovos/text/word_list.hpp"
#include "model.hpp"
#include "progress.hpp"

namespace kovos::cli {

namespace {

struct Arguments {
  std::string model, data = "scenes", templates = "single", window = "whole", vocabulary, output, precision = "fp32";
  std::size_t pictures = 0;
  SegmentOptions less_work;
  bool table = false, raw = false, json = false;
};

/// The pictures, what is in them, and which classes a model of ours was trained on.
struct Benchmark {
  ClassList classes;
  std::vector<std::size_t> seen;  // empty: no such distinction
  std::size_t size = 0;
  std::function<SegmentationSample(std::size_t)> load;
};

Benchmark open_benchmark(std::string const& data) {
  Benchmark benchmark;
  if (data == "scenes") {
    std::vector<std::string> names;
    for (auto const& entry : scene_classes()) {
      if (entry.seen) benchmark.seen.push_back(names.size());
      names.push_back(entry.name);
    }
    benchmark.classes = class_list(names);
    benchmark.size = benchmark_scenes.count;
    benchmark.load = [](std::size_t i) {
      auto scene = benchmark_scene(i);
      return SegmentationSample{std::move(scene.image), std::move(scene.labels), {}};
    };
    return benchmark;
  }
  auto const folder = std::make_shared<SegmentationFolder>(open_folder(data, DatasetSplit::validation));
  benchmark.classes = folder->class_names().empty() ? parse_classes(std::string(folder->benchmark()))
                                                    : class_list(folder->class_names());
  benchmark.size = folder->size();
  benchmark.load = [folder](std::size_t i) { return folder->load(i); };
  return benchmark;
}

nlohmann::ordered_json scores(SegmentationMetrics const& m) {
  auto const number = [](double x) { return std::isnan(x) ? nlohmann::ordered_json() : nlohmann::ordered_json(x); };
  return {{"classes", m.present_classes},
          {"mean_iou", number(m.mean_iou)},
          {"frequency_weighted_iou", number(m.frequency_weighted_iou)},
          {"mean_accuracy", number(m.mean_accuracy)},
          {"pixel_accuracy", number(m.pixel_accuracy)},
          {"zero_iou_share", number(m.zero_iou_share)}};
}

void print_scores(char const* title, SegmentationMetrics const& m) {
  std::printf("%-8s %3zu classes  mIoU %5.1f  fwIoU %5.1f  mAcc %5.1f  pAcc %5.1f  IoU 0: %4.1f %%\n", title,
              m.present_classes, 100 * m.mean_iou, 100 * m.frequency_weighted_iou, 100 * m.mean_accuracy,
              100 * m.pixel_accuracy, 100 * m.zero_iou_share);
}

int run(Arguments const& a) {
  auto const benchmark = open_benchmark(a.data);
  auto const model = load_model(a.model, a.vocabulary, a.precision);
  auto const words = model.encode(benchmark.classes, prompt_templates(a.templates));
  SegmentOptions options = a.less_work;
  options.window = a.window == "whole" ? WindowMode::whole : WindowMode::sliding;
  options.raw_cost_volume = a.raw;
  ConfusionMatrix matrix(benchmark.classes.size());
  std::size_t const count = a.pictures == 0 ? benchmark.size : std::min(a.pictures, benchmark.size);
  Progress progress(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto const sample = benchmark.load(i);
    progress.show(i, sample.name);
    matrix.add(model.segment(sample.image, words, options).labels, sample.labels);
  }
  progress.clear();

  auto const all = segmentation_metrics(matrix);
  nlohmann::ordered_json json{{"model", a.model}, {"data", a.data}, {"pictures", count}, {"all", scores(all)}};
  std::optional<SeenUnseenMetrics> split;
  if (!benchmark.seen.empty()) {
    split = seen_unseen_metrics(matrix, benchmark.seen);
    json["seen"] = scores(split->seen);
    json["unseen"] = scores(split->unseen);
    json["harmonic_mean_iou"] = split->harmonic_mean_iou;
  }
  for (std::size_t c = 0; c < benchmark.classes.size(); ++c)
    json["iou"][benchmark.classes[c].name] =
        std::isnan(all.iou[c]) ? nlohmann::ordered_json() : nlohmann::ordered_json(all.iou[c]);
  if (!a.output.empty()) write_json(a.output, json);
  if (a.json) {
    std::printf("%s\n", json.dump(2).c_str());
    return done;
  }
  print_scores("all", all);
  if (split) {
    print_scores("seen", split->seen);
    print_scores("unseen", split->unseen);
    std::printf("harmonic mean of seen and unseen mIoU %.1f\n", 100 * split->harmonic_mean_iou);
  }
  if (a.table)
    for (std::size_t c = 0; c < benchmark.classes.size(); ++c) {
      bool const seen = std::find(benchmark.seen.begin(), benchmark.seen.end(), c) != benchmark.seen.end();
      std::printf("  %-28s IoU %5.1f  accuracy %5.1f%s\n", benchmark.classes[c].name.c_str(), 100 * all.iou[c],
                  100 * all.accuracy[c], benchmark.seen.empty() || seen ? "" : "  unseen");
    }
  return done;
}

}  // namespace

void add_evaluate(CLI::App& app, Machine& machine, Action& action) {
  auto a = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("evaluate", "Score a model on labelled pictures: mIoU and its kin");
  command->add_option("--model", a->model, "CAT-Seg checkpoint (default: the embedded model)");
  command
      ->add_option("--data", a->data,
                   "scenes, or a folder with images, annotations and classes.txt, ADE20K, COCO-Stuff")
      ->capture_default_str();
  command->add_option("--pictures", a->pictures, "Only the first of them");
  command->add_option("--templates", a->templates, "Prompt template set")->capture_default_str();
  command->add_option("--window", a->window, "How the picture is shown to the network")
      ->capture_default_str()
      ->check(CLI::IsMember({"whole", "sliding"}));
  command
      ->add_option("--precision", a->precision,
                   "bf16: the image encoder's weights and all products, where the machine has them")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  add_less_work_options(*command, a->less_work);
  command->add_option("--vocabulary", a->vocabulary, "CLIP's vocabulary, if not beside the weights or in $KOVOS_HOME");
  command->add_option("--output", a->output, "Also write the scores as JSON to this file");
  command->add_flag("--raw-cost-volume", a->raw, "Score CLIP's cosines themselves, without CAT-Seg's head");
  command->add_flag("--table", a->table, "Also print every class");
  command->add_flag("--json", a->json, "Print JSON on standard output");
  add_machine_options(*command, machine);
  command->callback([a, &action] { action = [a] { return run(*a); }; });
}

}  // namespace kovos::cli
