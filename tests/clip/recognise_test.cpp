// SPDX-License-Identifier: Apache-2.0
// Names of one CLIP as programs write them: wrappers, halves, other ranks.

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/architecture.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/clip/zero_shot.hpp"
#include "kovos/io/checkpoint_file.hpp"

namespace {

using namespace kovos;

constexpr ClipConfig tiny_clip{.embed_dim = 12,
                               .vision = {.image_size = 16, .patch_size = 4, .width = 16, .layers = 3, .heads = 2},
                               .text = {.vocabulary_size = 554, .width = 8, .layers = 1, .heads = 2}};

NamedTensors read(std::string const& name) {
  return read_checkpoint(std::string(KOVOS_TEST_DATA) + "/checkpoints/" + name);
}

/// The file with its names changed; an empty name drops the tensor.
NamedTensors renamed(NamedTensors file, std::function<std::string(std::string const&)> const& change) {
  auto const tensors = std::move(file.tensors);
  file.tensors.clear();
  for (auto const& [name, tensor] : tensors)
    if (auto to = change(name); !to.empty()) file.tensors[to] = tensor;
  return file;
}

NamedTensors below(std::string const& prefix, std::string const& name) {
  return renamed(read(name), [&](std::string const& key) { return prefix + key; });
}

/// Whether two files hold the same parameters under canonical names.
bool same(NamedTensors const& a, NamedTensors const& b) {
  std::size_t compared = 0;
  for (auto const& [name, tensor] : a.tensors) {
    if (detail::is_ignorable_key(name)) continue;
    auto const other = b.tensors.find(name);
    if (other == b.tensors.end() || other->second.shape != tensor.shape ||
        !std::equal(tensor.bytes.begin(), tensor.bytes.end(), other->second.bytes.begin(), other->second.bytes.end()))
      return false;
    ++compared;
  }
  return compared > 60;
}

bool loads(NamedTensors const& file) {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  ClipModel<tiny_clip, float, Kokkos::HostSpace> model;
  return load_parameters(context, model, file).complete();
}

}  // namespace

TEST_CASE("wrappers in front of all names are dropped, for every maker") {
  for (std::string const name :
       {"tiny_clip.safetensors", "tiny_hf.safetensors", "tiny_openclip_text.safetensors", "tiny.safetensors"})
    for (std::string const prefix : {"model.", "clip.", "model.clip.", "model.model.", "net.clip_model.", "network."}) {
      CAPTURE(prefix + name);
      auto const wrapped = below(prefix, name);
      CHECK(layout_of(wrapped) == layout_of(read(name)));
      CHECK(same(with_canonical_names(read(name)), with_canonical_names(wrapped)));
    }
  // What else a training program keeps beside the model changes nothing.
  auto lightning = below("model.", "tiny_clip.safetensors");
  lightning.tensors["criterion.weight"] = lightning.tensors.at("model.ln_final.bias");
  CHECK(loads(with_canonical_names(lightning)));
}

TEST_CASE("a prefix that says something is not dropped, but told") {
  auto const file = below("student.", "tiny_clip.safetensors");
  CHECK(layout_of(file) == nullptr);
  CHECK_THROWS_WITH_AS((void)with_canonical_names(file),
                       doctest::Contains("a CLIP below another prefix than Kovos drops"), CheckpointError);
}

TEST_CASE("two models in one file are not mixed") {
  auto file = below("model.", "tiny_clip.safetensors");
  for (auto const& [name, tensor] : below("clip.", "tiny_clip.safetensors").tensors) file.tensors[name] = tensor;
  CHECK_THROWS_WITH_AS((void)with_canonical_names(file),
                       doctest::Contains("two models in this file, below 'clip.' and 'model.'"), CheckpointError);
}

TEST_CASE("a parameter that a file has twice is not chosen silently") {
  auto file = below("model.", "tiny_clip.safetensors");
  file.tensors["visual.proj"] = file.tensors.at("model.visual.proj");
  CHECK_THROWS_WITH_AS((void)with_canonical_names(file),
                       doctest::Contains("'model.visual.proj' and 'visual.proj' are the same parameter"),
                       CheckpointError);
}

TEST_CASE("scalars of shape [1] and tables with an axis for the batch are the same parameters") {
  for (std::string const name : {"tiny_clip.safetensors", "tiny_hf.safetensors"}) {
    auto file = read(name);
    auto const lead = [&](std::string const& key, std::size_t axes) {
      auto& shape = file.tensors.at(key).shape;
      shape.insert(shape.begin(), axes, 1);
    };
    bool const hugging_face = name == "tiny_hf.safetensors";
    lead("logit_scale", 1);
    lead(hugging_face ? "vision_model.embeddings.class_embedding" : "visual.class_embedding", 2);
    lead(hugging_face ? "text_model.embeddings.position_embedding.weight" : "positional_embedding", 1);
    auto const canonical = with_canonical_names(file);
    CHECK(canonical.tensors.at("logit_scale").shape.empty());
    CHECK(loads(canonical));
  }
  auto file = read("tiny_clip.safetensors");
  file.tensors.at("logit_scale").shape = {1};
  auto wrong = read("tiny_clip.safetensors");
  wrong.tensors.at("logit_scale") = wrong.tensors.at("ln_final.bias");  // eight of them are no scalar
  CHECK(loads(with_canonical_names(file)));
  CHECK(!loads(with_canonical_names(wrong)));
}

TEST_CASE("a file from which one key is missing is still called by its name") {
  for (std::string const key : {"visual.conv1.weight", "visual.proj", "token_embedding.weight", "ln_final.weight"}) {
    auto file = read("tiny_clip.safetensors");
    REQUIRE(file.tensors.erase(key) == 1);
    CHECK(layout_of(file) == &openai_clip_layout);
    CHECK(!loads(with_canonical_names(file)));
  }
  for (std::string const key : {"vision_model.embeddings.patch_embedding.weight", "vision_model.pre_layrnorm.weight",
                                "text_model.embeddings.token_embedding.weight"}) {
    auto file = read("tiny_hf.safetensors");
    REQUIRE(file.tensors.erase(key) == 1);
    CHECK(layout_of(file) == &hugging_face_clip_layout);
  }
  auto file = read("tiny.safetensors");
  REQUIRE(file.tensors.erase("sem_seg_head.predictor.clip_model.visual.conv1.weight") == 1);
  CHECK(layout_of(file) == &cat_seg_layout);
}

TEST_CASE("halves of a Hugging Face CLIP are told by both layouts that transformers 5 writes") {
  auto const half = [](std::string const& tower, bool bare) {
    return renamed(read("tiny_hf.safetensors"), [&](std::string const& key) {
      if (!key.starts_with(tower)) return std::string();
      return bare ? key.substr(tower.size()) : key;
    });
  };
  for (bool const bare : {false, true}) {
    auto const image = half("vision_model.", bare), text = half("text_model.", bare);
    CHECK(describe_model(image) == "the image half of a Hugging Face CLIP, without a text encoder");
    CHECK(describe_model(text) == "the text half of a Hugging Face CLIP, without an image encoder");
    auto const canonical = with_canonical_names(image);
    CHECK(canonical.tensors.contains("visual.transformer.resblocks.2.attn.in_proj_bias"));
    CHECK(clip_shape(canonical).vision_width == 16);
    CHECK_THROWS_WITH_AS((void)with_clip_preset(canonical, []<ClipConfig>() { return 0; }),
                         doctest::Contains("the image half of a CLIP, without a text encoder; pictures can only be"),
                         CheckpointError);
    CHECK_THROWS_WITH_AS((void)with_clip_preset(with_canonical_names(text), []<ClipConfig>() { return 0; }),
                         doctest::Contains("the text half of a CLIP, without an image encoder"), CheckpointError);
  }
  CHECK(describe_model(read("tiny_hf.safetensors")) == "a Hugging Face CLIP");
  // A tower saved as a part of itself, as modules that hold a CLIPVisionModel do.
  auto const twice = renamed(read("tiny_hf.safetensors"), [](std::string const& key) {
    if (key.starts_with("vision_model.")) return "vision_model." + key;
    if (key.starts_with("text_model.")) return "text_model." + key;
    return key;
  });
  CHECK(describe_model(twice) == "a Hugging Face CLIP");
  CHECK(same(with_canonical_names(read("tiny_hf.safetensors")), with_canonical_names(twice)));
}

TEST_CASE("other models are named") {
  auto const described = [](std::initializer_list<char const*> keys) {
    NamedTensors file;
    for (auto const* key : keys) file.tensors[key];
    CHECK(layout_of(file) == nullptr);
    return describe_model(file);
  };
  CHECK(described({"visual.layer1.0.conv1.weight", "visual.conv1.weight", "visual.attnpool.q_proj.weight"}) ==
        "a CLIP whose image encoder is a ResNet");
  // Its text encoder is CLIP's own, and no half of a model of ours.
  CHECK(described({"visual.layer1.0.conv1.weight", "visual.conv1.weight", "visual.attnpool.q_proj.weight",
                   "token_embedding.weight", "positional_embedding", "ln_final.weight", "text_projection"}) ==
        "a CLIP whose image encoder is a ResNet");
  CHECK(described({"visual.trunk.stem.0.weight", "visual.head.mlp.fc1.weight", "text.token_embedding.weight",
                   "text.ln_final.weight"}) == "an open_clip model whose image encoder is one of timm");
  CHECK(described({"backbone.clip_model.visual.trunk.stem.0.weight"}) == "an FC-CLIP checkpoint");
  CHECK(described({"vision_model.embeddings.patch_embedding.weight", "vision_model.embeddings.patch_embedding.bias",
                   "vision_model.post_layernorm.weight", "vision_model.head.probe"}) == "a SigLIP model");
  CHECK(described({"sem_seg_head.pixel_decoder.mask_features.weight"}) ==
        "a segmentation model of detectron2 other than CAT-Seg");
  CHECK(described({"backbone.stages.0.weight", "decode_head.conv_seg.weight"}) == "an MMSegmentation model");
  CHECK(described({"a", "b"}).empty());
}

TEST_CASE("parameters of the encoders that would be left out are refused") {
  auto file = with_canonical_names(read("tiny_clip.safetensors"));
  file.tensors["visual.transformer.resblocks.0.ls_1.gamma"] = file.tensors.at("visual.ln_post.bias");
  auto const vocabulary = find_vocabulary(std::string(KOVOS_TEST_DATA) + "/checkpoints/tiny_clip.safetensors");
  CHECK_THROWS_WITH_AS((void)Clip<tiny_clip>::from_tensors(file, vocabulary),
                       doctest::Contains("such as 'visual.transformer.resblocks.0.ls_1.gamma'"), CheckpointError);
  file.tensors.erase("visual.transformer.resblocks.0.ls_1.gamma");
  file.tensors["logit_bias"] = file.tensors.at("logit_scale");
  CHECK_NOTHROW((void)Clip<tiny_clip>::from_tensors(file, vocabulary));
}
