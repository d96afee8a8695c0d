// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>

#include "kovos/clip/settings_beside.hpp"

namespace kovos::cli {

/// --activation.
inline void add_activation_option(CLI::App& command, std::string& activation) {
  command
      .add_option("--activation", activation,
                  "Activation of the encoders: auto (told by config.json, open_clip_config.json or the name), "
                  "quick_gelu (OpenAI's models) or gelu (most of LAION's and DataComp's)")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "quick_gelu", "gelu"}));
}

/// What is told beside the weights, or by the option; warnings go to standard error.
inline ClipSettings clip_settings(NamedTensors const& weights, ClipConfig const& config,
                                  std::string const& activation) {
  std::optional<Activation> chosen;
  if (activation != "auto") chosen = activation == "gelu" ? Activation::gelu : Activation::quick_gelu;
  auto const found = find_clip_settings(weights, config, chosen);
  for (auto const& sentence : found.warnings) std::fprintf(stderr, "kovos: warning: %s\n", sentence.c_str());
  return found.settings;
}

}  // namespace kovos::cli
