// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "kovos/checkpoint/detail/rearranged.hpp"
#include "kovos/checkpoint/layout.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"

namespace kovos {

/// The file's tensors under the names of our layers: OpenAI's CLIP names with attn.{q,k,v}_proj_weight apart and a
/// joint in_proj_bias, below CAT-Seg's prefixes if it is a CAT-Seg checkpoint. Wrappers such as `model.` are dropped.
/// Shares the bytes where it can. Throws CheckpointError if this is neither CAT-Seg nor a CLIP, or two of them.
KOVOS_DOOR NamedTensors with_canonical_names(NamedTensors const& file);

#ifdef KOVOS_DEFINES_DOORS

namespace detail {

/// Some programs keep a scalar as [1], or a table with an axis for the batch in front: the same values.
inline TensorBytes in_official_rank(std::string_view name, TensorBytes tensor) {
  struct Rank {
    std::string_view name;
    std::size_t rank;
  };
  for (auto const& [end, rank] : {Rank{"logit_scale", 0}, Rank{"class_embedding", 1}, Rank{"positional_embedding", 2},
                                  Rank{"position_embedding.weight", 2}}) {
    if (!name.ends_with(end)) continue;
    while (tensor.shape.size() > rank && tensor.shape.front() == 1) tensor.shape.erase(tensor.shape.begin());
  }
  return tensor;
}

/// A key of a layout under its name here.
inline std::string renamed(CheckpointLayout const& layout, std::string key) {
  for (auto const& [from, to, where] : layout.renames) {
    if (where == Rename::Where::whole) {
      if (key == from) return std::string(to);
      continue;
    }
    auto const at = where == Rename::Where::start && !key.starts_with(from) ? key.npos : key.find(from);
    if (at != key.npos) key.replace(at, from.size(), to);
  }
  return key;
}

/// put(key, name, tensor) for the in_proj_bias that q_proj.bias, k_proj.bias and v_proj.bias of each block are.
template <class Put>
void join_attention_biases(std::map<std::string, TensorBytes> const& biases, Put const& put) {
  for (auto const& [name, q] : biases) {
    if (!name.ends_with(".q_proj.bias")) continue;
    std::string const stem = name.substr(0, name.size() - std::string_view("q_proj.bias").size());
    auto const k = biases.find(stem + "k_proj.bias");
    auto const v = biases.find(stem + "v_proj.bias");
    if (k == biases.end() || v == biases.end() || q.shape.size() != 1) continue;
    TensorBytes const* const parts[] = {&q, &k->second, &v->second};
    put(name, stem + "in_proj_bias", concatenated(parts));
  }
}

[[noreturn]] inline void fail_as_unknown(NamedTensors const& file) {
  std::string some;
  std::size_t shown = 0;
  for (auto const& entry : file.tensors) {
    if (shown++ == 4) break;
    some += (some.empty() ? "'" : ", '") + entry.first + "'";
  }
  auto const words = describe_model(file);
  fail<CheckpointError>(file.source, ": these are not CAT-Seg or CLIP vision-transformer weights",
                        words.empty() ? "" : " but " + words, " (", file.tensors.size(), " tensors, such as ",
                        some.empty() ? "none" : some, "); see docs/checkpoints.md for the files Kovos reads");
}

}  // namespace detail

KOVOS_DOOR NamedTensors with_canonical_names(NamedTensors const& file) {
  auto const found = recognise(file);
  if (found.layout == nullptr) detail::fail_as_unknown(file);
  auto const& layout = *found.layout;
  require<CheckpointError>(found.other_prefix.empty(), file.source, ": there are two models in this file, below '",
                           found.prefix, "' and '", found.other_prefix,
                           "'; save the one you want in a file of its own");
  NamedTensors result = file;
  result.tensors.clear();
  std::map<std::string, TensorBytes> biases;
  std::map<std::string, std::string> origin;
  auto const put = [&](auto& to, std::string const& key, std::string const& name, TensorBytes tensor) {
    auto const [first, is_first] = origin.emplace(name, key);
    require<CheckpointError>(is_first, file.source, ": '", first->second, "' and '", key,
                             "' are the same parameter; save the one you want in a file of its own");
    to.emplace(name, std::move(tensor));
  };
  for (auto const& [key, stored] : file.tensors) {
    std::string name = key.starts_with(found.prefix) ? key.substr(found.prefix.size()) : key;
    auto const tensor = detail::in_official_rank(name, stored);
    name = detail::renamed(layout, std::string(found.missing_prefix) + name);
    if (layout.joins_attention_biases &&
        (name.ends_with(".q_proj.bias") || name.ends_with(".k_proj.bias") || name.ends_with(".v_proj.bias"))) {
      put(biases, key, name, tensor);
      continue;
    }
    if (name.ends_with(".attn.in_proj_weight") && tensor.shape.size() == 2 && tensor.shape[0] % 3 == 0) {
      std::string const stem = name.substr(0, name.size() - std::string_view("in_proj_weight").size());
      std::size_t const d = tensor.shape[0] / 3;
      put(result.tensors, key, stem + "q_proj_weight", detail::rows_of(tensor, 0, d));
      put(result.tensors, key, stem + "k_proj_weight", detail::rows_of(tensor, d, d));
      put(result.tensors, key, stem + "v_proj_weight", detail::rows_of(tensor, 2 * d, d));
      continue;
    }
    bool const flip = tensor.shape.size() == 2 && std::ranges::find(layout.transposed, name) != layout.transposed.end();
    put(result.tensors, key, name, flip ? detail::transposed(tensor) : tensor);
  }
  detail::join_attention_biases(biases, [&](auto const& key, auto const& name, TensorBytes tensor) {
    put(result.tensors, key, name, std::move(tensor));
  });
  return result;
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
