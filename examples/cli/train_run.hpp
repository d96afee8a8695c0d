// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "folder.hpp"
#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/settings_beside.hpp"
#include "kovos/data/augmentation.hpp"
#include "kovos/data/scenes.hpp"
#include "kovos/drawing/curves.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/image.hpp"
#include "kovos/io/result.hpp"
#include "kovos/io/safetensors.hpp"
#include "kovos/io/torch_checkpoint_writer.hpp"
#include "kovos/metrics/confusion_matrix.hpp"
#include "kovos/metrics/segmentation_metrics.hpp"
#include "kovos/segmentation/cat_seg.hpp"
#include "kovos/text/benchmark_classes.hpp"
#include "kovos/text/bpe_trainer.hpp"
#include "kovos/text/embedded_vocabulary.hpp"
#include "kovos/training/initialization.hpp"
#include "kovos/training/log.hpp"
#include "kovos/training/tasks.hpp"
#include "kovos/training/trainer.hpp"
#include "train_progress.hpp"
#include "training_run.hpp"

namespace kovos::cli {

/// Set by Ctrl-C and by the system's polite request to stop.
inline std::sig_atomic_t volatile stop_requested = 0;

inline void request_stop(int) { stop_requested = 1; }

namespace detail {

inline TensorBytes as_bf16(TensorBytes const& tensor) {
  auto const values = to_float(tensor);
  auto owner = std::make_shared<std::vector<bf16>>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) (*owner)[i] = bf16(values[i]);
  TensorBytes rounded;
  rounded.dtype = DType::bf16;
  rounded.shape = tensor.shape;
  rounded.bytes = std::as_bytes(std::span<bf16 const>(*owner));
  rounded.owner = owner;
  return rounded;
}

/// The weights alone, with their tokenizer: what `--model` takes.
template <class Network>
void write_model(TrainingRun const& run, Context<> const& context, Network& network,
                 TrainedParameters<> const& parameters, std::string const& merges, std::string const& preset) {
  NamedTensors file;
  file.tensors = model_tensors(context, network, &parameters);
  if (run.bf16_model)
    for (auto& entry : file.tensors)
      if (entry.second.shape.size() >= 2) entry.second = as_bf16(entry.second);
  if (!merges.empty()) file.tensors[std::string(embedded_merges_key)] = vocabulary_tensor(merges);
  file.metadata["kovos.preset"] = preset;
  file.metadata["kovos.training.config"] = run.config.to_json().dump();
  write_safetensors(run.output / "model.safetensors", file);
}

/// Everything of a checkpoint, as torch.load gives it: {"model", "optimizer", "iteration"}.
inline void write_torch_file(std::filesystem::path const& path, NamedTensors const& file, std::size_t step) {
  NamedTensors model, average, square;
  for (auto const& [name, tensor] : file.tensors) {
    if (name.starts_with("training.exp_avg_sq.")) square.tensors[name.substr(20)] = tensor;
    else if (name.starts_with("training.exp_avg.")) average.tensors[name.substr(17)] = tensor;
    else model.tensors[name] = tensor;
  }
  TorchDictionary optimizer, all;
  optimizer.emplace_back("exp_avg", torch_dictionary(average));
  optimizer.emplace_back("exp_avg_sq", torch_dictionary(square));
  all.emplace_back("model", torch_dictionary(model));
  all.emplace_back("optimizer", std::move(optimizer));
  all.emplace_back("iteration", static_cast<std::int64_t>(step));
  write_torch_checkpoint(path, all);
}

/// Loss and mIoU of a run's log.
inline Image draw_log(std::filesystem::path const& csv) {
  auto const history = read_training_log(csv);
  std::vector<CurvePanel> panels{{"loss", "step", {history.curve("loss")}, true, true}};
  if (auto const miou = history.curve("miou", "mIoU"); !miou.x.empty()) panels.push_back({"mIoU", "step", {miou}});
  return draw_curves(panels);
}

/// What was measured since the last row of the log. It is stored with checkpoints, so that a continued run writes the
/// rows of one that was never stopped.
struct LogSums {
  static constexpr char const* key = "kovos.training.log";
  double loss = 0, gradient_norm = 0, seconds = 0;
  std::size_t steps = 0, pictures = 0;

  void add(TrainingStep const& step) {
    loss += step.loss;
    gradient_norm += step.gradient_norm;
    seconds += step.seconds;
    pictures += step.pictures;
    ++steps;
  }

  std::string to_text() const {
    return nlohmann::ordered_json{{"loss", loss},
                                  {"gradient_norm", gradient_norm},
                                  {"seconds", seconds},
                                  {"steps", steps},
                                  {"pictures", pictures}}
        .dump();
  }

  /// Those of a checkpoint; none if it has none.
  static LogSums of(NamedTensors const& file) {
    LogSums sums;
    auto const text = file.metadata.find(key);
    if (text == file.metadata.end()) return sums;
    auto const json = nlohmann::json::parse(text->second, nullptr, false);
    if (!json.is_object()) return sums;
    sums.loss = json.value("loss", 0.0);
    sums.gradient_norm = json.value("gradient_norm", 0.0);
    sums.seconds = json.value("seconds", 0.0);
    sums.steps = json.value("steps", std::size_t{0});
    sums.pictures = json.value("pictures", std::size_t{0});
    return sums;
  }
};

/// Steps until the run is finished or stopped. evaluate() -> named scores, for the log.
template <class Trainer, class Network, class Evaluate>
int run_steps(TrainingRun const& run, Context<> const& context, Trainer& trainer, Network& network,
              std::string const& merges, std::string const& preset, std::size_t epoch_size, Evaluate const& evaluate) {
  namespace fs = std::filesystem;
  auto const& config = run.config;
  auto const checkpoint_path = run.output / "checkpoint.safetensors";
  LogSums sums;
  std::optional<std::size_t> saved;
  auto const save = [&] {
    auto file = trainer.checkpoint();
    file.metadata[LogSums::key] = sums.to_text();
    if (!merges.empty()) file.tensors[std::string(embedded_merges_key)] = vocabulary_tensor(merges);
    write_safetensors(checkpoint_path, file);
    saved = trainer.steps_done();
    if (run.torch) write_torch_file(run.output / "checkpoint.pth", file, trainer.steps_done());
  };
  if (run.resume) {
    auto const file = read_checkpoint(checkpoint_path);
    trainer.restore(file);
    sums = LogSums::of(file);
    saved = trainer.steps_done();
    std::fprintf(stderr, "kovos: resumed from %s at step %zu\n", checkpoint_path.string().c_str(),
                 trainer.steps_done());
  }
  TrainingLog log(run.output, {"miou"}, run.resume ? std::optional(trainer.steps_done()) : std::nullopt);

  stop_requested = 0;
  auto* const interrupt = std::signal(SIGINT, request_stop);
  auto* const terminate = std::signal(SIGTERM, request_stop);
  TrainProgress progress(config.steps, trainer.steps_done());
  while (!trainer.finished() && !stop_requested) {
    auto const step = trainer.step();
    sums.add(step);
    bool const evaluates = config.evaluate_every > 0 && step.step % config.evaluate_every == 0;
    if (step.step % config.log_every == 0 || trainer.finished() || evaluates) {
      TrainingRecord row;
      row.step = step.step;
      row.epoch =
          epoch_size == 0 ? 0 : static_cast<double>(step.step * step.pictures) / static_cast<double>(epoch_size);
      row.loss = sums.loss / static_cast<double>(sums.steps);
      row.learning_rate = step.learning_rate;
      row.gradient_norm = sums.gradient_norm / static_cast<double>(sums.steps);
      row.images_per_second = static_cast<double>(sums.pictures) / sums.seconds;
      row.peak_memory_bytes = step.peak_bytes;
      if (evaluates || trainer.finished()) evaluate(row);
      log.append(row);
      progress.report(row);
      sums = {};
    }
    progress.show(step);
    if (step.step % config.checkpoint_every == 0 || trainer.finished()) save();
  }
  if (saved != trainer.steps_done()) save();
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, terminate);
  progress.clear();
  if (!trainer.finished()) {
    std::fprintf(stderr, "kovos: stopped at step %zu of %zu; `--resume` goes on from %s\n", trainer.steps_done(),
                 config.steps, checkpoint_path.string().c_str());
    return done;
  }
  write_model(run, context, network, trainer.parameters(), merges, preset);
  write_png(run.output / "curves.png", draw_log(log.csv()));
  std::printf("%s\n", (run.output / "model.safetensors").string().c_str());
  return done;
}

/// Where pictures and labels come from, and which classes they have.
struct SegmentationData {
  std::vector<std::string> names;
  std::vector<std::size_t> trained;
  SegmentationSource source;
  std::size_t size = 0;  // pictures; 0: there are ever more
  std::size_t validation_pictures = 0;
  SegmentationSource validation;
};

inline ImageOptions image_options(TrainingConfig const& config) {
  return {config.bit_depth == "scale" ? BitDepth::scale : BitDepth::saturate, config.orientation == "apply"};
}

template <CatSegConfig Config>
SegmentationData segmentation_data(TrainingConfig const& config) {
  SegmentationData data;
  if (config.data == "scenes") {
    auto const& classes = scene_classes();
    for (std::size_t i = 0; i < classes.size(); ++i) {
      data.names.push_back(classes[i].name);
      if (classes[i].seen) data.trained.push_back(i);
    }
    data.source = [seed = config.seed](std::size_t position) {
      // Runs of other seeds see other scenes.
      auto scene = split_scene(training_scenes, (seed % 1024 << 40) + position, Config.clip_resolution);
      return SegmentationSample{std::move(scene.image), std::move(scene.labels), {}};
    };
    data.validation_pictures = std::min<std::size_t>(config.validation_pictures, validation_scenes.count);
    data.validation = [](std::size_t i) {
      auto scene = split_scene(validation_scenes, i, Config.clip_resolution);
      return SegmentationSample{std::move(scene.image), std::move(scene.labels), {}};
    };
    return data;
  }
  auto const folder = std::make_shared<SegmentationFolder>(
      open_folder(config.data, DatasetSplit::training,
                  {.layout = find_layout(config.layout).value_or(FolderLayout::automatic),
                   .unreadable_files = config.unreadable == "skip" ? UnreadableFiles::skip : UnreadableFiles::stop,
                   .image = image_options(config)}));
  folder->verify();
  for (auto const& skipped : folder->skipped())
    std::fprintf(stderr, "kovos: left out %s: %s\n", skipped.name.c_str(), skipped.reason.c_str());
  for (auto const& sentence : left_out_of(*folder)) std::fprintf(stderr, "kovos: %s\n", sentence.c_str());
  if (auto const& doubtful = folder->doubtful(); !doubtful.empty())
    std::fprintf(stderr, "kovos: warning: %zu of %zu pictures may have labels that do not fit, the first: %s\n",
                 doubtful.size(), folder->size(), doubtful.front().reason.c_str());
  if (auto const warning = folder->layout_warning()) std::fprintf(stderr, "kovos: warning: %s\n", warning->c_str());
  // A class is trained by the first of its words.
  for (auto const& entry : folder->class_list()) data.names.push_back(entry.words.front());
  auto const order = std::make_shared<std::pair<std::mutex, EpochOrder>>(std::piecewise_construct, std::tuple<>{},
                                                                         std::tuple{folder->size(), config.seed});
  data.source = [folder, order, seed = config.seed](std::size_t position) {
    std::size_t const index = [&] {
      std::lock_guard lock(order->first);
      return order->second(position);
    }();
    AugmentationConfig augmentation;
    augmentation.crop = augmentation.short_edge = Config.clip_resolution;
    auto random = sample_random(seed, position);
    return augment(folder->load(index), augmentation, random);
  };
  data.size = folder->size();
  data.validation_pictures = std::min(config.validation_pictures, folder->size());
  data.validation = [folder](std::size_t i) { return folder->load(i); };
  return data;
}

/// A scene, its caption and everything in it. Every other scene has one object, so that it is clear whom a word is
/// about. Within a batch a class is called by one of its names, and every other time in the sentence in which classes
/// are looked for later.
inline CaptionSample scene_with_things(TrainingConfig const& config, std::size_t position, std::size_t side) {
  auto scene = split_scene(caption_scenes, (config.seed % 1024 << 40) + position, side, position % 2 == 0 ? 1 : 4);
  CaptionSample sample{std::move(scene.image), scene.caption, {}};
  auto classes = scene.stuff;
  for (auto const& object : scene.objects) classes.push_back(object.class_index);
  std::size_t const batch = position / config.batch_size;
  for (std::size_t const c : classes) {
    auto const word = scene_word(c, batch * scene_classes().size() + c);
    sample.things.push_back((batch + c) % 2 == 0 ? in_template(config.class_template, word) : word);
  }
  return sample;
}

/// Pictures with what is said about them: scenes, or a folder with captions.txt (file name, tab, caption per line).
template <ClipConfig Config>
CaptionSource caption_source(TrainingConfig const& config) {
  std::size_t const side = config.resolution == 0 ? Config.vision.image_size : config.resolution;
  if (config.data == "scenes")
    return [config, side](std::size_t position) { return scene_with_things(config, position, side); };
  struct Entry {
    std::filesystem::path path;
    std::string caption;
  };
  auto const folder = std::filesystem::path(config.data);
  auto const list = std::make_shared<std::vector<Entry>>();
  auto const bytes = read_file(folder / "captions.txt");
  std::string_view text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  for (std::size_t line = 1; !text.empty(); ++line) {
    auto const end = std::min(text.find('\n'), text.size());
    auto const entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (entry.empty()) continue;
    auto const tab = entry.find('\t');
    require<DataError>(tab != entry.npos, (folder / "captions.txt").string(), " line ", line,
                       ": expected a file name, a tab and a caption");
    auto const name = std::filesystem::path(std::string(entry.substr(0, tab)));
    auto path = folder / "images" / name;
    if (!std::filesystem::exists(path)) path = folder / name;
    require<DataError>(std::filesystem::exists(path), (folder / "captions.txt").string(), " line ", line,
                       ": there is no ", path.string());
    list->push_back({path, std::string(entry.substr(tab + 1))});
  }
  // All are read once, so that a long run does not fail late.
  auto const unreadable = [&](Entry const& entry) {
    try {
      read_image(entry.path, image_options(config));
      return false;
    } catch (Error const& error) {
      if (config.unreadable != "skip") throw;
      std::fprintf(stderr, "kovos: left out %s: %s\n", entry.path.filename().c_str(), error.what());
      return true;
    }
  };
  list->erase(std::remove_if(list->begin(), list->end(), unreadable), list->end());
  require<DataError>(!list->empty(), (folder / "captions.txt").string(),
                     " holds no captions of pictures that can be read");
  auto const order = std::make_shared<std::pair<std::mutex, EpochOrder>>(std::piecewise_construct, std::tuple<>{},
                                                                         std::tuple{list->size(), config.seed});
  return [list, order, side, seed = config.seed, options = image_options(config)](std::size_t position) {
    std::size_t const index = [&] {
      std::lock_guard lock(order->first);
      return order->second(position);
    }();
    auto const& entry = (*list)[index];
    AugmentationConfig augmentation;
    augmentation.crop = augmentation.short_edge = side;
    augmentation.random_resized_crop = RandomResizedCropConfig{};
    augmentation.color_jitter.reset();
    augmentation.flip_probability = 0;  // captions say left and right
    auto random = sample_random(seed, position);
    auto image = read_image(entry.path, options);
    LabelMap const labels{image.height, image.width, std::vector<std::uint16_t>(image.height * image.width)};
    return CaptionSample{augment({std::move(image), labels, {}}, augmentation, random).image, entry.caption, {}};
  };
}

/// The merges of a clip run that starts without a vocabulary: learned from captions and the names of classes.
template <ClipConfig Config>
std::string learned_merges(TrainingConfig const& config, CaptionSource const& source) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 4000; ++i) texts.push_back(source(i).caption);
  if (config.data == "scenes")
    for (auto const& entry : scene_classes())
      for (auto const& word : entry.synonyms) texts.push_back(in_template(config.class_template, word));
  return learn_merges(texts, std::min(config.vocabulary_merges, Config.text.vocabulary_size - 514));
}

/// The weights of "initial" under canonical names. A CLIP must have been trained with the activation of the preset,
/// because the file that training writes cannot tell another one.
template <ClipConfig Config>
NamedTensors initial_weights(std::string const& path) {
  auto const file = read_checkpoint(path);
  if (layout_of(file) != &cat_seg_layout) {
    auto const found = find_clip_settings(file, Config);
    for (auto const& sentence : found.warnings) std::fprintf(stderr, "kovos: warning: %s\n", sentence.c_str());
    require<CheckpointError>(
        found.settings.image_activation == Config.activation && found.settings.text_activation == Config.activation,
        path, ": this CLIP has the activation ", name_of(found.settings.image_activation), " (image), ",
        name_of(found.settings.text_activation), " (text), as ", found.activation_from,
        " says, and the preset trains with ", name_of(Config.activation),
        "; start from a CLIP with that one, such as OpenAI's");
  }
  return with_canonical_names(file);
}

template <CatSegConfig Config, class T, Recompute Policy>
int train_cat_seg(TrainingRun const& run) {
  Context<> context;
  CatSegNetwork<Config, T, Context<>::memory_space> network;
  auto const& config = run.config;
  NamedTensors initial;
  if (!config.initial.empty()) {
    initial = initial_weights<Config.clip>(config.initial);
    if (layout_of(initial) != &cat_seg_layout) {
      NamedTensors below;  // a CLIP of its own: its place in CAT-Seg
      below.source = initial.source;
      for (auto const& [name, tensor] : initial.tensors)
        below.tensors[(name == embedded_merges_key ? "" : std::string(cat_seg_clip_prefix)) + name] = tensor;
      initial = std::move(below);
    }
    auto const report = load_parameters(context, network, initial);
    require<CheckpointError>(report.mismatched.empty() && !report.matched.empty(), config.initial,
                             ": these weights do not fit ", preset_name<Config>, report.to_string());
  }
  initialize(context, network, config.seed);
  auto const merges = embedded_merges(initial).value_or("");
  Tokenizer const tokenizer(config.initial.empty() && run.vocabulary
                                ? find_vocabulary(std::filesystem::path{}, run.vocabulary)
                                : find_vocabulary(initial, config.initial, run.vocabulary));
  auto const data = segmentation_data<Config>(config);
  CatSegTask<Config, T> task(network, tokenizer, data.names, data.trained, data.source, config);
  Trainer<CatSegTask<Config, T>, Context<>::execution_space, Policy> trainer(context, task, config);
  auto const evaluate = [&](TrainingRecord& row) {
    std::vector<std::string> names;
    std::vector<std::size_t> kept = data.trained;
    if (kept.empty())
      for (std::size_t i = 0; i < data.names.size(); ++i) kept.push_back(i);
    std::vector<std::uint16_t> place(data.names.size(), LabelMap::unknown);
    for (std::size_t const c : kept) {
      place[c] = static_cast<std::uint16_t>(names.size());
      names.push_back(data.names[c]);
    }
    CatSeg<Config, T> const model(network, tokenizer, context, EmbeddingCache(""));
    auto const words = model.encode(class_list(names), {config.class_template});
    SegmentOptions options;
    options.window = WindowMode::whole;
    ConfusionMatrix matrix(names.size());
    for (std::size_t i = 0; i < data.validation_pictures; ++i) {
      auto sample = data.validation(i);
      for (auto& label : sample.labels.labels)
        if (label < place.size()) label = place[label];
      matrix.add(model.segment(sample.image, words, options).labels, sample.labels);
    }
    row.metrics = {segmentation_metrics(matrix).mean_iou};
  };
  return run_steps(run, context, trainer, network, merges, std::string(preset_name<Config>), data.size, evaluate);
}

template <CatSegConfig Config, Recompute Policy>
int train_clip(TrainingRun const& run) {
  Context<> context;
  ClipModel<Config.clip, float, Context<>::memory_space> model;
  auto const& config = run.config;
  NamedTensors initial;
  if (!config.initial.empty()) {
    initial = initial_weights<Config.clip>(config.initial);
    auto const report = load_parameters(context, model, initial);
    require<CheckpointError>(report.mismatched.empty() && !report.matched.empty(), config.initial,
                             ": these weights do not fit the CLIP of ", preset_name<Config>, report.to_string());
  }
  initialize(context, model, config.seed);
  auto const source = caption_source<Config.clip>(config);
  std::string merges;
  if (!run.vocabulary) {
    merges = embedded_merges(initial).value_or("");
    if (merges.empty() && config.initial.empty()) merges = learned_merges<Config.clip>(config, source);
  }
  Tokenizer const tokenizer(merges.empty() ? find_vocabulary(config.initial, run.vocabulary)
                                           : Vocabulary(merges, "the learned vocabulary"));
  ClipTask<Config.clip> task(model, tokenizer, source, config, Config.test.pixel_mean, Config.test.pixel_std);
  Trainer<ClipTask<Config.clip>, Context<>::execution_space, Policy> trainer(context, task, config);
  return run_steps(run, context, trainer, model, merges, std::string(preset_name<Config>), 0, [](TrainingRecord&) {});
}

}  // namespace detail

template <CatSegConfig Config>
int train(TrainingRun const& run) {
  // The large presets only fit into memory when blocks are computed again.
  constexpr bool small = Config.clip.vision.width < 512;
  require<ConfigError>(small || run.config.recompute,
                       "\"recompute\" must be true for this preset: without it a step needs tens of gigabytes");
  if (run.config.task == "clip") {
    require<ConfigError>(run.config.precision == "fp32", "\"precision\" must be fp32 for the task clip");
    if constexpr (small) return detail::train_clip<Config, Recompute::nothing>(run);
    else return detail::train_clip<Config, Recompute::blocks>(run);
  }
  if (run.config.precision == "bf16") return detail::train_cat_seg<Config, bf16, Recompute::blocks>(run);
  if constexpr (small)
    if (!run.config.recompute) return detail::train_cat_seg<Config, float, Recompute::nothing>(run);
  return detail::train_cat_seg<Config, float, Recompute::blocks>(run);
}

}  // namespace kovos::cli
