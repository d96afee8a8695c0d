// SPDX-License-Identifier: Apache-2.0
// kovos inspect WEIGHTS

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.hpp"
#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/architecture.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/clip/settings_beside.hpp"
#include "kovos/clip/zero_shot.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/segmentation/any_model.hpp"
#include "kovos/segmentation/cat_seg_network.hpp"

namespace kovos::cli {

namespace {

using HostContext = Context<Kokkos::DefaultHostExecutionSpace>;

struct Inspection {
  std::string architecture;
  std::string preset = "none";
  std::string why_not;  // in words, where no preset fits
  LoadReport report;
  bool has_report = false;
  std::optional<FoundSettings> settings;  // of a CLIP
};

template <class Network>
LoadReport report_of(NamedTensors const& file) {
  Network network;
  HostContext context;
  return load_parameters(context, network, file);
}

Inspection inspect(NamedTensors const& file) {
  Inspection result;
  auto const found = recognise(file);
  auto const words = describe_model(file);
  if (found.layout == nullptr) {
    result.architecture = "unknown";
    result.why_not = words.empty() ? "nothing of these names is known" : "this looks like " + words;
    return result;
  }
  if (!found.other_prefix.empty()) {
    result.architecture = "two models, below '" + found.prefix + "' and '" + found.other_prefix + "'";
    result.why_not = "each model needs a file of its own";
    return result;
  }
  std::string const below = found.prefix.empty() ? "" : "; all below '" + found.prefix + "'";
  auto const canonical = with_canonical_names(file);
  if (found.layout == &cat_seg_layout) {
    auto const shape = cat_seg_shape(canonical);
    result.architecture = "CAT-Seg; " + shape.clip.to_string() + "; head " + std::to_string(shape.hidden_dim) +
                          " wide, " + std::to_string(shape.num_layers) + " layers, " +
                          std::to_string(shape.num_templates) +
                          (shape.num_templates == 1 ? " prompt template" : " prompt templates") + below;
    result.has_report = visit_cat_seg_preset(canonical, [&]<CatSegConfig Config>(std::string_view name) {
      result.preset = name;
      result.report = report_of<CatSegNetwork<Config, float, Kokkos::HostSpace>>(canonical);
    });
  } else {
    auto const shape = clip_shape(canonical);
    result.architecture = "CLIP (" + std::string(found.layout->name) + " names); " + shape.to_string() + below;
    if (!found.complete()) {
      result.why_not = "this is " + words;
      return result;
    }
    result.has_report = visit_clip_preset(canonical, "", [&]<ClipConfig Config>(std::string_view name) {
      result.preset = name;
      result.report = report_of<ClipModel<Config, float, Kokkos::HostSpace>>(canonical);
      if (auto const key = foreign_parameter(result.report); !key.empty())
        result.why_not = "OpenAI's architecture has no parameter '" + key + "' in its encoders";
      try {
        result.settings = find_clip_settings(file, Config);
      } catch (CheckpointError const& error) {
        result.why_not = error.what();
      }
    });
  }
  if (!result.has_report) result.why_not = "no preset has this geometry";
  return result;
}

/// Names that differ in numbers only, as layers do, with what they have in common.
struct NameGroup {
  std::size_t count = 0;
  std::string shape, dtype;  // "various" if they differ
};

/// "blocks.3.attn.weight" -> "blocks.*.attn.weight", for all names of a file.
std::map<std::string, NameGroup> grouped_names(NamedTensors const& file) {
  std::map<std::string, NameGroup> groups;
  for (auto const& [name, tensor] : file.tensors) {
    std::string pattern;
    for (std::size_t at = 0; at <= name.size();) {
      auto const end = std::min(name.find('.', at), name.size());
      auto const part = name.substr(at, end - at);
      bool const number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
      pattern += (at == 0 ? "" : ".") + (number ? "*" : part);
      at = end + 1;
    }
    auto& group = groups[pattern];
    auto const shape = detail::shape_text(tensor.shape);
    std::string const dtype(name_of(tensor.dtype));
    if (group.count++ == 0) {
      group.shape = shape;
      group.dtype = dtype;
    }
    if (group.shape != shape) group.shape = "various shapes";
    if (group.dtype != dtype) group.dtype = "various types";
  }
  return groups;
}

/// The names of a file that is not known, by their first part.
void print_names(NamedTensors const& file) {
  auto const groups = grouped_names(file);
  std::map<std::string, std::vector<std::pair<std::string, NameGroup>>> by_prefix;
  for (auto const& [pattern, group] : groups)
    by_prefix[pattern.find('.') == std::string::npos ? pattern : pattern.substr(0, pattern.find('.') + 1)].emplace_back(
        pattern, group);
  constexpr std::size_t most = 12;
  for (auto const& [prefix, members] : by_prefix) {
    std::size_t count = 0;
    for (auto const& member : members) count += member.second.count;
    std::printf("  %s  (%zu %s)\n", prefix.c_str(), count, count == 1 ? "tensor" : "tensors");
    for (std::size_t i = 0; i < members.size() && i < most; ++i)
      std::printf("    %s  x %zu  %s %s\n", members[i].first.c_str(), members[i].second.count,
                  members[i].second.shape.c_str(), members[i].second.dtype.c_str());
    if (members.size() > most) std::printf("    ... and %zu more (--json lists all)\n", members.size() - most);
  }
}

std::string activation_text(FoundSettings const& found) {
  auto const& s = found.settings;
  std::string text(name_of(s.image_activation));
  if (s.image_activation != s.text_activation)
    text += " (image), " + std::string(name_of(s.text_activation)) + " (text)";
  return text + (found.activation_from.empty() ? ", assumed: nothing tells it" : ", told by " + found.activation_from);
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  struct Options {
    std::string weights;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("inspect", "Show what a weights file holds and whether it fits a model");
  command->add_option("weights", options->weights, "Checkpoint: safetensors, .pth, .pt, or an index of shards")
      ->required();
  command->add_flag("--json", options->json, "Print JSON on standard output");
  command->callback([options, &action] {
    action = [options] {
      auto const file = read_checkpoint(options->weights);
      auto const found = inspect(file);
      std::size_t parameters = 0, bytes = 0;
      std::map<std::string, std::size_t> dtypes;
      for (auto const& entry : file.tensors) {
        parameters += entry.second.size();
        bytes += entry.second.bytes.size();
        dtypes[std::string(name_of(entry.second.dtype))] += 1;
      }
      if (options->json) {
        nlohmann::ordered_json out;
        out["file"] = options->weights;
        out["container"] = file.container;
        out["architecture"] = found.architecture;
        out["preset"] = found.preset;
        out["tensors"] = file.tensors.size();
        out["parameters"] = parameters;
        out["bytes"] = bytes;
        out["dtypes"] = dtypes;
        if (found.settings) {
          auto const& settings = found.settings->settings;
          out["activation"] = {{"image", name_of(settings.image_activation)},
                               {"text", name_of(settings.text_activation)},
                               {"from", found.settings->activation_from}};
          out["pixel_mean"] = settings.pixel_mean;
          out["pixel_std"] = settings.pixel_std;
          out["warnings"] = found.settings->warnings;
        }
        if (!found.why_not.empty()) out["reason"] = found.why_not;
        if (!found.has_report) {
          for (auto const& [pattern, group] : grouped_names(file))
            out["names"].push_back(
                {{"name", pattern}, {"count", group.count}, {"shape", group.shape}, {"dtype", group.dtype}});
        }
        if (found.has_report) {
          out["matched"] = found.report.matched.size();
          out["missing"] = found.report.missing;
          out["unexpected"] = found.report.unexpected;
          out["mismatched"] = found.report.mismatched;
        }
        std::printf("%s\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      } else {
        std::printf("file          %s\ncontainer     %s\narchitecture  %s\npreset        %s\n",
                    options->weights.c_str(), file.container.c_str(), found.architecture.c_str(), found.preset.c_str());
        std::printf("tensors       %zu, %zu elements, %.1f MB\ndtypes       ", file.tensors.size(), parameters,
                    static_cast<double>(bytes) / 1e6);
        for (auto const& [name, count] : dtypes) std::printf(" %s x %zu", name.c_str(), count);
        std::printf("\n");
        if (found.settings) {
          std::printf("activation    %s\n", activation_text(*found.settings).c_str());
          for (auto const& sentence : found.settings->warnings)
            std::fprintf(stderr, "kovos: warning: %s\n", sentence.c_str());
        }
        if (!found.has_report) {
          std::printf("names\n");
          print_names(file);
        }
        if (found.has_report)
          std::printf("keys          %zu matched, %zu missing, %zu unexpected, %zu with a wrong shape%s\n",
                      found.report.matched.size(), found.report.missing.size(), found.report.unexpected.size(),
                      found.report.mismatched.size(), found.report.to_string().c_str());
      }
      bool const fits = found.has_report && found.report.complete() && found.why_not.empty();
      if (!fits && !options->json)
        std::printf("Kovos cannot run these weights as they are%s%s.\n", found.why_not.empty() ? "" : ": ",
                    found.why_not.c_str());
      return fits ? done : failed;
    };
  });
}

}  // namespace kovos::cli
