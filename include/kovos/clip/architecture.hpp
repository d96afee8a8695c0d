// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <cmath>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/clip/config.hpp"
#include "kovos/clip/image_encoder.hpp"
#include "kovos/clip/presets.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/preset.hpp"
#include "kovos/io/named_tensors.hpp"

namespace kovos {

/// What the shapes in a checkpoint tell about a CLIP model. Numbers that cannot be told (a key is missing) are 0.
struct ClipShape {
  std::size_t embed_dim = 0;
  std::size_t vision_width = 0, vision_layers = 0, patch_size = 0, grid = 0;
  std::size_t text_width = 0, text_layers = 0, context_length = 0, vocabulary_size = 0;
  EncoderKind kind = EncoderKind::vision_transformer;
  std::array<std::size_t, 4> stage_layers{}, stage_widths{};

  /// "vision transformer 768 wide, 12 layers, patch 16, grid 14 x 14; text 512 wide, ..."
  std::string to_string() const {
    return detail::concatenate("vision transformer ", vision_width, " wide, ", vision_layers, " layers, patch ",
                               patch_size, ", grid ", grid, " x ", grid, "; text ", text_width, " wide, ", text_layers,
                               " layers, ", vocabulary_size, " tokens, context ", context_length, "; joint width ",
                               embed_dim);
  }

  bool operator==(ClipShape const&) const = default;
};

/// The shapes that a checkpoint of a configuration has. Head counts leave no trace in them.
constexpr ClipShape shape_of(ClipConfig const& c) {
  return {c.embed_dim,           c.vision.width,       c.vision.layers,       c.vision.patch_size,    c.vision.grid(),
          c.text.width,          c.text.layers,        c.text.context_length, c.text.vocabulary_size, c.vision.kind,
          c.vision.stage_layers, c.vision.stage_widths};
}

namespace detail {
inline std::size_t extent_of(NamedTensors const& file, std::string const& key, std::size_t axis) {
  auto const found = file.tensors.find(key);
  return found == file.tensors.end() || axis >= found->second.shape.size() ? 0 : found->second.shape[axis];
}

/// How many different numbers follow the prefix: "a.resblocks.0.x", "a.resblocks.1.y" -> 2.
inline std::size_t count_layers(NamedTensors const& file, std::string const& prefix) {
  std::set<std::string> numbers;
  for (auto i = file.tensors.lower_bound(prefix); i != file.tensors.end() && i->first.starts_with(prefix); ++i)
    numbers.insert(i->first.substr(prefix.size(), i->first.find('.', prefix.size()) - prefix.size()));
  return numbers.size();
}
}  // namespace detail

/// Reads the geometry off the shapes of canonical names below a prefix.
inline ClipShape clip_shape(NamedTensors const& file, std::string const& prefix = "") {
  ClipShape s;
  s.embed_dim = detail::extent_of(file, prefix + "text_projection", 1);
  s.vision_width = detail::extent_of(file, prefix + "visual.conv1.weight", 0);
  s.patch_size = detail::extent_of(file, prefix + "visual.conv1.weight", 3);
  s.vision_layers = detail::count_layers(file, prefix + "visual.transformer.resblocks.");
  std::size_t const rows = detail::extent_of(file, prefix + "visual.positional_embedding", 0);
  s.grid = rows == 0 ? 0 : static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(rows - 1))));
  s.text_width = detail::extent_of(file, prefix + "ln_final.weight", 0);
  s.text_layers = detail::count_layers(file, prefix + "transformer.resblocks.");
  s.context_length = detail::extent_of(file, prefix + "positional_embedding", 0);
  s.vocabulary_size = detail::extent_of(file, prefix + "token_embedding.weight", 0);
  return s;
}

/// Whether a file has the shapes of a configuration; shape: clip_shape of the file below the prefix. Of image encoders
/// other than the vision transformer, whether it has their parameters.
template <ClipConfig Config>
bool fits(ClipShape const& shape, NamedTensors const& file, std::string const& prefix = "") {
  if constexpr (Config.vision.kind == EncoderKind::vision_transformer) {
    return shape == shape_of(Config);
  } else {
    constexpr auto wanted = shape_of(Config);
    return shape.embed_dim == wanted.embed_dim && shape.text_width == wanted.text_width &&
           shape.text_layers == wanted.text_layers && shape.context_length == wanted.context_length &&
           shape.vocabulary_size == wanted.vocabulary_size &&
           has_parameters<ImageEncoder<Config, float, Kokkos::HostSpace>>(file, prefix + "visual.");
  }
}

/// Calls f.template operator()<Config>(name) for the first preset of a list that a CLIP's file fits; whether there is
/// one. file: under canonical names, CLIP's below the prefix.
template <auto const& Presets = clip_presets, class F>
bool visit_clip_preset(NamedTensors const& file, std::string const& prefix, F const& f) {
  auto const shape = clip_shape(file, prefix);
  return visit_first_preset<Presets>([&]<ClipConfig Config>() { return fits<Config>(shape, file, prefix); }, f);
}

}  // namespace kovos
