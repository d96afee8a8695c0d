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
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.hpp"
#include "image_options.hpp"
#include "kovos/core/hash.hpp"
#include "kovos/data/label_encoding.hpp"
#include "kovos/data/read_ahead.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/distribution/partial_results.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/result.hpp"
#include "kovos/metrics/boundary_iou.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"
#include "kovos/segmentation/default_model.hpp"
#include "kovos/version.hpp"
#include "labelled_pictures.hpp"
#include "model.hpp"
#include "progress.hpp"
#include "ranks.hpp"

namespace kovos::cli {

namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string model, data, benchmark, layout = "automatic", predictions, templates = "single", window, vocabulary,
                                      output, partial, absent_classes, outside, precision = "fp32";
  std::vector<std::string> merge;
  std::size_t pictures = 0;
  SegmentOptions less_work;
  ImageOptions image;
  bool table = false, raw = false, json = false, resume = false, skip_unreadable = false, alone = false,
       boundary = false;
};

nlohmann::ordered_json number(double x) { return std::isnan(x) ? nlohmann::ordered_json() : nlohmann::ordered_json(x); }

nlohmann::ordered_json scores(SegmentationMetrics const& m) {
  return {{"classes", m.present_classes},
          {"mean_iou", number(m.mean_iou)},
          {"frequency_weighted_iou", number(m.frequency_weighted_iou)},
          {"mean_accuracy", number(m.mean_accuracy)},
          {"pixel_accuracy", number(m.pixel_accuracy)},
          {"zero_iou_share", number(m.zero_iou_share)}};
}

/// A number of each class by its name. Several classes of ade847 have the same first synonym.
nlohmann::ordered_json by_class(std::vector<std::string> const& names, std::vector<double> const& values) {
  auto json = nlohmann::ordered_json::object();
  for (std::size_t c = 0; c < names.size(); ++c)
    json[json.contains(names[c]) ? names[c] + " (class " + std::to_string(c) + ")" : names[c]] = number(values[c]);
  return json;
}

void print_scores(char const* title, SegmentationMetrics const& m) {
  std::printf("%-8s %3zu classes  mIoU %5.1f  fwIoU %5.1f  mAcc %5.1f  pAcc %5.1f  IoU 0: %4.1f %%\n", title,
              m.averaged_classes, 100 * m.mean_iou, 100 * m.frequency_weighted_iou, 100 * m.mean_accuracy,
              100 * m.pixel_accuracy, 100 * m.zero_iou_share);
}

// ---- what is scored -------------------------------------------------------------------------------------------------

std::string hash_of(std::vector<std::string> const& texts) {
  Fingerprint print;
  for (auto const& text : texts) print.add(text);
  return print.to_string();
}

constexpr char const* convention_names[] = {"left_out", "zero_if_predicted"};  // of AbsentClasses
constexpr char const* outside_names[] = {"left_out", "count_as_wrong"};        // of OutsidePredictions

EvaluationRun describe(Arguments const& a, LabelledPictures const& pictures) {
  EvaluationRun run;
  run.classes = pictures.scored_names();
  run.pictures = a.pictures == 0 ? pictures.size() : std::min(a.pictures, pictures.size());
  auto const add = [&](char const* name, std::string value) { run.settings.emplace_back(name, std::move(value)); };
  add("version of kovos", KOVOS_VERSION_STRING);
  add("data", pictures.kind);
  if (!a.benchmark.empty()) add("benchmark", a.benchmark);
  add("names of the pictures", hash_of(pictures.names));
  if (!a.predictions.empty()) {
    add("predictions", a.predictions);
  } else {
    std::vector<std::string> words;
    for (auto const& entry : pictures.classes) {
      words.push_back(entry.name);
      words.insert(words.end(), entry.words.begin(), entry.words.end());
    }
    Fingerprint weights;
    weights.add(MappedFile::open(a.model.empty() ? default_model_path() : fs::path(a.model))->bytes());
    add("weights", weights.to_string());
    add("words", hash_of(words));
    add("templates", a.templates);
    add("window", a.window);
    add("precision", a.precision);
    add("most classes", std::to_string(a.less_work.most_classes));
    add("most decoded", std::to_string(a.less_work.most_decoded));
    add("layers", std::to_string(a.less_work.layers));
    add("raw cost volume", a.raw ? "yes" : "no");
  }
  add("bit depth", a.image.bit_depth == BitDepth::scale ? "scale" : "saturate");
  add("orientation", a.image.apply_orientation ? "applied" : "ignored");
  auto const absent = a.absent_classes.empty() ? convention_names[static_cast<int>(pictures.conventions.absent_classes)]
                                               : a.absent_classes.c_str();
  add("absent classes", absent);
  add("predictions outside the list",
      a.outside.empty() ? outside_names[static_cast<int>(pictures.conventions.outside_predictions)] : a.outside);
  add("boundary IoU", a.boundary ? "yes" : "no");
  run.notes["model"] = a.predictions.empty() ? a.model : "";
  if (!a.predictions.empty()) run.notes["predictions"] = a.predictions;
  run.notes["data"] = a.data.empty() ? a.benchmark : a.data;
  run.notes["left_out"] = pictures.left_out;
  if (pictures.warning) run.notes["warning"] = *pictures.warning;
  return run;
}

std::string const& setting(EvaluationRun const& run, std::string_view name) {
  static std::string const none;
  for (auto const& [key, value] : run.settings)
    if (key == name) return value;
  return none;
}

// ---- the scores -----------------------------------------------------------------------------------------------------

/// Prints and writes the scores of what was joined; the exit code tells whether pictures are missing.
int report(Arguments const& a, JoinedResults const& joined) {
  auto const& run = joined.run();
  auto const matrix = joined.matrix();
  MetricConventions conventions;
  if (setting(run, "absent classes") == convention_names[1])
    conventions.absent_classes = AbsentClasses::zero_if_predicted;
  if (setting(run, "predictions outside the list") == outside_names[1])
    conventions.outside_predictions = OutsidePredictions::count_as_wrong;
  auto const all = segmentation_metrics(matrix, conventions);
  double both[2];
  for (auto const rule : {AbsentClasses::left_out, AbsentClasses::zero_if_predicted}) {
    auto other = conventions;
    other.absent_classes = rule;
    both[static_cast<int>(rule)] = segmentation_metrics(matrix, other).mean_iou;
  }

  std::int64_t const labelled = matrix.pixels();
  std::int64_t without_class = 0;
  for (std::size_t c = 0; c < matrix.classes(); ++c) without_class += matrix(c, matrix.classes());

  std::size_t scored = 0;
  auto unreadable = nlohmann::ordered_json::array(), doubtful = nlohmann::ordered_json::array();
  for (auto const& [index, picture] : joined.pictures()) {
    if (!picture.unreadable) ++scored;
    else unreadable.push_back({{"name", picture.name}, {"reason", *picture.unreadable}});
    if (!picture.doubt.empty()) doubtful.push_back({{"name", picture.name}, {"reason", picture.doubt}});
  }
  nlohmann::ordered_json json = run.notes;
  json["pictures"] = scored;
  json["missing"] = joined.missing();
  json["unreadable"] = unreadable;
  json["doubtful"] = doubtful;
  json["settings"] = nlohmann::ordered_json::object();
  for (auto const& [name, value] : run.settings) json["settings"][name] = value;
  if (without_class > 0)
    json["predicted_no_class"] = static_cast<double>(without_class) / static_cast<double>(labelled);
  json["all"] = scores(all);
  json["mean_iou_by_rule"] = {{convention_names[0], number(both[0])}, {convention_names[1], number(both[1])}};
  std::vector<std::size_t> seen;
  std::optional<SeenUnseenMetrics> split;
  if (setting(run, "data") == "scenes") {
    std::size_t c = 0;
    for (auto const& entry : scene_classes()) {
      if (entry.seen) seen.push_back(c);
      ++c;
    }
    split = seen_unseen_metrics(matrix, seen, conventions);
    json["seen"] = scores(split->seen);
    json["unseen"] = scores(split->unseen);
    json["harmonic_mean_iou"] = split->harmonic_mean_iou;
  }
  std::optional<BoundaryIou> boundary;
  if (setting(run, "boundary IoU") == "yes") {
    auto const counts = joined.boundary();
    boundary = boundary_iou(counts, conventions.absent_classes);
    json["boundary"]["share_of_diagonal"] = counts.share_of_diagonal();
    json["boundary"]["mean_iou"] = number(boundary->mean);
    for (auto const rule : {AbsentClasses::left_out, AbsentClasses::zero_if_predicted})
      json["boundary"]["mean_iou_by_rule"][convention_names[static_cast<int>(rule)]] =
          number(boundary_iou(counts, rule).mean);
    json["boundary"]["iou"] = by_class(run.classes, boundary->iou);
  }
  std::optional<SegmentationMetrics> of_interest;
  auto const* const benchmark = find_benchmark(setting(run, "benchmark"));
  if (benchmark != nullptr && !benchmark->of_interest.empty()) {
    of_interest = segmentation_metrics(matrix, benchmark->of_interest, conventions);
    json["classes_of_interest"] = scores(*of_interest);
  }
  bool const is_mess = benchmark != nullptr && benchmark->name.starts_with("mess_");
  // MESS reports both where there are two classes, the first of which is the background.
  bool const is_binary_mess = is_mess && matrix.classes() == 2;
  if (is_binary_mess) {
    json["sensitivity"] = number(all.accuracy[1]);
    json["specificity"] = number(all.accuracy[0]);
  }
  json["iou"] = by_class(run.classes, all.iou);
  if (!a.output.empty()) write_json(a.output, json);

  if (joined.missing() > 0)
    std::fprintf(stderr,
                 "kovos: %zu of %zu pictures have no result yet: the scores are those of the others; --resume "
                 "scores what is missing\n",
                 joined.missing(), run.pictures);
  if (!unreadable.empty())
    std::fprintf(stderr, "kovos: %zu of %zu pictures could not be read and are not scored, the first: %s\n",
                 unreadable.size(), run.pictures, unreadable[0]["reason"].get<std::string>().c_str());
  if (!doubtful.empty())
    std::fprintf(stderr,
                 "kovos: warning: %zu of %zu pictures may be scored against labels that do not fit, the first: %s\n",
                 doubtful.size(), run.pictures, doubtful[0]["reason"].get<std::string>().c_str());
  if (without_class > 0) {
    bool const dropped = conventions.outside_predictions == OutsidePredictions::left_out;
    std::fprintf(stderr, "kovos: warning: %.2f %% of the labelled pixels have no class in the predictions: %s\n",
                 100 * static_cast<double>(without_class) / static_cast<double>(labelled),
                 dropped ? "they are left out, as by detectron2, so that the scores are those of the other pixels "
                           "(--outside-predictions count_as_wrong counts them)"
                         : "they count as wrong");
  }
  bool const nothing = scored == 0;
  if (nothing && joined.missing() == 0) std::fprintf(stderr, "kovos: no picture was scored\n");
  int const code = joined.missing() > 0 || nothing ? failed : done;
  if (a.json) {
    std::printf("%s\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
    return code;
  }
  print_scores("all", all);
  std::printf("mIoU over the classes of the ground truth %.2f, with 0 for others that were predicted %.2f\n",
              100 * both[0], 100 * both[1]);
  if (conventions.outside_predictions == OutsidePredictions::count_as_wrong)
    std::printf("'all'%s: predictions outside the list are wrong, a class that is only predicted %s\n",
                is_mess && conventions == mess_conventions ? " is counted as MESS does" : "",
                conventions.absent_classes == AbsentClasses::left_out ? "does not count" : "has an IoU of 0");
  if (of_interest) print_scores("interest", *of_interest);
  if (is_binary_mess) std::printf("sensitivity %.1f  specificity %.1f\n", 100 * all.accuracy[1], 100 * all.accuracy[0]);
  if (split) {
    print_scores("seen", split->seen);
    print_scores("unseen", split->unseen);
    std::printf("harmonic mean of seen and unseen mIoU %.1f\n", 100 * split->harmonic_mean_iou);
  }
  if (boundary) std::printf("boundary IoU, mean %.2f\n", 100 * boundary->mean);
  if (a.table)
    for (std::size_t c = 0; c < run.classes.size(); ++c) {
      bool const is_seen = std::find(seen.begin(), seen.end(), c) != seen.end();
      std::printf("  %-28s IoU %5.1f  accuracy %5.1f", run.classes[c].c_str(), 100 * all.iou[c], 100 * all.accuracy[c]);
      if (boundary) std::printf("  boundary IoU %5.1f", 100 * boundary->iou[c]);
      std::printf("%s\n", seen.empty() || is_seen ? "" : "  unseen");
    }
  return code;
}

/// --merge: joins files of partial results.
int merge(Arguments const& a) {
  std::vector<fs::path> files;
  for (auto const& argument : a.merge) {
    if (fs::is_directory(argument)) {
      auto const inside = partial_files(argument);
      require<DataError>(!inside.empty(), "the folder '", argument, "' holds no partial results (*.jsonl)");
      files.insert(files.end(), inside.begin(), inside.end());
    } else {
      files.emplace_back(argument);
    }
  }
  std::optional<JoinedResults> joined;
  std::string first;
  for (auto const& file : files) {
    auto results = read_partial_results(file);
    if (!results) continue;
    if (!joined) {
      joined.emplace(results->run);
      first = kovos::detail::shown(file);
    }
    joined->add(std::move(*results), kovos::detail::shown(file), first);
  }
  require<DataError>(joined.has_value(), "none of the ", files.size(), " files holds results");
  return report(a, *joined);
}

/// The name under PictureResult::more of what LabelledPictures::file_sizes says.
constexpr char const* file_sizes_name = "file_sizes";

/// Throws DataError if a result is of a picture whose files were others.
void require_same_files(JoinedResults const& known, LabelledPictures const& pictures, fs::path const& folder) {
  for (auto const& [index, picture] : known.pictures()) {
    auto const then = picture.more.find(file_sizes_name);
    require<DataError>(then == picture.more.end() || then->second == pictures.file_sizes(index), "the result of ",
                       kovos::detail::in_quotes(picture.name), " in ", kovos::detail::shown(folder),
                       " is of a picture or label of another size in bytes than what is there now: name the data of ",
                       "that evaluation, or delete its line to score this picture again");
  }
}

// ---- the work -------------------------------------------------------------------------------------------------------

/// The file of labels that were made elsewhere, or by `kovos segment`, by the name of the picture or of its file.
fs::path prediction_path(fs::path const& folder, LabelledPictures const& pictures, std::size_t i) {
  auto const& name = pictures.names[i];
  auto const& stem = pictures.stems.empty() ? name : pictures.stems[i];
  for (auto const& stands : {name, stem})
    for (char const* suffix : {".png", ".labels.png", ".tif", ".tiff", ".labels.tif"})
      if (auto path = folder / (stands + suffix); fs::is_regular_file(path)) return path;
  fail<FileError>("there is no prediction for the picture ", kovos::detail::in_quotes(name), ": expected ",
                  kovos::detail::shown(folder / (name + ".png")), ", .tif or what `kovos segment` writes, ",
                  kovos::detail::shown(folder / (stem + ".labels.png")));
}

LabelMap prediction(fs::path const& path, std::size_t classes) {
  auto map = read_png_labels(path, classes);
  auto const is_bad = [&](std::uint16_t label) { return label >= classes && label != LabelMap::unknown; };
  auto const bad = std::find_if(map.labels.begin(), map.labels.end(), is_bad);
  if (bad == map.labels.end()) return map;
  auto const k = static_cast<std::size_t>(bad - map.labels.begin());
  kovos::detail::fail_at_pixel("the prediction " + kovos::detail::shown(path), *bad, k, map.width, "expected 0 to ",
                               classes - 1, " or 255 for none (65535 in 16 bits): the list has ", classes, " classes");
}

/// Where partial results go: --partial, or beside --output, or nowhere.
fs::path partial_folder(Arguments const& a) {
  if (!a.partial.empty()) return a.partial;
  return a.output.empty() ? fs::path() : fs::path(a.output + ".partial");
}

int evaluate(Arguments const& a, Communicator& ranks) {
  LabelledPictures pictures;
  std::optional<JoinedResults> known;
  auto const folder = partial_folder(a);
  bool const shares = ranks.size() > 1 && !ranks.connected();
  together(ranks, [&] {
    if (shares && folder.empty())
      throw UsageError("this is one of " + std::to_string(ranks.size()) +
                       " processes that cannot hear each other: name a folder for their results with --partial, to be "
                       "joined with --merge (or add --alone)");
    if (a.resume && folder.empty())
      throw UsageError("--resume needs the folder of the partial results: --partial, or the same --output as before");
    if (!a.output.empty() && fs::is_directory(a.output))
      throw UsageError("--output '" + a.output + "' is a folder, expected the name of a file");
    if (!a.predictions.empty() && !fs::is_directory(a.predictions))
      throw UsageError("--predictions '" + a.predictions + "' is no folder");
    pictures = open_labelled_pictures({a.data, a.benchmark, a.layout, a.image});
    known.emplace(describe(a, pictures));
    if (folder.empty()) return;
    std::error_code failure;
    fs::create_directories(folder, failure);
    require<FileError>(!failure && fs::is_directory(folder), "the folder '", folder.string(),
                       "' for partial results cannot be made: ",
                       failure ? failure.message() : std::string("a file of that name is in the way"));
    for (auto const& file : partial_files(folder)) {
      auto results = read_partial_results(file);
      if (results) known->add(std::move(*results), kovos::detail::shown(file), "this evaluation");
    }
    require_same_files(*known, pictures, folder);
    bool const begun = std::any_of(known->pictures().begin(), known->pictures().end(), [&](auto const& entry) {
      return !shares || entry.first % ranks.size() == ranks.rank();
    });
    if (begun && !a.resume)
      throw UsageError("the folder '" + folder.string() +
                       "' holds results of such an evaluation already: add --resume to go on, or delete it");
  });
  auto const& run = known->run();
  // Ranks on other machines may have other files of the same names.
  auto const description = to_line(run);
  auto const descriptions = ranks.all_gather(description);
  together(ranks, [&] {
    for (std::size_t r = 0; r < descriptions.size(); ++r) {
      auto const source = "the files of rank " + std::to_string(r);
      require_same_run(parse_partial_results(descriptions[r] + '\n', source)->run, run, source,
                       "those of rank " + std::to_string(ranks.rank()));
    }
  });
  if (ranks.rank() == 0 || shares)
    for (auto const& sentence : pictures.left_out) std::fprintf(stderr, "kovos: %s\n", sentence.c_str());
  if (pictures.warning && (ranks.rank() == 0 || shares))
    std::fprintf(stderr, "kovos: warning: %s\n", pictures.warning->c_str());

  std::optional<AnyModel<>> model;
  std::optional<AnyModel<>::Words> words;
  SegmentOptions options = a.less_work;
  options.window = a.window == "whole" ? WindowMode::whole : WindowMode::sliding;
  options.raw_cost_volume = a.raw;
  options.background_from = pictures.background_from;
  std::optional<LineFile> file;
  in_turn(ranks, [&] {
    if (a.predictions.empty()) {
      model = load_model(a.model, a.vocabulary, a.precision);
      words = model->encode(pictures.classes, prompt_templates(a.templates));
    }
    if (folder.empty()) return;
    file.emplace(folder / ("rank-" + std::to_string(ranks.rank()) + ".jsonl"));
    file->append(to_line(run));
  });

  auto const score = [&](SegmentationSample const& sample, PictureResult& result) {
    ConfusionMatrix matrix(run.classes.size());
    auto const labels = model ? model->segment(sample.image, *words, options).labels
                              : prediction(prediction_path(a.predictions, pictures, result.index), run.classes.size());
    try {
      matrix.add(labels, sample.labels);
      if (a.boundary) {
        BoundaryCounts counts(run.classes.size());
        counts.add(labels, sample.labels);
        result.more[boundary_counts_name] = values_of(counts);
      }
    } catch (DataError const& error) {
      fail<DataError>("the picture ", kovos::detail::in_quotes(result.name), ": ", error.what());
    }
    result.cells = cells_of(matrix);
    result.doubt = sample.doubt;
    if (auto sizes = pictures.file_sizes(result.index); !sizes.empty()) result.more[file_sizes_name] = std::move(sizes);
  };
  std::string lines = "\n", problem;  // the first line is why this rank stopped, if it did
  Progress progress(run.pictures);
  // The next picture is read while this one is computed.
  ReadAhead<SegmentationSample> reader(pictures.load);
  auto const ask_for_next = [&] {
    std::size_t next = ranks.next();
    while (next < run.pictures && known->has(next)) next = ranks.next();
    if (next < run.pictures) reader.ask(next);
    return next;
  };
  for (std::size_t next = ask_for_next(); next < run.pictures;) {
    std::size_t const i = next;
    next = ask_for_next();
    progress.show(i, pictures.names[i]);
    PictureResult result;
    result.index = i;
    result.name = pictures.names[i];
    try {
      score(reader.take(), result);
    } catch (std::exception const& error) {
      if (!a.skip_unreadable) {
        problem = error.what();
        ranks.stop();
        break;
      }
      result.unreadable = error.what();
    }
    auto const line = to_line(result);
    if (file) file->append(line);
    lines += line + '\n';
  }
  progress.clear();
  std::replace(problem.begin(), problem.end(), '\n', ' ');

  auto const texts = ranks.gather(problem + lines);
  if (texts.empty()) return done;  // rank 0 tells the rest
  for (std::size_t r = 0; r < texts.size(); ++r) {
    auto const end = texts[r].find('\n');
    if (problem.empty()) problem = texts[r].substr(0, end);
    auto results = parse_partial_results(description + '\n' + texts[r].substr(end + 1), "rank " + std::to_string(r));
    for (auto& picture : results->pictures) known->add(std::move(picture), "rank " + std::to_string(r));
  }
  if (!problem.empty()) {
    std::fprintf(stderr, "kovos: %s\n", problem.c_str());
    if (!folder.empty())
      std::fprintf(stderr, "kovos: the results of %zu of %zu pictures are in '%s'; --resume goes on from there\n",
                   known->pictures().size(), run.pictures, folder.c_str());
    return failed;
  }
  if (shares) {
    std::printf("rank %zu of %zu is done: `kovos evaluate --merge %s` joins the results of all\n", ranks.rank(),
                ranks.size(), folder.c_str());
    return done;
  }
  int const code = report(a, *known);
  if (code == done && a.partial.empty() && !folder.empty()) {
    std::error_code ignored;  // nothing depends on it any more
    fs::remove_all(folder, ignored);
  }
  return code;
}

int run(Arguments const& a) {
  if (!a.merge.empty()) return merge(a);
  return with_ranks(a.alone, [&](Communicator& ranks) { return evaluate(a, ranks); });
}

}  // namespace

void add_evaluate(CLI::App& app, Machine& machine, Action& action) {
  auto a = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("evaluate", "Score a model on labelled pictures: mIoU and its kin");
  command->add_option("--model", a->model, "CAT-Seg checkpoint (default: the embedded model)");
  command->add_option("--data", a->data,
                      "scenes (default), or a folder with images, annotations and classes.txt, ADE20K, COCO-Stuff");
  command->add_option("--benchmark", a->benchmark,
                      "A public benchmark by name: its classes and rules; --data, else $DETECTRON2_DATASETS, has it");
  command->add_option("--layout", a->layout, "What the folder is, where that cannot be told")->capture_default_str();
  command->add_option("--predictions", a->predictions,
                      "Score the label files of this folder, by picture name, instead of a model");
  command->add_option("--pictures", a->pictures, "Only the first of them");
  command->add_option("--templates", a->templates, "Prompt template set")->capture_default_str();
  command
      ->add_option("--window", a->window,
                   "How the picture is shown to the network (default: sliding for --benchmark, as the authors do, else "
                   "whole)")
      ->check(CLI::IsMember({"whole", "sliding"}));
  command
      ->add_option("--precision", a->precision,
                   "bf16: the image encoder's weights and all products, where the machine has them")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  add_less_work_options(*command, a->less_work);
  command->add_option("--vocabulary", a->vocabulary, "CLIP's vocabulary, if not beside the weights or in $KOVOS_HOME");
  command
      ->add_option("--absent-classes", a->absent_classes,
                   "What a class without ground truth does to the mIoU (default: the benchmark's rule, else left_out)")
      ->check(CLI::IsMember({"left_out", "zero_if_predicted"}));
  command
      ->add_option("--outside-predictions", a->outside,
                   "What pixels predicted as no class do to the scores (default: the benchmark's rule, else left_out)")
      ->check(CLI::IsMember({"left_out", "count_as_wrong"}));
  command->add_option("--output", a->output, "Also write the scores as JSON to this file");
  command->add_option("--partial", a->partial,
                      "Folder that takes each picture's result as it comes (default: the name of --output with "
                      ".partial, until the scores are written)");
  command->add_flag("--resume", a->resume, "Go on with the pictures that have no result there");
  command->add_option("--merge", a->merge, "Only join partial results, of folders or files, and print their scores");
  command->add_flag("--skip-unreadable", a->skip_unreadable,
                    "Leave out pictures and labels that cannot be read, and say so");
  command->add_flag("--raw-cost-volume", a->raw, "Score CLIP's cosines themselves, without CAT-Seg's head");
  command->add_flag("--boundary-iou", a->boundary, "Also the IoU of the classes' boundaries, 2 % of the diagonal wide");
  command->add_flag("--table", a->table, "Also print every class");
  command->add_flag("--json", a->json, "Print JSON on standard output");
  add_image_options(*command, a->image);
  add_rank_options(*command, a->alone);
  add_machine_options(*command, machine);
  command->callback([a, &action] {
    if (a->data.empty() && a->benchmark.empty()) a->data = "scenes";
    if (a->window.empty()) a->window = a->benchmark.empty() ? "whole" : "sliding";
    action = [a] { return run(*a); };
  });
}

}  // namespace kovos::cli
