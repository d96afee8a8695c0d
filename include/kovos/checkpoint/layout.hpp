// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace kovos {

/// A key's name elsewhere and here.
struct Rename {
  enum class Where : std::uint8_t {
    start,     ///< keys that begin with `from`
    whole,     ///< the key that is `from`; no other row changes it
    anywhere,  ///< the first place where a key has `from`
  };

  std::string_view from, to;
  Where where = Where::anywhere;
};

/// Keys that tell a part of a model. It counts as there if two of `keys` are, so that a file from which one is missing
/// is still called by its name.
struct PartKeys {
  enum class Part : std::uint8_t { model, image, text };

  Part part = Part::model;
  std::string_view stem;                     ///< in front of all of them
  std::span<std::string_view const> keys;    ///< after the stem
  std::span<std::string_view const> one_of;  ///< if any: one of these must be there too
  std::string_view never = {};               ///< if any: a key of another model that has the others
  bool tells_layout = true;                  ///< false: other layouts call this part so, too
  std::string_view missing_prefix = {};      ///< looked for if nothing else is there: the keys lack this in front
};

/// How somebody's checkpoints name a model's tensors: how a file of it is told, and what its keys are called here.
struct CheckpointLayout {
  std::string_view name;                 ///< "Hugging Face CLIP"
  std::string_view words;                ///< "a Hugging Face CLIP"
  std::span<PartKeys const> parts;       ///< any of them that tells the layout
  std::string_view image_below = {};     ///< a text encoder is none of this model beside such keys of others
  std::string_view clip_prefix = {};     ///< where CLIP's canonical names are in the model
  std::span<Rename const> renames = {};  ///< one after the other
  std::span<std::string_view const> transposed = {};  ///< matrices, under their names here, that are [Out, In] there
  bool joins_attention_biases = false;  ///< q_proj.bias, k_proj.bias and v_proj.bias are one in_proj_bias here
};

}  // namespace kovos
