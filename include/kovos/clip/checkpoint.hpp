// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kovos/core/config.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/io/named_tensors.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/text/embedded_vocabulary.hpp"

namespace kovos {

/// Who wrote a checkpoint, told by its keys.
enum class Maker { cat_seg, openai_clip, open_clip, hugging_face_clip, unknown };

/// "CAT-Seg", "OpenAI CLIP", ...
inline std::string_view name_of(Maker maker) {
  switch (maker) {
    case Maker::cat_seg:
      return "CAT-Seg";
    case Maker::openai_clip:
      return "OpenAI CLIP";
    case Maker::open_clip:
      return "open_clip";
    case Maker::hugging_face_clip:
      return "Hugging Face CLIP";
    case Maker::unknown:
      break;
  }
  return "unknown";
}

/// Prefix of the CLIP model inside a CAT-Seg checkpoint, and of its head.
inline constexpr std::string_view cat_seg_clip_prefix = "sem_seg_head.predictor.clip_model.";
inline constexpr std::string_view cat_seg_head_prefix = "sem_seg_head.predictor.transformer.";

namespace detail {

inline bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }
inline bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// Names of attributes that programs keep a model in. In front of all its keys they mean nothing.
inline constexpr std::string_view wrapper_names[] = {"model.", "clip.", "clip_model.", "net.", "network."};

/// The wrappers in front of a key: "model.clip.visual.proj" -> "model.clip.".
inline std::string_view wrapper_of(std::string_view key) {
  std::size_t length = 0;
  for (bool found = true; found;) {
    found = false;
    for (auto const name : wrapper_names)
      if (starts_with(key.substr(length), name)) {
        length += name.size();
        found = true;
        break;
      }
  }
  return key.substr(0, length);
}

}  // namespace detail

/// What a file holds, told by its keys.
struct Recognised {
  Maker maker = Maker::unknown;
  std::string prefix;  // wrappers in front of the model's keys, such as "model.clip."
  bool image = false;  // the halves of CLIP that are there
  bool text = false;
  std::string other_prefix;  // of a second model that is there as completely
  bool bare = false;         // Hugging Face's names of one half without "vision_model." or "text_model."

  bool complete() const { return maker == Maker::cat_seg || (image && text); }
};

namespace detail {

/// Which model's keys follow this prefix. A half counts as there if two of its keys are, so that a file from which one
/// is missing is still called by its name.
inline Recognised recognise_below(NamedTensors const& file, std::string const& prefix) {
  auto const has = [&](std::string_view key) { return file.tensors.contains(prefix + std::string(key)); };
  auto const two_of = [&](std::string_view stem, std::initializer_list<std::string_view> keys) {
    int count = 0;
    for (auto const key : keys) count += has(std::string(stem) + std::string(key));
    return count >= 2;
  };
  auto const image_of_openai = [&](std::string_view stem) {
    return two_of(stem, {"visual.class_embedding", "visual.conv1.weight", "visual.ln_pre.weight", "visual.proj",
                         "visual.transformer.resblocks.0.ln_1.weight"}) &&
           !has(std::string(stem) + "visual.layer1.0.conv1.weight");
  };
  auto const text_of_openai = [&](std::string_view stem) {
    return two_of(stem, {"token_embedding.weight", "positional_embedding", "ln_final.weight", "text_projection",
                         "transformer.resblocks.0.ln_1.weight"});
  };
  auto const image_of_hugging_face = [&](std::string_view stem) {
    return two_of(stem, {"embeddings.class_embedding", "embeddings.patch_embedding.weight", "pre_layrnorm.weight",
                         "post_layernorm.weight", "encoder.layers.0.self_attn.q_proj.weight"}) &&
           (has(std::string(stem) + "pre_layrnorm.weight") || has(std::string(stem) + "embeddings.class_embedding"));
  };
  auto const text_of_hugging_face = [&](std::string_view stem) {
    return two_of(stem, {"embeddings.token_embedding.weight", "final_layer_norm.weight",
                         "encoder.layers.0.self_attn.q_proj.weight"}) &&
           !has(std::string(stem) + "head.weight");  // SigLIP
  };
  auto const any_below = [&](std::string_view stem) {
    auto const name = prefix + std::string(stem);
    auto const first = file.tensors.lower_bound(name);
    return first != file.tensors.end() && starts_with(first->first, name);
  };
  Recognised r;
  r.prefix = prefix;
  if (image_of_openai(cat_seg_clip_prefix) || text_of_openai(cat_seg_clip_prefix) ||
      two_of(cat_seg_head_prefix, {"conv1.weight", "guidance_projection.0.weight"})) {
    r.maker = Maker::cat_seg;
    return r;
  }
  for (std::string_view const again : {"", "vision_model."})
    r.image = r.image || image_of_hugging_face("vision_model." + std::string(again));
  for (std::string_view const again : {"", "text_model."})
    r.text = r.text || text_of_hugging_face("text_model." + std::string(again));
  if (!r.image && !r.text) {
    r.image = image_of_hugging_face("");
    r.text = !r.image && has("embeddings.token_embedding.weight") && text_of_hugging_face("");
    r.bare = r.image || r.text;
  }
  // CLIP's text encoder beside another image encoder is no half of ours: ResNets, ConvNeXt, SigLIP.
  if (r.image || (r.text && !any_below("vision_model."))) {
    r.maker = Maker::hugging_face_clip;
    return r;
  }
  r.image = image_of_openai("");
  bool const below_text = text_of_openai("text.");
  r.text = below_text || text_of_openai("");
  if (r.image || (r.text && !any_below("visual."))) r.maker = below_text ? Maker::open_clip : Maker::openai_clip;
  return r;
}

}  // namespace detail

/// Tells what a checkpoint holds from its keys, through wrappers such as `model.` and `clip.` in front of them.
KOVOS_DOOR Recognised recognise(NamedTensors const& file);

/// Tells the maker of a checkpoint from its keys.
inline Maker recognise_maker(NamedTensors const& file) { return recognise(file).maker; }

/// In words, what a file holds: "the image half of a Hugging Face CLIP, without a text encoder", "an FC-CLIP
/// checkpoint", ...; empty if nothing of it is known.
KOVOS_DOOR std::string describe_model(NamedTensors const& file);

namespace detail {

/// Rows [first, first + count) of the leading axis; shares the bytes.
inline TensorBytes rows_of(TensorBytes const& t, std::size_t first, std::size_t count) {
  TensorBytes part = t;
  std::size_t const row = t.shape[0] == 0 ? 0 : t.bytes.size() / t.shape[0];
  part.shape[0] = count;
  part.bytes = t.bytes.subspan(first * row, count * row);
  return part;
}

inline TensorBytes owned(DType dtype, std::vector<std::size_t> shape, std::shared_ptr<std::vector<std::byte>> bytes) {
  TensorBytes t;
  t.dtype = dtype;
  t.shape = std::move(shape);
  t.bytes = *bytes;
  t.owner = std::move(bytes);
  return t;
}

inline TensorBytes transposed(TensorBytes const& t) {
  std::size_t const size = size_of(t.dtype), rows = t.shape[0], columns = t.shape[1];
  auto bytes = std::make_shared<std::vector<std::byte>>(t.bytes.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      std::memcpy(bytes->data() + (j * rows + i) * size, t.bytes.data() + (i * columns + j) * size, size);
  return owned(t.dtype, {columns, rows}, bytes);
}

inline TensorBytes concatenated(std::span<TensorBytes const* const> parts) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  std::size_t rows = 0;
  for (auto const* part : parts) {
    bytes->insert(bytes->end(), part->bytes.begin(), part->bytes.end());
    rows += part->shape.at(0);
  }
  auto shape = parts[0]->shape;
  shape[0] = rows;
  return owned(parts[0]->dtype, std::move(shape), bytes);
}

/// Entries that are no parameters of ours: buffers that follow from the geometry, and hints.
inline bool is_ignorable_key(std::string_view key) {
  return ends_with(key, ".attn_mask") || ends_with(key, "position_ids") || key == "logit_bias" ||
         key.starts_with("training.") || key == embedded_merges_key || key == "input_resolution" ||
         key == "context_length" || key == "vocab_size" || key == "attn_mask";
}

/// Some programs keep a scalar as [1], or a table with an axis for the batch in front: the same values.
inline TensorBytes in_official_rank(std::string_view name, TensorBytes tensor) {
  struct Rank {
    std::string_view name;
    std::size_t rank;
  };
  for (auto const& [end, rank] : {Rank{"logit_scale", 0}, Rank{"class_embedding", 1}, Rank{"positional_embedding", 2},
                                  Rank{"position_embedding.weight", 2}}) {
    if (!ends_with(name, end)) continue;
    while (tensor.shape.size() > rank && tensor.shape.front() == 1) tensor.shape.erase(tensor.shape.begin());
  }
  return tensor;
}

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  auto const at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

inline std::string from_hugging_face(std::string key) {
  // A tower that was saved as a part of itself.
  for (std::string_view const twice : {"vision_model.vision_model.", "text_model.text_model."})
    if (starts_with(key, twice)) key = key.substr(twice.size() / 2);
  static constexpr std::pair<std::string_view, std::string_view> whole[] = {
      {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"},
      {"vision_model.embeddings.class_embedding", "visual.class_embedding"},
      {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"},
      {"visual_projection.weight", "visual.proj"},
      {"text_model.embeddings.token_embedding.weight", "token_embedding.weight"},
      {"text_model.embeddings.position_embedding.weight", "positional_embedding"},
      {"text_projection.weight", "text_projection"}};
  for (auto const& [from, to] : whole)
    if (key == from) return std::string(to);
  static constexpr std::pair<std::string_view, std::string_view> parts[] = {
      {"vision_model.pre_layrnorm.", "visual.ln_pre."},
      {"vision_model.post_layernorm.", "visual.ln_post."},
      {"vision_model.encoder.layers.", "visual.transformer.resblocks."},
      {"text_model.final_layer_norm.", "ln_final."},
      {"text_model.encoder.layers.", "transformer.resblocks."},
      {".self_attn.q_proj.weight", ".attn.q_proj_weight"},
      {".self_attn.k_proj.weight", ".attn.k_proj_weight"},
      {".self_attn.v_proj.weight", ".attn.v_proj_weight"},
      {".self_attn.", ".attn."},
      {".layer_norm1.", ".ln_1."},
      {".layer_norm2.", ".ln_2."},
      {".mlp.fc1.", ".mlp.c_fc."},
      {".mlp.fc2.", ".mlp.c_proj."}};
  for (auto const& [from, to] : parts) key = replaced(std::move(key), from, to);
  return key;
}

}  // namespace detail

/// The file's tensors under the names of our layers: OpenAI's CLIP names with attn.{q,k,v}_proj_weight apart and a
/// joint in_proj_bias, below CAT-Seg's prefixes if it is a CAT-Seg checkpoint. Wrappers such as `model.` are dropped.
/// Shares the bytes where it can. Throws CheckpointError if this is neither CAT-Seg nor a CLIP, or two of them.
KOVOS_DOOR NamedTensors with_canonical_names(NamedTensors const& file);

/// What happened to each key of a checkpoint.
struct LoadReport {
  std::vector<std::string> matched;
  std::vector<std::string> missing;     // the model has them, the file does not
  std::vector<std::string> unexpected;  // the file has them, the model does not
  std::vector<std::string> mismatched;  // "key: expected [..], got [..]"

  bool complete() const { return missing.empty() && mismatched.empty(); }

  /// One clear list for people; long lists are cut after `most` entries each.
  std::string to_string(std::size_t most = 8) const {
    std::string text;
    auto const list = [&](std::string_view title, std::vector<std::string> const& keys) {
      if (keys.empty()) return;
      text += "\n  " + std::string(title) + " (" + std::to_string(keys.size()) + "):";
      for (std::size_t i = 0; i < keys.size() && i < most; ++i) text += "\n    " + keys[i];
      if (keys.size() > most) text += "\n    ... and " + std::to_string(keys.size() - most) + " more";
    };
    list("missing", missing);
    list("wrong shape", mismatched);
    list("unexpected", unexpected);
    return text;
  }
};

namespace detail {

/// Whether all values are finite; stops at nothing, so that the loop vectorises.
template <class T>
bool all_finite(T const* data, std::size_t count) {
  using Bits = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint16_t>;
  static_assert(sizeof(T) == sizeof(Bits));
  constexpr auto exponent = static_cast<Bits>(std::uint32_t{0x7f800000} >> (32 - 8 * sizeof(Bits)));
  std::size_t const chunk = 1 << 18;
  using Host = Kokkos::DefaultHostExecutionSpace;
  std::size_t bad = 0;
  Kokkos::parallel_reduce(
      "kovos::all_finite", Kokkos::RangePolicy<Host>(0, (count + chunk - 1) / chunk),
      [=](std::size_t part, std::size_t& found) {
        Bits marks = 0;
        for (std::size_t i = part * chunk, end = std::min(count, i + chunk); i < end; ++i) {
          Bits bits;
          std::memcpy(&bits, data + i, sizeof bits);
          marks = static_cast<Bits>(marks | ((bits & exponent) == exponent ? 1u : 0u));
        }
        found += marks;
      },
      bad);
  return bad == 0;
}

inline std::string shape_text(std::span<std::size_t const> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// The values of one parameter, flat and in host memory: shared with the file if they are stored as T already,
/// converted otherwise; empty, with an entry in the report, if the file has none of that shape.
template <class T>
Tensor<T const, dynamic_extents<1>> parameter_values(NamedTensors const& file, std::string const& name,
                                                     std::span<std::size_t const> expected, LoadReport& report) {
  auto const found = file.tensors.find(name);
  if (found == file.tensors.end()) {
    report.missing.push_back(name);
    return {};
  }
  auto const& entry = found->second;
  if (!std::equal(entry.shape.begin(), entry.shape.end(), expected.begin(), expected.end())) {
    report.mismatched.push_back(name + ": expected " + shape_text(expected) + ", got " + shape_text(entry.shape));
    return {};
  }
  auto const damaged = [&] {
    fail<CheckpointError>(file.source, ": '", name,
                          "' contains NaN or infinite values; the file is damaged or its training diverged");
  };
  report.matched.push_back(name);
  dynamic_extents<1> const extents{entry.size()};
  auto const address = reinterpret_cast<std::uintptr_t>(entry.bytes.data());
  constexpr DType own = std::is_same_v<T, float> ? DType::f32 : DType::bf16;
  if (entry.dtype == own && address % alignof(T) == 0) {
    auto const* const values = reinterpret_cast<T const*>(entry.bytes.data());
    if (!file.finite && !all_finite(values, entry.size())) damaged();
    return {values, extents, entry.owner};
  }
  std::vector<float> const values = to_float(entry);
  if (!file.finite && !all_finite(values.data(), values.size())) damaged();
  Tensor<T, dynamic_extents<1>> copy(extents);
  for (std::size_t i = 0; i < values.size(); ++i) copy.data()[i] = T(values[i]);
  return copy;
}

}  // namespace detail

/// Fills a module's parameters from a file with canonical names. Parameters share the file's memory where its bytes are
/// of their type already; everything else is converted. Nothing is thrown for missing or mis-shaped keys: look at the
/// report. Throws CheckpointError naming the key if a weight is NaN or infinite, unless the file is known to be finite:
/// then nothing that is shared is read.
template <class Exec, class Module>
LoadReport load_parameters(Context<Exec> const& context, Module& network, NamedTensors const& file) {
  LoadReport report;
  std::set<std::string> known;
  auto load = [&]<class T, class Memory, std::size_t... E>(std::string const& name,
                                                           Parameter<T, Memory, E...>& parameter) {
    known.insert(name);
    std::array<std::size_t, sizeof...(E)> const expected{E...};
    auto const values = detail::parameter_values<T>(file, name, expected, report);
    if (!values.empty()) parameter = to_device(context, values).reshape(Extents<E...>());
  };
  for_each_parameter(network, load);
  for (auto const& entry : file.tensors)
    if (!known.contains(entry.first) && !detail::is_ignorable_key(entry.first))
      report.unexpected.push_back(entry.first);
  return report;
}

/// A parameter inside the encoders of a CLIP that the model would not use, such as a layer scale; empty if there is
/// none.
inline std::string foreign_parameter(LoadReport const& report) {
  for (auto const& key : report.unexpected)
    if (key.starts_with("visual.") || key.starts_with("transformer.")) return key;
  return "";
}

/// load_parameters, and a CheckpointError with the whole report unless every parameter was found in its shape.
template <class Exec, class Module>
LoadReport load_parameters_or_throw(Context<Exec> const& context, Module& network, NamedTensors const& file,
                                    std::string_view architecture) {
  auto report = load_parameters(context, network, file);
  require<CheckpointError>(report.complete(), file.source, ": the keys do not fit ", architecture,
                           "; `kovos inspect` shows what the file holds.", report.to_string());
  return report;
}

#ifdef KOVOS_DEFINES_DOORS

KOVOS_DOOR Recognised recognise(NamedTensors const& file) {
  std::set<std::string> prefixes{""};
  for (auto const& entry : file.tensors) {
    auto const wrapper = detail::wrapper_of(entry.first);
    if (!wrapper.empty()) prefixes.emplace(wrapper);
  }
  Recognised best;
  for (auto const& prefix : prefixes) {  // the shortest of a chain comes first
    auto found = detail::recognise_below(file, prefix);
    if (found.maker == Maker::unknown) continue;
    if (best.maker == Maker::unknown || (found.complete() && !best.complete())) best = std::move(found);
    else if (found.complete() == best.complete()) best.other_prefix = prefix;
  }
  return best;
}

KOVOS_DOOR std::string describe_model(NamedTensors const& file) {
  auto const found = recognise(file);
  if (found.maker == Maker::cat_seg) return "a CAT-Seg checkpoint";
  if (found.maker != Maker::unknown) {
    std::string const name(name_of(found.maker));
    std::string const article = found.maker == Maker::hugging_face_clip ? "a " : "an ";
    if (found.complete()) return article + name + (found.maker == Maker::open_clip ? " model" : "");
    return std::string(found.image ? "the image half of " : "the text half of ") + article + name +
           (found.maker == Maker::open_clip ? " model" : "") +
           (found.image ? ", without a text encoder" : ", without an image encoder");
  }
  struct Known {
    std::string_view part;  // of a key, at its beginning or after a dot
    std::string_view words;
  };
  static constexpr Known known[] = {
      {"backbone.clip_model.", "an FC-CLIP checkpoint"},
      {"visual.trunk.", "an open_clip model whose image encoder is one of timm"},
      {"visual.layer1.0.conv1.weight", "a CLIP whose image encoder is a ResNet"},
      {"visual.attnpool.", "a CLIP whose image encoder is a ResNet"},
      {"visual.blocks.", "an EVA-CLIP model"},
      {"vision_model.head.probe", "a SigLIP model"},
      {"text_model.head.weight", "a SigLIP model"},
      {"decode_head.", "an MMSegmentation model"},
      {"sem_seg_head.", "a segmentation model of detectron2 other than CAT-Seg"},
      {"visual.class_embedding",
       "a CLIP below another prefix than Kovos drops (model., clip., clip_model., net., network.)"},
      {"vision_model.embeddings.class_embedding",
       "a CLIP below another prefix than Kovos drops (model., clip., clip_model., net., network.)"}};
  for (auto const& [part, words] : known)
    for (auto const& entry : file.tensors) {
      auto const at = entry.first.find(part);
      if (at != std::string::npos && (at == 0 || entry.first[at - 1] == '.')) return std::string(words);
    }
  return "";
}

KOVOS_DOOR NamedTensors with_canonical_names(NamedTensors const& file) {
  auto const found = recognise(file);
  Maker const maker = found.maker;
  if (maker == Maker::unknown) {
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
  require<CheckpointError>(found.other_prefix.empty(), file.source, ": there are two models in this file, below '",
                           found.prefix, "' and '", found.other_prefix,
                           "'; save the one you want in a file of its own");
  NamedTensors result = file;
  result.tensors.clear();
  std::map<std::string, TensorBytes> biases;  // Hugging Face keeps three
  for (auto const& [key, stored] : file.tensors) {
    std::string name = detail::starts_with(key, found.prefix) ? key.substr(found.prefix.size()) : key;
    auto const tensor = detail::in_official_rank(name, stored);
    if (found.bare) name = (found.image ? "vision_model." : "text_model.") + name;
    if (maker == Maker::open_clip && detail::starts_with(name, "text.")) name = name.substr(5);
    if (maker == Maker::hugging_face_clip) {
      name = detail::from_hugging_face(name);
      bool const bias =
          name.ends_with(".q_proj.bias") || name.ends_with(".k_proj.bias") || name.ends_with(".v_proj.bias");
      if (bias) {
        biases.emplace(name, tensor);
        continue;
      }
    }
    if (detail::ends_with(name, ".attn.in_proj_weight") && tensor.shape.size() == 2 && tensor.shape[0] % 3 == 0) {
      std::string const stem = name.substr(0, name.size() - std::string_view("in_proj_weight").size());
      std::size_t const d = tensor.shape[0] / 3;
      result.tensors[stem + "q_proj_weight"] = detail::rows_of(tensor, 0, d);
      result.tensors[stem + "k_proj_weight"] = detail::rows_of(tensor, d, d);
      result.tensors[stem + "v_proj_weight"] = detail::rows_of(tensor, 2 * d, d);
      continue;
    }
    bool const flip = maker == Maker::hugging_face_clip && (name == "visual.proj" || name == "text_projection") &&
                      tensor.shape.size() == 2;
    result.tensors[name] = flip ? detail::transposed(tensor) : tensor;
  }
  for (auto const& [name, q] : biases) {
    if (!name.ends_with(".q_proj.bias")) continue;
    std::string const stem = name.substr(0, name.size() - std::string_view("q_proj.bias").size());
    auto const k = biases.find(stem + "k_proj.bias");
    auto const v = biases.find(stem + "v_proj.bias");
    if (k == biases.end() || v == biases.end() || q.shape.size() != 1) continue;
    TensorBytes const* const parts[] = {&q, &k->second, &v->second};
    result.tensors[stem + "in_proj_bias"] = detail::concatenated(parts);
  }
  return result;
}

#endif  // KOVOS_DEFINES_DOORS

}  // namespace kovos
