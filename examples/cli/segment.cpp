// SPDX-License-Identifier: Apache-2.0
// kovos segment

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "command.hpp"
#include "image_options.hpp"
#include "kovos/core/hash.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/core/trace.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/drawing/overlay.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/npy.hpp"
#include "kovos/io/result.hpp"
#include "kovos/io/trace_file.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/segmentation/default_model.hpp"
#include "kovos/text/word_list.hpp"
#include "kovos/version.hpp"
#include "model.hpp"
#include "pictures.hpp"
#include "progress.hpp"
#include "ranks.hpp"
#include "segment_native.hpp"

namespace kovos::cli {

namespace {

struct Options {
  std::string model, classes, templates = "single", window = "sliding", precision = "fp32", vocabulary, output, profile;
  std::vector<std::string> images;
  std::optional<float> unknown;
  std::size_t background_from = 0;
  SegmentOptions less_work;
  ImageOptions image;
  NativeOptions native;
  bool scores = false;
  bool json = false;
  bool resume = false;
  bool alone = false;
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

/// What follows the stem in the names of a picture's results.
std::vector<std::string> suffixes(Options const& o, Picture const& picture) {
  if (o.window == "native") return native_suffixes(picture);
  std::vector<std::string> all = {".labels.png", ".overlay.png", ".json"};
  if (o.scores) all.emplace_back(".scores.npy");
  return all;
}

/// A fingerprint of what the results of all pictures depend on: weights (by size and times), words and options.
Fingerprint fingerprint(Options const& o, ClassList const& classes, SegmentOptions const& options) {
  Fingerprint print;
  print.add(KOVOS_VERSION_STRING);
  print.add(MappedFile::open(o.model.empty() ? default_model_path() : std::filesystem::path(o.model))->stamp());
  for (auto const& entry : classes) {
    print.add(entry.name);
    for (auto const& word : entry.words) print.add(word);
    print.add("");
  }
  for (auto const& text :
       {o.templates, o.window, o.window == "native" ? o.native.to_string() : std::string(), o.precision,
        std::to_string(options.unknown.value_or(-1)), std::to_string(options.background_from),
        std::to_string(options.most_classes), std::to_string(options.most_decoded), std::to_string(options.layers),
        std::string(o.image.bit_depth == BitDepth::scale ? "scale" : ""),
        std::string(o.image.apply_orientation ? "" : "stored")})
    print.add(text);
  return print;
}

/// The same with one picture, by path, size and time.
std::string fingerprint(Fingerprint print, Picture const& picture) {
  std::error_code ignored;
  print.add(picture.path.string());
  print.add(std::to_string(std::filesystem::file_size(picture.path, ignored)));
  print.add(std::to_string(std::filesystem::last_write_time(picture.path, ignored).time_since_epoch().count()));
  return print.to_string();
}

/// Whether the files of a picture are there, made by the same of the same. The JSON is written last.
bool is_complete(Options const& o, Picture const& picture, std::string const& print) {
  std::filesystem::path const folder = o.output;
  std::error_code ignored;
  for (auto const& suffix : suffixes(o, picture))
    if (!std::filesystem::is_regular_file(folder / (picture.stem + suffix), ignored)) return false;
  std::ifstream stream(folder / (picture.stem + ".json"));
  auto const json = nlohmann::ordered_json::parse(stream, nullptr, false);
  return json.is_object() && json.contains("settings") && json["settings"].is_object() &&
         json["settings"].value("fingerprint", nlohmann::ordered_json()) == print;
}

/// Writes the files of one picture. Whatever fails leaves none of the later ones and no partial file.
nlohmann::ordered_json write_results(Options const& o, Picture const& picture, std::string const& print,
                                     Image const& image, AnyModel<> const& model, Segmentation const& result) {
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
  json["settings"]["fingerprint"] = print;
  write_json(file(".json"), json);
  return json;
}

/// Words of which a part stands in no name of the drawn world, which is all that the embedded model knows.
std::vector<std::string> foreign_words(ClassList const& classes) {
  std::set<std::string> known;
  auto const for_each_part = [](std::string const& words, auto const& f) {
    std::istringstream stream(words);
    for (std::string part; stream >> part;) f(part);
  };
  for (auto const& entry : scene_classes())
    for (auto const& synonym : entry.synonyms)
      for_each_part(synonym, [&](std::string const& part) { known.insert(part); });
  std::vector<std::string> foreign;
  for (auto const& entry : classes)
    for (auto const& words : entry.words) {
      bool all = true;
      for_each_part(words, [&](std::string const& part) { all = all && known.contains(part); });
      if (!all) foreign.push_back(words);
    }
  return foreign;
}

int segment(Options const& o, Communicator& ranks) {
  // Everything that can be wrong with the command is found before anything is computed or written.
  check_native_options(o.native, o.window == "native");
  if (o.window == "native" && o.scores)
    throw UsageError(
        "--scores of a picture by windows are too much for a file; leave out one of --scores and --window native");
  Pictures pictures;
  ClassList classes;
  SegmentOptions options = o.less_work;
  Fingerprint print;
  together(ranks, [&] {
    pictures = find_pictures(o.images);
    require_apart(pictures, o.output, [&](Picture const& picture) { return suffixes(o, picture); });
    for (auto const& picture : pictures.all)
      if (picture.is_standard_input() && (ranks.size() > 1 || o.resume))
        throw UsageError(
            "standard input can be shared by no other process and is not there again with --resume: name "
            "files or folders");
    classes = parse_classes(o.classes);
    prompt_templates(o.templates);
    options.window = o.window == "whole" ? WindowMode::whole : WindowMode::sliding;
    options.unknown = o.unknown;
    options.keep_scores = o.scores;
    options.time_stages = true;  // the JSON tells them
    options.background_from = o.background_from;
    if (auto const* benchmark = find_benchmark(o.classes); benchmark && o.background_from == 0)
      options.background_from = benchmark->background_from.value_or(0);
    print = fingerprint(o, classes, options);
  });
  std::size_t const count = pictures.all.size();
  // Ranks on other machines may have other files of the same names.
  auto list = print.to_string();
  for (auto const& picture : pictures.all) list += '\n' + picture.path.string();
  auto const lists = ranks.all_gather(list);
  together(ranks, [&] {
    for (std::size_t r = 0; r < lists.size(); ++r)
      require<DataError>(lists[r] == list, "rank ", r, " and rank ", ranks.rank(),
                         " have different pictures, words, options or weights: ", pictures.all.front().path.string(),
                         " and all others must be the same files for every rank");
  });
  if (ranks.rank() == 0)
    for (auto const& sentence : pictures.left_out) std::fprintf(stderr, "kovos: %s\n", sentence.c_str());
  bool const asks_foreign = o.model.empty() && ranks.rank() == 0;
  if (auto const foreign = asks_foreign ? foreign_words(classes) : std::vector<std::string>(); !foreign.empty())
    std::fprintf(
        stderr,
        "kovos: the embedded model knows its drawn world only, of which %s%s no name; for photographs name an "
        "official checkpoint with --model\n",
        kovos::detail::in_quotes(foreign.front()).c_str(),
        foreign.size() == 1 ? " is" : (" and " + std::to_string(foreign.size() - 1) + " other words are").c_str());
  if (!ranks.connected())
    std::fprintf(stderr, "kovos: this is rank %zu of %zu, which segments every %zu. of the %zu pictures\n",
                 ranks.rank(), ranks.size(), ranks.size(), count);

  std::optional<Trace> trace;
  if (!o.profile.empty()) trace.emplace();
  std::optional<AnyModel<>> loaded;
  std::optional<AnyModel<>::Words> encoded;
  in_turn(ranks, [&] {
    loaded = in_region("kovos::load", [&] { return load_model(o.model, o.vocabulary, o.precision); });
    encoded = in_region("kovos::text encoder", [&] { return loaded->encode(classes, prompt_templates(o.templates)); });
    std::error_code failure;
    std::filesystem::create_directories(o.output, failure);
    require<FileError>(
        !failure && std::filesystem::is_directory(o.output), "the output folder '", o.output,
        "' cannot be made: ", failure ? failure.message() : std::string("a file of that name is in the way"));
  });
  auto const& model = *loaded;
  auto const& words = *encoded;

  Progress progress(count);
  int code = done;
  // One line per picture: its JSON, or the file that most will want to see.
  auto const tell = [&](Picture const& picture) {
    std::printf("%s\n", (std::filesystem::path(o.output) / (picture.stem + ".overlay.png")).c_str());
    std::fflush(stdout);
  };
  auto const print_json = [&](nlohmann::ordered_json const& json) {
    if (!o.json) return;
    std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    std::fflush(stdout);
  };
  for (std::size_t i = ranks.next(); i < count; i = ranks.next()) {
    auto const& picture = pictures.all[i];
    progress.show(i, picture.path.string());
    try {
      auto const picture_print = fingerprint(print, picture);
      if (o.resume && is_complete(o, picture, picture_print)) continue;
      if (o.window == "native") {
        auto const json = in_region("kovos::segment", [&] {
          return segment_native(
              o.native, picture, o.output, model, words, options, o.image, common_record(o, model),
              [&](std::size_t finished, std::size_t all) {
                progress.show(
                    i, picture.path.string() + ": window " + std::to_string(finished) + " of " + std::to_string(all));
              },
              [&](nlohmann::ordered_json& record) { record["settings"]["fingerprint"] = picture_print; });
        });
        print_json(json);
        if (!o.json) tell(picture);
        continue;
      }
      auto const image = in_region("kovos::read picture", [&] { return load(picture, o.image); });
      auto const result = in_region("kovos::segment", [&] { return model.segment(image, words, options); });
      auto const json = in_region("kovos::write results",
                                  [&] { return write_results(o, picture, picture_print, image, model, result); });
      print_json(json);
      if (!o.json) tell(picture);
    } catch (std::exception const& error) {
      progress.clear();
      std::fprintf(stderr, "kovos: %s\n", error.what());
      code = failed;
    }
  }
  progress.clear();
  if (ranks.rank() == 0 && !pictures.left_out.empty()) print_json({{"left_out", pictures.left_out}});
  // After the pictures, so that none of them waits for it.
  if (ranks.node_leader()) in_region("kovos::save packed weights", [&] { return model.save_packed(); });
  if (trace)
    write_trace(ranks.rank() == 0 ? o.profile : o.profile + "." + std::to_string(ranks.rank()), trace->events());
  return code;
}

int run(Options const& o) {
  return with_ranks(o.alone, [&](Communicator& ranks) { return segment(o, ranks); });
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
  command->add_flag("--resume", o->resume, "Leave alone the pictures whose results are there, made with these options");
  add_image_options(*command, o->image);
  add_rank_options(*command, o->alone);
  add_machine_options(*command, machine);
  command->callback([o, &action] { action = [o] { return run(*o); }; });
}

}  // namespace kovos::cli
