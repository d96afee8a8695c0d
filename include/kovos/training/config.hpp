// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"

namespace kovos {

/// Everything that decides what a training run does, as it stands in its JSON file. The defaults are the authors'
/// fine-tuning of CAT-Seg (their configs/ and train_net.py).
struct TrainingConfig {
  std::string task = "cat_seg";           ///< cat_seg, or clip: the contrastive pre-training
  std::string model = "cat_seg_vit_b16";  ///< the preset
  std::string initial;                    ///< weights to start from; what they lack is drawn from the seed
  std::string data = "scenes";            ///< scenes, or a folder
  std::string layout = "automatic";       ///< of a folder: as name_of(FolderLayout)
  std::string fine_tuning = "attention";  ///< frozen, attention, prompt, full
  std::string precision = "fp32";         ///< how the image encoder's matrices are stored: fp32, bf16
  std::string bit_depth = "saturate";     ///< how pictures of 16 bits become 8: saturate (as Pillow), scale
  std::string orientation = "apply";      ///< the orientation that pictures state: apply, ignore
  std::string unreadable = "stop";        ///< what happens to files that cannot be read: stop, skip
  std::string class_template = "A photo of a {} in the scene";
  std::size_t steps = 80000;
  std::size_t batch_size = 4;
  std::size_t accumulation = 1;         ///< batches per step
  std::size_t classes_per_step = 0;     ///< those of the batch and others by lot; 0: all classes, as the authors
  std::size_t vocabulary_merges = 510;  ///< learned from captions where a clip run starts without a vocabulary
  std::size_t resolution = 0;           ///< of clip's pictures, pixels; 0: the preset's own
  double dense_share = 0;               ///< of clip's loss, taken on the patches instead of the class token
  double dense_sharpness = 20;          ///< how much more the patches count there that fit a caption best
  double learning_rate = 2e-4;
  double clip_multiplier = 0.01;  ///< of the learning rate, for CLIP's parameters
  double weight_decay = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double max_gradient_norm = 0.01;  ///< 0: no clipping
  std::size_t warmup_steps = 0;
  double end_factor = 0;  ///< of the learning rate, at the last step
  std::uint64_t seed = 0;
  bool recompute = false;               ///< blocks are computed again instead of kept: slower, less memory
  std::size_t log_every = 20;           ///< steps
  std::size_t checkpoint_every = 1000;  ///< steps
  std::size_t evaluate_every = 0;       ///< steps; 0: at the end only
  std::size_t validation_pictures = 50;

  /// Calls f(key, member) for each entry.
  template <class Self, class F>
  static void visit(Self& c, F&& f) {
    f("task", c.task);
    f("model", c.model);
    f("initial", c.initial);
    f("data", c.data);
    f("layout", c.layout);
    f("fine_tuning", c.fine_tuning);
    f("precision", c.precision);
    f("bit_depth", c.bit_depth);
    f("orientation", c.orientation);
    f("unreadable", c.unreadable);
    f("class_template", c.class_template);
    f("steps", c.steps);
    f("batch_size", c.batch_size);
    f("accumulation", c.accumulation);
    f("classes_per_step", c.classes_per_step);
    f("vocabulary_merges", c.vocabulary_merges);
    f("resolution", c.resolution);
    f("dense_share", c.dense_share);
    f("dense_sharpness", c.dense_sharpness);
    f("learning_rate", c.learning_rate);
    f("clip_multiplier", c.clip_multiplier);
    f("weight_decay", c.weight_decay);
    f("beta1", c.beta1);
    f("beta2", c.beta2);
    f("epsilon", c.epsilon);
    f("max_gradient_norm", c.max_gradient_norm);
    f("warmup_steps", c.warmup_steps);
    f("end_factor", c.end_factor);
    f("seed", c.seed);
    f("recompute", c.recompute);
    f("log_every", c.log_every);
    f("checkpoint_every", c.checkpoint_every);
    f("evaluate_every", c.evaluate_every);
    f("validation_pictures", c.validation_pictures);
  }

  nlohmann::ordered_json to_json() const {
    nlohmann::ordered_json json;
    visit(*this, [&](char const* key, auto const& value) { json[key] = value; });
    return json;
  }

  /// Takes one entry. source names where it stands, for messages. Throws ConfigError naming the nearest valid key or
  /// the type that is expected.
  void set(std::string const& key, nlohmann::json const& value, std::string const& source);

  /// Throws ConfigError for a value that no run can have.
  void check(std::string const& source) const;
};

namespace detail {

/// The number of letters to insert, delete or exchange (Levenshtein 1966).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t const above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace detail

/// Reads a run's JSON file: one object of settings; those that are absent keep their defaults. Throws FileError or
/// ConfigError.
KOVOS_DOOR TrainingConfig read_training_config(std::filesystem::path const& path);

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR void TrainingConfig::set(std::string const& key, nlohmann::json const& value, std::string const& source) {
  bool found = false;
  std::string nearest;
  std::size_t distance = static_cast<std::size_t>(-1);
  visit(*this, [&](char const* name, auto& member) {
    if (auto const d = detail::edit_distance(key, name); d < distance) distance = d, nearest = name;
    if (key != name) return;
    found = true;
    using T = std::remove_reference_t<decltype(member)>;
    auto const expect = [&](bool fits, char const* kind) {
      require<ConfigError>(fits, source, ": ", detail::in_quotes(key), " must be ", kind, ", got ", value.dump());
    };
    if constexpr (std::is_same_v<T, bool>) expect(value.is_boolean(), "true or false");
    else if constexpr (std::is_same_v<T, std::string>) expect(value.is_string(), "a text");
    else if constexpr (std::is_same_v<T, double>) expect(value.is_number(), "a number");
    else expect(value.is_number_unsigned(), "a whole number that is not negative");
    member = value.get<T>();
  });
  require<ConfigError>(found, source, ": there is no setting ", detail::in_quotes(key), "; did you mean ",
                       detail::in_quotes(nearest), "?");
}

KOVOS_DOOR void TrainingConfig::check(std::string const& source) const {
  auto const one_of = [&](char const* key, std::string const& value, std::initializer_list<char const*> choices) {
    std::string list;
    for (auto const* choice : choices) {
      if (value == choice) return;
      list += (list.empty() ? "" : ", ") + std::string(choice);
    }
    fail<ConfigError>(source, ": ", detail::in_quotes(key), " is ", detail::in_quotes(value), ", expected one of ",
                      list);
  };
  one_of("task", task, {"cat_seg", "clip"});
  one_of("layout", layout, {"automatic", "plain", "from_one", "ade20k", "coco_stuff"});
  one_of("fine_tuning", fine_tuning, {"frozen", "attention", "prompt", "full"});
  one_of("precision", precision, {"fp32", "bf16"});
  one_of("bit_depth", bit_depth, {"saturate", "scale"});
  one_of("orientation", orientation, {"apply", "ignore"});
  one_of("unreadable", unreadable, {"stop", "skip"});
  auto const positive = [&](char const* key, auto value) {
    require<ConfigError>(value > 0, source, ": ", detail::in_quotes(key), " must be positive, got ", value);
  };
  positive("steps", steps);
  positive("batch_size", batch_size);
  positive("accumulation", accumulation);
  positive("learning_rate", learning_rate);
  positive("epsilon", epsilon);
  positive("dense_sharpness", dense_sharpness);
  positive("log_every", log_every);
  positive("checkpoint_every", checkpoint_every);
  auto const share = [&](char const* key, double value) {
    require<ConfigError>(value >= 0 && value < 1, source, ": ", detail::in_quotes(key),
                         " must be at least 0 and below 1, got ", value);
  };
  share("beta1", beta1);
  share("beta2", beta2);
  require<ConfigError>(dense_share >= 0 && dense_share <= 1, source, ": \"dense_share\" must be from 0 to 1, got ",
                       dense_share);
  for (auto const& [key, value] : {std::pair{"clip_multiplier", clip_multiplier},
                                   {"weight_decay", weight_decay},
                                   {"max_gradient_norm", max_gradient_norm},
                                   {"end_factor", end_factor}})
    require<ConfigError>(value >= 0, source, ": ", detail::in_quotes(key), " must not be negative, got ", value);
  require<ConfigError>(class_template.find("{}") != class_template.npos, source,
                       ": \"class_template\" must hold {} where the class name goes, got ",
                       detail::in_quotes(class_template));
}

KOVOS_DOOR TrainingConfig read_training_config(std::filesystem::path const& path) {
  auto const bytes = read_file(path, std::size_t{1} << 20);
  auto const* const text = reinterpret_cast<char const*>(bytes.data());
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text, text + bytes.size());
  } catch (nlohmann::json::parse_error const& error) {
    std::string_view what = error.what();
    if (auto const bracket = what.find("] "); bracket != what.npos) what.remove_prefix(bracket + 2);
    fail<ConfigError>(path.string(), ": ", what);
  }
  require<ConfigError>(json.is_object(), path.string(), ": this is not a JSON object of training settings");
  TrainingConfig config;
  for (auto const& [key, value] : json.items()) config.set(key, value, path.string());
  config.check(path.string());
  return config;
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
