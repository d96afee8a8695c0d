// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kovos/checkpoint/layout.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/config.hpp"
#include "kovos/clip/settings.hpp"
#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/quote.hpp"
#include "kovos/io/file.hpp"
#include "kovos/io/named_tensors.hpp"

namespace kovos {

/// Settings of a CLIP, and where they are from.
struct FoundSettings {
  ClipSettings settings;
  std::string activation_from;        // "…/config.json", "the name 'laion2b_s34b_b88k.pt'"; empty: nothing tells it
  std::vector<std::string> warnings;  // whole sentences
};

namespace detail {

/// Reads what Hugging Face's and open_clip's files beside the weights say. One object per file of weights.
class SettingsBeside {
 public:
  SettingsBeside(NamedTensors const& weights, ClipConfig const& config, std::optional<Activation> chosen)
      : weights_(weights), config_(config), chosen_(chosen), path_(weights.source), folder_(path_.parent_path()) {
    found_.settings = settings_of(config);
  }

  FoundSettings find() {
    look();
    if (chosen_) {
      found_.settings.image_activation = found_.settings.text_activation = *chosen_;
      found_.activation_from = "choice";
    } else if (found_.activation_from.empty()) {
      warn_of_assumption();
    }
    return std::move(found_);
  }

 private:
  using Json = nlohmann::json;

  void look() {
    auto const* const layout = layout_of(weights_);
    if (told_by_the_file(layout)) return;
    // Each maker's own file first: folders on the hub hold both.
    if (layout == &hugging_face_clip_layout) {
      read_hugging_face();
      if (found_.activation_from.empty()) read_open_clip();
    } else {
      read_open_clip();
      if (found_.activation_from.empty()) read_hugging_face();
    }
    if (found_.activation_from.empty()) read_name();
  }

  void warn_of_assumption() {
    found_.warnings.push_back(concatenate(
        weights_.source, ": nothing says which activation this CLIP was trained with, ",
        name_of(found_.settings.image_activation), " is assumed (OpenAI's models have quick_gelu, most of LAION's and ",
        "DataComp's have gelu); put config.json or open_clip_config.json beside the weights, or choose it ",
        "(--activation)"));
  }

  /// OpenAI's archives and Kovos' own files have one activation.
  bool told_by_the_file(CheckpointLayout const* layout) {
    if (layout != &openai_clip_layout) return false;
    auto const has = [&](char const* key) {  // a hint is an attribute of the archive, or an integer in its state dict
      return weights_.metadata.contains(key) || weights_.tensors.contains(key);
    };
    if (has("input_resolution") && has("context_length") && has("vocab_size"))
      found_.activation_from = "OpenAI's archive";
    else if (weights_.tensors.contains("visual.transformer.resblocks.0.attn.q_proj_weight"))
      found_.activation_from = "Kovos' own names";
    return !found_.activation_from.empty();
  }

  /// A file of this folder as an object; nothing, with a warning, if it is damaged.
  std::optional<Json> read(char const* name) {
    auto const path = folder_ / name;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
    if (std::filesystem::file_size(path, ignored) > (std::size_t{1} << 22) || ignored) return std::nullopt;
    current_ = path.string();
    auto const file = MappedFile::open(path);
    auto const bytes = file->bytes();
    auto const* const text = reinterpret_cast<char const*>(bytes.data());
    auto json = Json::parse(text, text + bytes.size(), nullptr, false);
    if (json.is_object()) return json;
    found_.warnings.push_back(current_ + ": this is no JSON object, so nothing was read from it");
    return std::nullopt;
  }

  template <class... Parts>
  [[noreturn]] void refuse(Parts const&... parts) const {
    fail<CheckpointError>(current_, ": ", parts..., "; Kovos would give other numbers than the model was trained for");
  }

  /// An entry as a number; null and a missing entry are none.
  std::optional<double> number(Json const& json, char const* key) const {
    auto const entry = json.find(key);
    if (entry == json.end() || entry->is_null()) return std::nullopt;
    require<CheckpointError>(entry->is_number(), current_, ": \"", key, "\" is ", entry->dump(), ", expected a number");
    return entry->get<double>();
  }

  std::optional<std::string> text(Json const& json, char const* key) const {
    auto const entry = json.find(key);
    if (entry == json.end() || entry->is_null()) return std::nullopt;
    require<CheckpointError>(entry->is_string(), current_, ": \"", key, "\" is ", entry->dump(), ", expected a text");
    return entry->get<std::string>();
  }

  static bool flag(Json const& json, char const* key, bool otherwise) {
    auto const entry = json.find(key);
    return entry != json.end() && entry->is_boolean() ? entry->get<bool>() : otherwise;
  }

  /// An object inside another; an empty one if it is missing or null.
  static Json inner(Json const& json, char const* key) {
    auto const entry = json.find(key);
    return entry != json.end() && entry->is_object() ? *entry : Json::object();
  }

  /// Whether a number, where it is given, is the weights' own. The first that is not is kept for the warning.
  void compare(Json const& json, char const* key, std::size_t own) {
    auto const said = number(json, key);
    if (said && *said != static_cast<double>(own) && difference_.empty())
      difference_ = concatenate("\"", key, "\" is ", Json(*said).dump(), " there, and ", own, " in the weights");
  }

  /// Whether the file described these weights; if not, it is left aside with a warning.
  bool of_these_weights() {
    if (difference_.empty()) return true;
    found_.warnings.push_back(current_ + ": this describes another model (" + difference_ +
                              "), so nothing was read from it");
    difference_.clear();
    return false;
  }

  void check_heads(double said, std::size_t own, char const* where) const {
    if (said != static_cast<double>(own))
      refuse("the ", where, " encoder has ", Json(said).dump(), " attention heads there, and ", own,
             " in the preset of this geometry");
  }

  void check_epsilon(Json const& json, char const* key) const {
    auto const epsilon = number(json, key);
    if (epsilon && std::fabs(*epsilon - 1e-5) > 1e-9)
      refuse("\"", key, "\" is ", Json(*epsilon).dump(), ", Kovos computes layer norms with 1e-05");
  }

  Activation activation(Json const& tower) const {
    if (chosen_) return *chosen_;
    auto const name = text(tower, "hidden_act").value_or("quick_gelu");  // the default of transformers
    if (name == "quick_gelu") return Activation::quick_gelu;
    if (name == "gelu" || name == "gelu_python") return Activation::gelu;
    refuse("\"hidden_act\" is ", in_quotes(name), ", expected \"quick_gelu\" or \"gelu\"");
  }

  void read_hugging_face() {
    if (auto const json = read("config.json")) {
      auto const type = text(*json, "model_type").value_or("");
      bool const image_alone = type == "clip_vision_model", text_alone = type == "clip_text_model";
      bool const both = json->contains("text_config") || json->contains("vision_config");
      bool const ours =
          type == "clip" || image_alone || text_alone || (type.empty() && (both || json->contains("hidden_act")));
      if (ours) read_config(*json, both || type == "clip");
      else if (!type.empty())
        found_.warnings.push_back(current_ + ": this describes a model of the type " + in_quotes(type) +
                                  ", not a CLIP, so nothing was read from it");
    }
    if (auto const json = read("preprocessor_config.json")) read_preprocessor(*json);
    else if (auto const whole = read("processor_config.json")) read_preprocessor(inner(*whole, "image_processor"));
  }

  void read_config(Json const& json, bool both) {
    // Where the older *_config_dict is given, transformers takes it in place of the other.
    auto const tower = [&](char const* name, char const* older) {
      if (!both) return json;
      auto const given = json.find(older);
      return inner(json, given != json.end() && given->is_object() ? older : name);
    };
    auto const image = tower("vision_config", "vision_config_dict");
    auto const words = tower("text_config", "text_config_dict");
    bool const has_image = both || json.contains("patch_size"), has_words = both || json.contains("vocab_size");
    if (both) compare(json, "projection_dim", config_.embed_dim);
    if (has_image) {
      compare(image, "hidden_size", config_.vision.width);
      compare(image, "num_hidden_layers", config_.vision.layers);
      compare(image, "patch_size", config_.vision.patch_size);
      compare(image, "image_size", config_.vision.image_size);
    }
    if (has_words) {
      compare(words, "hidden_size", config_.text.width);
      compare(words, "num_hidden_layers", config_.text.layers);
      compare(words, "vocab_size", config_.text.vocabulary_size);
      compare(words, "max_position_embeddings", config_.text.context_length);
    }
    if (!of_these_weights()) return;
    if (has_image) {
      check_heads(number(image, "num_attention_heads").value_or(12), config_.vision.heads, "image");
      check_epsilon(image, "layer_norm_eps");
    }
    if (has_words) {
      check_heads(number(words, "num_attention_heads").value_or(8), config_.text.heads, "text");
      check_epsilon(words, "layer_norm_eps");
      // 2 stands for the largest id in files of the first years; both are the end token.
      auto const end = number(words, "eos_token_id").value_or(2);
      if (end != 2 && end != static_cast<double>(config_.text.vocabulary_size - 1))
        refuse("\"eos_token_id\" is ", Json(end).dump(), ", expected the last of the ", config_.text.vocabulary_size,
               " tokens, where Kovos takes a text's embedding from");
    }
    found_.settings.image_activation = activation(image);
    found_.settings.text_activation = activation(words);
    found_.activation_from = current_;
  }

  void read_open_clip() {
    auto const json = read("open_clip_config.json");
    if (!json) return;
    auto const model = json->contains("model_cfg") ? inner(*json, "model_cfg") : *json;
    if (!model.contains("vision_cfg") || !model.contains("text_cfg")) {
      found_.warnings.push_back(current_ + ": this lacks \"vision_cfg\" or \"text_cfg\", so nothing was read from it");
      return;
    }
    auto const image = inner(model, "vision_cfg"), words = inner(model, "text_cfg");
    compare(model, "embed_dim", config_.embed_dim);
    compare(image, "width", config_.vision.width);
    compare(image, "layers", config_.vision.layers);
    compare(image, "patch_size", config_.vision.patch_size);
    compare(image, "image_size", config_.vision.image_size);
    compare(words, "width", config_.text.width);
    compare(words, "layers", config_.text.layers);
    compare(words, "vocab_size", config_.text.vocabulary_size);
    compare(words, "context_length", config_.text.context_length);
    if (!of_these_weights()) return;
    double const of_head = number(image, "head_width").value_or(64);
    if (of_head > 0)
      check_heads(std::floor(static_cast<double>(config_.vision.width) / of_head), config_.vision.heads, "image");
    check_heads(number(words, "heads").value_or(8), config_.text.heads, "text");
    for (auto const& [tower, pooling] : {std::pair{&image, "tok"}, std::pair{&words, "argmax"}}) {
      auto const pool = text(*tower, "pool_type").value_or(pooling);
      if (pool != pooling) refuse("\"pool_type\" is ", in_quotes(pool), ", expected \"", pooling, "\"");
      check_epsilon(inner(*tower, "norm_kwargs"), "eps");
      if (!inner(*tower, "act_kwargs").empty())
        refuse("\"act_kwargs\" is ", inner(*tower, "act_kwargs").dump(), ", expected none");
    }
    if (flag(words, "no_causal_mask", false)) refuse("\"no_causal_mask\" is true, Kovos' text encoder is causal");
    auto const quick = model.find("quick_gelu");
    if (quick != model.end() && !quick->is_boolean() && !quick->is_null())
      refuse("\"quick_gelu\" is ", quick->dump(), ", expected true or false");
    found_.settings.image_activation = found_.settings.text_activation =
        flag(model, "quick_gelu", false) ? Activation::quick_gelu : Activation::gelu;
    found_.activation_from = current_;
    auto const preprocessing = inner(*json, "preprocess_cfg");
    auto const mode = text(preprocessing, "resize_mode").value_or("shortest");
    if (mode != "shortest") refuse("\"resize_mode\" is ", in_quotes(mode), ", expected \"shortest\"");
    auto const filter = text(preprocessing, "interpolation").value_or("bicubic");
    if (filter != "bicubic") refuse("\"interpolation\" is ", in_quotes(filter), ", expected \"bicubic\"");
    take_channels(preprocessing, "mean", found_.settings.pixel_mean, false);
    take_channels(preprocessing, "std", found_.settings.pixel_std, true);
    has_pixels_ = preprocessing.contains("mean");
  }

  void read_preprocessor(Json const& json) {
    for (char const* const step : {"do_resize", "do_center_crop", "do_rescale", "do_normalize"})
      if (!flag(json, step, true)) refuse("\"", step, "\" is false, which Kovos does for every picture");
    auto const filter = number(json, "resample").value_or(3);
    if (filter != 3) refuse("\"resample\" is ", Json(filter).dump(), ", expected 3, which is bicubic");
    if (has_pixels_) return;
    take_channels(json, "image_mean", found_.settings.pixel_mean, false);
    take_channels(json, "image_std", found_.settings.pixel_std, true);
    has_pixels_ = json.contains("image_mean");
  }

  void take_channels(Json const& json, char const* key, std::array<float, 3>& to, bool positive) const {
    auto const entry = json.find(key);
    if (entry == json.end() || entry->is_null()) return;
    bool good = entry->is_array() && entry->size() == 3;
    for (std::size_t i = 0; good && i < 3; ++i) good = (*entry)[i].is_number() && (!positive || (*entry)[i] > 0);
    require<CheckpointError>(good, current_, ": \"", key, "\" is ", entry->dump(), ", expected three ",
                             positive ? "positive " : "", "numbers, for red, green and blue");
    for (std::size_t i = 0; i < 3; ++i) to[i] = (*entry)[i].get<float>();
  }

  /// What a name says that holds one of open_clip's tags. Of the nearest folder, since people sort by model.
  void read_name() {
    auto folder = std::filesystem::absolute(path_);
    for (int level = 0; level < 5 && folder.has_filename(); ++level, folder = folder.parent_path()) {
      auto const shown = folder.filename().string();
      std::string name = shown;
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return std::isalnum(c) ? static_cast<char>(std::tolower(c)) : '_'; });
      auto const told = activation_of_name(name);
      if (!told) continue;
      found_.settings.image_activation = found_.settings.text_activation = *told;
      found_.activation_from = "the name " + in_quotes(shown);
      if (!has_pixels_ && name.find("laion2b_s32b_b82k") != std::string::npos)
        found_.settings.pixel_mean = found_.settings.pixel_std = {0.5f, 0.5f, 0.5f};
      return;
    }
  }

  /// name: small letters, digits, '_' for everything else. The tags of open_clip 3.3 and what it runs them with.
  std::optional<Activation> activation_of_name(std::string_view name) const {
    auto const says = [&](std::string_view tag) { return name.find(tag) != std::string_view::npos; };
    if (says("quickgelu") || says("quick_gelu")) return Activation::quick_gelu;
    std::optional<Activation> told;
    bool contradicts = false;
    auto const tell = [&](Activation a) {
      contradicts = contradicts || (told && *told != a);
      told = a;
    };
    if (says("openai")) tell(Activation::quick_gelu);
    if (says("metaclip_400m") || says("metaclip_fullcc")) tell(Activation::quick_gelu);
    if (says("metaclip_altogether")) tell(Activation::gelu);
    if (says("dfn5b")) tell(Activation::quick_gelu);
    if (says("dfn2b")) tell(says("39b") ? Activation::gelu : Activation::quick_gelu);
    if (says("laion400m")) tell(config_.vision.patch_size == 32 ? Activation::quick_gelu : Activation::gelu);
    if (says("laion2b") || says("laion5b") || says("datacomp") || says("commonpool")) tell(Activation::gelu);
    return contradicts ? std::nullopt : told;
  }

  NamedTensors const& weights_;
  ClipConfig config_;
  std::optional<Activation> chosen_;
  std::filesystem::path path_, folder_;
  std::string current_;     // the file that is being read
  std::string difference_;  // what it says of another model
  bool has_pixels_ = false;
  FoundSettings found_;
};

}  // namespace detail

/// What is told beside the weights about a CLIP that was read from weights.source: config.json and
/// preprocessor_config.json of Hugging Face, open_clip_config.json, or a file or folder whose name holds one of
/// open_clip's tags, such as laion2b_s34b_b88k. weights: as they were read, under their own names; config: the preset
/// of their shapes, whose activation is assumed where nothing tells it. A file that describes another model is left
/// aside with a warning. Throws CheckpointError if one describes this model with a number that Kovos computes
/// otherwise.
KOVOS_DOOR FoundSettings find_clip_settings(NamedTensors const& weights, ClipConfig const& config,
                                            std::optional<Activation> chosen = {});

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR FoundSettings find_clip_settings(NamedTensors const& weights, ClipConfig const& config,
                                            std::optional<Activation> chosen) {
  return detail::SettingsBeside(weights, config, chosen).find();
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
