// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>

#include "kovos/segmentation/cat_seg_presets.hpp"
#include "kovos/training/config.hpp"

namespace kovos::cli {

/// One run of `kovos train`, once its command line has been understood.
struct TrainingRun {
  TrainingConfig config;
  std::filesystem::path output;
  std::optional<std::filesystem::path> vocabulary;
  bool resume = false;
  bool torch = false;       ///< also writes checkpoint.pth
  bool bf16_model = false;  ///< model.safetensors stores bf16
};

// Each preset has a translation unit of its own, which compiles a whole network with its gradients.
template <CatSegConfig Config>
int train(TrainingRun const& run);

}  // namespace kovos::cli
