// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "kovos/clip/config.hpp"
#include "kovos/kernels/activation_kind.hpp"

namespace kovos {

/// Mean and standard deviation of OpenAI's training pictures, RGB, of values 0..1.
inline constexpr std::array<float, 3> clip_pixel_mean{0.48145466f, 0.4578275f, 0.40821073f};
inline constexpr std::array<float, 3> clip_pixel_std{0.26862954f, 0.26130258f, 0.27577711f};

/// What a CLIP was trained with that leaves no trace in its weights. The defaults are OpenAI's.
struct ClipSettings {
  Activation image_activation = Activation::quick_gelu;
  Activation text_activation = Activation::quick_gelu;
  std::array<float, 3> pixel_mean = clip_pixel_mean;  ///< RGB, of values 0..1
  std::array<float, 3> pixel_std = clip_pixel_std;
};

/// The settings of a configuration.
constexpr ClipSettings settings_of(ClipConfig const& config) {
  return {.image_activation = config.activation, .text_activation = config.activation};
}

/// "quick_gelu" or "gelu", as Hugging Face and open_clip call them.
constexpr std::string_view name_of(Activation activation) {
  switch (activation) {
    case Activation::quick_gelu:
      return "quick_gelu";
    case Activation::gelu:
      return "gelu";
    case Activation::relu:
      return "relu";
    case Activation::sigmoid:
      return "sigmoid";
    case Activation::none:
      break;
  }
  return "none";
}

}  // namespace kovos
