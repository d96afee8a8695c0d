// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "kovos/core/error.hpp"

namespace kovos {

/// The file of the embedded default model (weights/README.md): $KOVOS_HOME/cat_seg_scenes.safetensors, else the one
/// that came with this installation or source tree, whose folder the build names KOVOS_WEIGHTS_DIR.
/// Throws FileError with all places that were tried.
inline std::filesystem::path default_model_path() {
  constexpr char const* name = "cat_seg_scenes.safetensors";
  std::string tried;
  auto const look = [&](std::filesystem::path const& folder) {
    auto const path = folder / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) return path;
    tried += "\n  " + path.string();
    return std::filesystem::path();
  };
  if (char const* const home = std::getenv("KOVOS_HOME"))
    if (auto path = look(home); !path.empty()) return path;
#ifdef KOVOS_WEIGHTS_DIR
  if (auto path = look(KOVOS_WEIGHTS_DIR); !path.empty()) return path;
#endif
  fail<FileError>("the default model is not there; name a checkpoint, or set KOVOS_HOME to the folder that holds ",
                  name, "; looked for",
                  tried.empty() ? " nothing: neither KOVOS_HOME nor KOVOS_WEIGHTS_DIR is set" : tried);
}

}  // namespace kovos
