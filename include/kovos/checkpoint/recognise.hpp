// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "kovos/checkpoint/layout.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/core/config.hpp"
#include "kovos/io/named_tensors.hpp"

namespace kovos {

/// What a file holds, told by its keys.
struct Recognised {
  CheckpointLayout const* layout = nullptr;  // none: unknown
  std::string prefix;                        // wrappers in front of the model's keys, such as "model.clip."
  bool model = false;                        // a layout of a whole
  bool image = false;                        // the halves of CLIP that are there
  bool text = false;
  std::string other_prefix;         // of a second model that is there as completely
  std::string_view missing_prefix;  // what the keys of one half lack that they have in the whole

  bool complete() const { return model || (image && text); }
};

/// Tells what a checkpoint holds from its keys, through wrappers such as `model.` and `clip.` in front of them.
KOVOS_DOOR Recognised recognise(NamedTensors const& file);

/// The layout of a checkpoint, told from its keys; none if it is unknown.
inline CheckpointLayout const* layout_of(NamedTensors const& file) { return recognise(file).layout; }

/// In words, what a file holds: "the image half of a Hugging Face CLIP, without a text encoder", "an FC-CLIP
/// checkpoint", ...; empty if nothing of it is known.
KOVOS_DOOR std::string describe_model(NamedTensors const& file);

#ifdef KOVOS_DEFINES_DOORS

namespace detail {

/// The wrappers in front of a key: "model.clip.visual.proj" -> "model.clip.".
inline std::string_view wrapper_of(std::string_view key) {
  std::size_t length = 0;
  for (bool found = true; found;) {
    found = false;
    for (auto const name : wrapper_names)
      if (key.substr(length).starts_with(name)) {
        length += name.size();
        found = true;
        break;
      }
  }
  return key.substr(0, length);
}

inline bool has_part(NamedTensors const& file, std::string const& prefix, PartKeys const& part) {
  auto const has = [&](std::string_view key) {
    return file.tensors.contains(prefix + std::string(part.stem) + std::string(key));
  };
  return std::ranges::count_if(part.keys, has) >= 2 && (part.one_of.empty() || std::ranges::any_of(part.one_of, has)) &&
         (part.never.empty() || !has(part.never));
}

/// What a file is as one of this layout, its keys below a prefix; of no layout if it is not.
inline Recognised recognise_as(CheckpointLayout const& layout, NamedTensors const& file, std::string const& prefix) {
  Recognised r;
  r.prefix = prefix;
  bool told = false;
  for (auto const& part : layout.parts) {
    if ((!part.missing_prefix.empty() && told) || !has_part(file, prefix, part)) continue;
    r.model = r.model || part.part == PartKeys::Part::model;
    r.image = r.image || part.part == PartKeys::Part::image;
    r.text = r.text || part.part == PartKeys::Part::text;
    r.missing_prefix = part.missing_prefix;
    told = told || part.tells_layout;
  }
  // CLIP's text encoder beside another image encoder is no half of ours: ResNets, ConvNeXt, SigLIP.
  auto const below = prefix + std::string(layout.image_below);
  auto const first = file.tensors.lower_bound(below);
  bool const other_image =
      !layout.image_below.empty() && first != file.tensors.end() && first->first.starts_with(below);
  if (told && (r.model || r.image || !other_image)) r.layout = &layout;
  return r;
}

}  // namespace detail

KOVOS_DOOR Recognised recognise(NamedTensors const& file) {
  std::set<std::string> prefixes{""};
  for (auto const& entry : file.tensors) {
    auto const wrapper = detail::wrapper_of(entry.first);
    if (!wrapper.empty()) prefixes.emplace(wrapper);
  }
  Recognised best;
  for (auto const& prefix : prefixes) {  // the shortest of a chain comes first
    Recognised found;
    for (auto const* layout : checkpoint_layouts)
      if (found.layout == nullptr) found = detail::recognise_as(*layout, file, prefix);
    if (found.layout == nullptr) continue;
    if (best.layout == nullptr || (found.complete() && !best.complete())) best = std::move(found);
    else if (found.complete() == best.complete()) best.other_prefix = prefix;
  }
  return best;
}

KOVOS_DOOR std::string describe_model(NamedTensors const& file) {
  auto const found = recognise(file);
  if (found.layout != nullptr) {
    std::string const words(found.layout->words);
    if (found.complete()) return words;
    return found.image ? "the image half of " + words + ", without a text encoder"
                       : "the text half of " + words + ", without an image encoder";
  }
  for (auto const& [part, words] : foreign_models)
    for (auto const& entry : file.tensors) {
      auto const at = entry.first.find(part);
      if (at != std::string::npos && (at == 0 || entry.first[at - 1] == '.')) return std::string(words);
    }
  return "";
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
