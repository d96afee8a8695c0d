// SPDX-License-Identifier: Apache-2.0
// kovos inspect WEIGHTS

#include <cstddef>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "command.hpp"
#include "kovos/clip/architecture.hpp"
#include "kovos/clip/checkpoint.hpp"
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
  LoadReport report;
  bool has_report = false;
};

template <class Network>
LoadReport report_of(NamedTensors const& file) {
  Network network;
  HostContext context;
  return load_parameters(context, network, file);
}

template <CatSegConfig Config>
bool try_preset(NamedTensors const& file, CatSegShape const& shape, Inspection& result) {
  if (!shape.fits(Config)) return false;
  result.preset = preset_name<Config>;
  result.report = report_of<CatSegNetwork<Config, float, Kokkos::HostSpace>>(file);
  result.has_report = true;
  return true;
}

template <ClipConfig Config>
bool try_preset(NamedTensors const& file, ClipShape const& shape, char const* name, Inspection& result) {
  if (!shape.fits(Config)) return false;
  result.preset = name;
  result.report = report_of<ClipModel<Config, float, Kokkos::HostSpace>>(file);
  result.has_report = true;
  return true;
}

Inspection inspect(NamedTensors const& file) {
  Inspection result;
  if (recognise_maker(file) == Maker::unknown) {
    result.architecture = "unknown";
    return result;
  }
  auto const canonical = with_canonical_names(file);
  if (recognise_maker(canonical) == Maker::cat_seg) {
    auto const shape = cat_seg_shape(canonical);
    result.architecture = "CAT-Seg; " + shape.clip.to_string() + "; head " + std::to_string(shape.hidden_dim) +
                          " wide, " + std::to_string(shape.num_layers) + " layers, " +
                          std::to_string(shape.num_templates) +
                          (shape.num_templates == 1 ? " prompt template" : " prompt templates");
    if (!try_preset<cat_seg_vit_b16>(canonical, shape, result) &&
        !try_preset<cat_seg_vit_l14_336>(canonical, shape, result))
      try_preset<cat_seg_tiny>(canonical, shape, result);
    return result;
  }
  auto const shape = clip_shape(canonical);
  result.architecture = "CLIP (" + std::string(name_of(recognise_maker(file))) + " names); " + shape.to_string();
  if (!try_preset<clip_vit_b32>(canonical, shape, "clip_vit_b32", result) &&
      !try_preset<clip_vit_b16>(canonical, shape, "clip_vit_b16", result) &&
      !try_preset<clip_vit_l14>(canonical, shape, "clip_vit_l14", result) &&
      !try_preset<clip_vit_l14_336>(canonical, shape, "clip_vit_l14_336", result))
    try_preset<clip_tiny>(canonical, shape, "clip_tiny", result);
  return result;
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
        if (found.has_report) {
          out["matched"] = found.report.matched.size();
          out["missing"] = found.report.missing;
          out["unexpected"] = found.report.unexpected;
          out["mismatched"] = found.report.mismatched;
        }
        std::printf("%s\n", out.dump(2).c_str());
      } else {
        std::printf("file          %s\ncontainer     %s\narchitecture  %s\npreset        %s\n",
                    options->weights.c_str(), file.container.c_str(), found.architecture.c_str(), found.preset.c_str());
        std::printf("tensors       %zu, %zu elements, %.1f MB\ndtypes       ", file.tensors.size(), parameters,
                    static_cast<double>(bytes) / 1e6);
        for (auto const& [name, count] : dtypes) std::printf(" %s x %zu", name.c_str(), count);
        std::printf("\n");
        if (found.has_report)
          std::printf("keys          %zu matched, %zu missing, %zu unexpected, %zu with a wrong shape%s\n",
                      found.report.matched.size(), found.report.missing.size(), found.report.unexpected.size(),
                      found.report.mismatched.size(), found.report.to_string().c_str());
      }
      bool const fits = found.has_report && found.report.complete();
      if (!fits && !options->json) std::printf("Kovos cannot run these weights as they are.\n");
      return fits ? done : failed;
    };
  });
}

}  // namespace kovos::cli
