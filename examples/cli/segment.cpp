// SPDX-License-Identifier: Apache-2.0
// kovos segment

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.hpp"
#include "kovos/core/trace.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/npy.hpp"
#include "kovos/io/result.hpp"
#include "kovos/io/trace_file.hpp"
#include "kovos/kernels/engine/select.hpp"
#include "kovos/segmentation/overlay.hpp"
#include "kovos/text/word_list.hpp"
#include "model.hpp"
#include "pictures.hpp"
#include "progress.hpp"
#include "segment_native.hpp"

namespace kovos::cli {

namespace {

struct Options {
  std::string model, classes, templates = "single", window = "sliding", precision = "fp32", vocabulary, output, profile;
  std::vector<std::string> images;
  std::optional<float> unknown;
  std::size_t background_from = 0;
  SegmentOptions less_work;
  NativeOptions native;
  bool scores = false;
  bool json = false;
};

/// f() as a region of Kokkos Tools.
template <class F>
auto in_region(char const* name, F const& f) {
  Kokkos::Profiling::ScopedRegion const region(name);
  return f();
}

/// What the JSON of every picture says alike.
ResultRecord common_record(Options const& o, AnyModel<> const& model) {
  ResultRecord record;
  record.model = o.model;
  record.preset = model.preset();
  record.precision = o.precision;
  record.window = o.window;
  record.templates = o.templates;
  record.engine = engine_name(model.context());
  if (o.unknown) record.unknown_threshold = static_cast<double>(*o.unknown);
  record.threads = static_cast<std::size_t>(model.context().exec().concurrency());
  return record;
}

/// Writes the files of one picture. Whatever fails leaves none of the later ones and no partial file.
nlohmann::ordered_json write_results(Options const& o, Picture const& picture, Image const& image,
                                     AnyModel<> const& model, Segmentation const& result) {
  std::filesystem::path const folder = o.output;
  auto const file = [&](char const* suffix) { return folder / (picture.stem + suffix); };
  write_png_labels(file(".labels.png"), result.labels, result.names.size() <= 255 ? 8 : 16);
  write_overlay(file(".overlay.png"), image, result.labels, result.names);
  if (o.scores) {
    auto const& s = result.scores;
    std::size_t const shape[] = {s.extent(0), s.extent(1), s.extent(2)};
    write_npy(file(".scores.npy"), DType::f32, shape, std::as_bytes(std::span(s.data(), s.size())));
  }
  ResultRecord record = common_record(o, model);
  record.image = picture.path.string();
  record.height = result.labels.height;
  record.width = result.labels.width;
  record.names = result.names;
  record.area = result.area;
  record.mean_confidence = result.mean_confidence;
  record.unknown_area = result.unknown_area;
  record.stage_seconds = result.times.stages();
  auto json = to_json(record);
  write_json(file(".json"), json);
  return json;
}

int run(Options const& o) {
  // Everything that can be wrong with the command is found before anything is computed or written.
  check_native_options(o.native, o.window == "native");
  if (o.window == "native" && o.scores)
    throw UsageError(
        "--scores of a picture by windows are too much for a file; leave out one of --scores and --window native");
  auto const pictures = find_pictures(o.images);
  auto const classes = parse_classes(o.classes);
  auto const templates = prompt_templates(o.templates);
  SegmentOptions options = o.less_work;
  options.window = o.window == "whole" ? WindowMode::whole : WindowMode::sliding;
  options.unknown = o.unknown;
  options.keep_scores = o.scores;
  options.background_from = o.background_from;
  if (auto const* benchmark = find_benchmark(o.classes); benchmark && o.background_from == 0)
    options.background_from = benchmark->background_from.value_or(0);

  std::optional<Trace> trace;
  if (!o.profile.empty()) trace.emplace();
  auto const model = in_region("kovos::load", [&] { return load_model(o.model, o.vocabulary, o.precision); });
  auto const words = in_region("kovos::text encoder", [&] { return model.encode(classes, templates); });
  std::error_code failure;
  std::filesystem::create_directories(o.output, failure);
  require<FileError>(
      !failure && std::filesystem::is_directory(o.output), "the output folder '", o.output,
      "' cannot be made: ", failure ? failure.message() : std::string("a file of that name is in the way"));

  Progress progress(pictures.size());
  int code = done;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    progress.show(i, pictures[i].path.string());
    try {
      if (o.window == "native") {
        auto const json = in_region("kovos::segment", [&] {
          return segment_native(o.native, pictures[i], o.output, model, words, options, {}, common_record(o, model),
                                [&](std::size_t finished, std::size_t all) {
                                  progress.show(i, pictures[i].path.string() + ": window " + std::to_string(finished) +
                                                       " of " + std::to_string(all));
                                });
        });
        if (o.json) std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
        continue;
      }
      auto const image = in_region("kovos::read picture", [&] { return load(pictures[i]); });
      auto const result = in_region("kovos::segment", [&] { return model.segment(image, words, options); });
      auto const json =
          in_region("kovos::write results", [&] { return write_results(o, pictures[i], image, model, result); });
      if (o.json) std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    } catch (std::exception const& error) {
      progress.clear();
      std::fprintf(stderr, "kovos: %s\n", error.what());
      code = failed;
    }
  }
  // After the pictures, so that none of them waits for it.
  in_region("kovos::save packed weights", [&] { return model.save_packed(); });
  if (trace) write_trace(o.profile, trace->events());
  return code;
}

}  // namespace

void add_segment(CLI::App& app, Machine& machine, Action& action) {
  auto o = std::make_shared<Options>();
  auto* command = app.add_subcommand("segment", "Give every pixel of a picture one of your words");
  command->add_option("--model", o->model, "CAT-Seg checkpoint (default: the embedded model)");
  command->add_option("--image", o->images, "Pictures: files, folders, patterns, or - for standard input")->required();
  command->add_option("--classes", o->classes, "\"a,b,c\", a file (text or JSON array), or a benchmark's name")
      ->required();
  command->add_option("--output", o->output, "Folder for the results")->required();
  command->add_option("--templates", o->templates, "Prompt template set")
      ->capture_default_str()
      ->check(CLI::IsMember({"single", "photo", "imagenet", "imagenet_select", "vild", "fc_clip"}));
  command->add_option("--window", o->window, "How the picture is shown to the network")
      ->capture_default_str()
      ->check(CLI::IsMember({"whole", "sliding", "native"}));
  add_native_options(*command, o->native);
  command
      ->add_option("--precision", o->precision,
                   "bf16: the image encoder's weights and all products, where the machine has them")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->add_option("--unknown", o->unknown, "Pixels whose best score is below this stay unlabelled")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--background-from", o->background_from, "Classes from this index on count as background");
  add_less_work_options(*command, o->less_work);
  command->add_option("--vocabulary", o->vocabulary, "CLIP's vocabulary, if not beside the weights or in $KOVOS_HOME");
  command->add_flag("--scores", o->scores, "Also write the scores of every class");
  command->add_flag("--json", o->json, "Print each picture's JSON on standard output");
  command->add_option("--profile", o->profile,
                      "Write what Kokkos did when to this file, for ui.perfetto.dev or chrome://tracing");
  add_machine_options(*command, machine);
  command->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace kovos::cli
