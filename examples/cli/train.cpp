// SPDX-License-Identifier: Apache-2.0
// kovos train

#include <fcntl.h>
#include <sys/file.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "command.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/preset.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/data/folder_layout.hpp"
#include "kovos/io/file.hpp"
#include "kovos/training/config.hpp"
#include "training_run.hpp"

namespace kovos::cli {

#define KOVOS_LINKED_TRAINING(config) extern template int train<config>(TrainingRun const&);
KOVOS_CAT_SEG_PRESETS(KOVOS_LINKED_TRAINING)
#undef KOVOS_LINKED_TRAINING

namespace {

struct Arguments {
  std::string config, output, vocabulary;
  std::vector<std::string> settings;
  bool resume = false, torch = false, bf16_model = false, show = false;
};

/// "key=value", the value as JSON or else as a text; settings that are texts take what stands there.
void apply_setting(TrainingConfig& config, std::string const& setting) {
  auto const at = setting.find('=');
  if (at == setting.npos) throw UsageError("--set " + setting + ": expected key=value");
  auto const text = setting.substr(at + 1);
  auto const key = setting.substr(0, at);
  auto const settings = config.to_json();
  bool const is_text = settings.contains(key) && settings.at(key).is_string();
  auto value = nlohmann::json::parse(text, nullptr, false);
  if (value.is_discarded() || (is_text && !value.is_string())) value = text;
  config.set(key, value, "--set");
}

/// Two runs in one folder would replace each other's files. The lock ends with the process, however that ends.
void lock(detail::Descriptor const& folder, std::string const& name) {
  bool const taken = ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  require<FileError>(!taken, detail::in_quotes(name),
                     " is being written by another run: wait for it or stop it, or choose another folder");
}

/// What a run that was killed while writing left behind.
void remove_unfinished(std::filesystem::path const& folder) {
  for (auto const& path : detail::listed(folder)) {
    auto const name = path.filename().string();
    bool ours = false;
    for (char const* stem : {"checkpoint.", "model.", "training.", "curves."}) ours = ours || name.starts_with(stem);
    std::error_code ignored;
    if (ours && name.ends_with(".partial")) std::filesystem::remove(path, ignored);
  }
}

int run(Arguments const& a) {
  TrainingRun run;
  if (!a.config.empty()) {
    run.config = read_training_config(a.config);
    // Paths in the file are meant from where the file lies.
    auto const from_file = [&](std::string& path) {
      if (!path.empty() && std::filesystem::path(path).is_relative())
        path = (std::filesystem::path(a.config).parent_path() / path).lexically_normal().string();
    };
    from_file(run.config.initial);
    if (run.config.data != "scenes") from_file(run.config.data);
  }
  for (auto const& setting : a.settings) apply_setting(run.config, setting);
  run.config.check(a.config.empty() ? "--set" : a.config);
  if (a.show) {
    std::printf("%s\n", run.config.to_json().dump(2).c_str());
    return done;
  }
  if (a.output.empty()) throw UsageError("--output is required: the folder for checkpoints, log and model");
  run.output = a.output;
  run.vocabulary = optional_path(a.vocabulary);
  run.resume = a.resume;
  run.torch = a.torch;
  run.bf16_model = a.bf16_model;
  auto const holds = [&](char const* name) { return std::filesystem::exists(run.output / name); };
  if (a.resume && !holds("checkpoint.safetensors"))
    throw UsageError("'" + a.output + "' holds no checkpoint to resume from");
  std::error_code failure;
  std::filesystem::create_directories(run.output, failure);
  require<FileError>(!failure && std::filesystem::is_directory(run.output), "the output folder '", a.output,
                     "' cannot be made: ", failure ? failure.message() : "a file of that name is in the way");
  detail::Descriptor const folder(::open(run.output.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  lock(folder, a.output);
  if (!a.resume && holds("checkpoint.safetensors"))
    throw UsageError("'" + a.output + "' holds a run already: add --resume to go on, or choose another folder");
  if (!a.resume && holds("model.safetensors"))
    throw UsageError("'" + a.output + "' holds a model already: choose another folder");
  remove_unfinished(run.output);
  // A file beyond the limit of `ulimit -f` is an error like a full disk, not a reason to be killed.
  std::signal(SIGXFSZ, SIG_IGN);

  int code = failed;
  bool const known = visit_presets<cat_seg_presets>([&]<CatSegConfig Config>(std::string_view name) {
    if (name != run.config.model) return false;
    code = train<Config>(run);
    return true;
  });
  require<ConfigError>(known, "\"model\" is ", detail::in_quotes(run.config.model), ", expected ",
                       names_of(cat_seg_presets));
  return code;
}

}  // namespace

void add_train(CLI::App& app, Machine& machine, Action& action) {
  auto a = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("train", "Fine-tune CAT-Seg, or pre-train a CLIP from captions");
  command->add_option("--config", a->config, "JSON file with the settings of the run");
  command->add_option("--set", a->settings, "Settings that replace those of the file, key=value");
  command->add_option("--output", a->output, "Folder for checkpoints, log, curves and the model");
  command->add_option("--vocabulary", a->vocabulary, "CLIP's vocabulary, if not beside the initial weights");
  command->add_flag("--resume", a->resume, "Go on from the checkpoint in the output folder");
  command->add_flag("--pth", a->torch, "Also write checkpoint.pth for PyTorch");
  command->add_flag("--bf16-model", a->bf16_model, "Store the final model's matrices as bf16");
  command->add_flag("--show-settings", a->show, "Print all settings and stop");
  add_machine_options(*command, machine);
  command->callback([a, &action] { action = [a] { return run(*a); }; });
}

}  // namespace kovos::cli
