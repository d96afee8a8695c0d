// SPDX-License-Identifier: Apache-2.0
// One very small model in every official container and under every maker's names.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/layouts.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/checkpoint/recognise.hpp"
#include "kovos/clip/architecture.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/clip/presets.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/normalization.hpp"

namespace {

using namespace kovos;

constexpr ClipConfig tiny_clip{.embed_dim = 12,
                               .vision = {.image_size = 16, .patch_size = 4, .width = 16, .layers = 3, .heads = 2},
                               .text = {.vocabulary_size = 554, .width = 8, .layers = 1, .heads = 2}};

std::string path_of(std::string const& name) { return std::string(KOVOS_TEST_DATA) + "/checkpoints/" + name; }

/// Rows 12..27 and columns 18..33 of the recorded picture, normalised as CLIP does. [1, 16, 16, 3]
template <class Exec>
auto cut_picture(Context<Exec> const& context, NamedTensors const& expected) {
  auto const image = to_float(expected.tensors.at("image"));
  DynamicTensor<float, 4> const pixels(dynamic_extents<4>(1, 16, 16, 3));
  float const mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
  float const deviation[3] = {0.26862954f, 0.26130258f, 0.27577711f};
  for (std::size_t y = 0; y < 16; ++y)
    for (std::size_t x = 0; x < 16; ++x)
      for (std::size_t c = 0; c < 3; ++c)
        pixels(0, y, x, c) = (image[((y + 12) * 52 + x + 18) * 3 + c] / 255.0f - mean[c]) / deviation[c];
  return to_device(context, pixels);
}

void check_gives_the_recorded_scores(std::string const& name) {
  CAPTURE(name);
  Context<> const context;
  auto const expected = read_checkpoint(path_of("tiny_expected.safetensors"));
  auto const file = with_canonical_names(read_checkpoint(path_of(name)));
  ClipModel<tiny_clip, float, Context<>::memory_space> model;
  auto const report = load_parameters(context, model, file);
  INFO(report.to_string());
  REQUIRE(report.complete());
  CHECK(report.unexpected.empty());

  auto const ids = to_float(expected.tensors.at("tokens"));
  std::vector<std::vector<std::int32_t>> prompts(3);
  for (std::size_t i = 0; i < ids.size(); ++i) prompts[i / 77].push_back(static_cast<std::int32_t>(ids[i]));
  auto const text = l2_normalize(context, model.text.encode(context, prompts));
  auto const text_expected = to_float(expected.tensors.at("text"));
  auto const rows = to_host(context, text);
  REQUIRE(rows.size() == text_expected.size());
  for (std::size_t i = 0; i < text_expected.size(); ++i) CHECK(std::fabs(rows.data()[i] - text_expected[i]) <= 2e-6f);

  auto const image = model.visual.encode(context, cut_picture(context, expected));
  auto const cosine = to_host(context, cosine_similarity(context, image, text));
  auto const scores = to_float(expected.tensors.at("clip_scores"));
  float const scale = std::exp(to_host(context, model.logit_scale).data()[0]);
  for (std::size_t i = 0; i < scores.size(); ++i) CHECK(std::fabs(scale * cosine(0, i) - scores[i]) <= 1e-4f);
}

NamedTensors tiny() { return with_canonical_names(read_checkpoint(path_of("tiny_clip.safetensors"))); }

}  // namespace

TEST_CASE("plain CLIP gives the recorded scores from every maker's file") {
  for (auto const* name : {"tiny_clip.safetensors", "tiny_openai.pt", "tiny_hf.safetensors", "tiny_openclip.bin",
                           "tiny_openclip_text.safetensors"})
    check_gives_the_recorded_scores(name);
}

TEST_CASE("makers are told by their keys") {
  auto const maker = [](char const* name) { return layout_of(read_checkpoint(path_of(name))); };
  CHECK(maker("tiny_zip.pth") == &cat_seg_layout);
  CHECK(maker("tiny_legacy.pth") == &cat_seg_layout);
  CHECK(maker("tiny_openai.pt") == &openai_clip_layout);
  CHECK(maker("tiny_hf.safetensors") == &hugging_face_clip_layout);
  CHECK(maker("tiny_openclip_text.safetensors") == &open_clip_layout);
  CHECK(maker("tiny_expected.safetensors") == nullptr);
  CHECK_THROWS_WITH_AS((void)with_canonical_names(read_checkpoint(path_of("tiny_expected.safetensors"))),
                       doctest::Contains("not CAT-Seg or CLIP"), CheckpointError);
}

TEST_CASE("the geometry is read off the shapes") {
  auto const shape = clip_shape(tiny());
  CHECK(shape == shape_of(tiny_clip));
  CHECK(shape != shape_of(clip_vit_b16));
  CHECK(shape.to_string().find("vision transformer 16 wide, 3 layers, patch 4, grid 4 x 4") != std::string::npos);
}

TEST_CASE("fp32 weights of a safetensors file are used in place") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const file = tiny();
  ClipModel<tiny_clip, float, Kokkos::HostSpace> model;
  load_parameters_or_throw(context, model, file, "tiny");
  CHECK(static_cast<void const*>(model.visual.conv1.weight.data()) ==
        static_cast<void const*>(file.tensors.at("visual.conv1.weight").bytes.data()));
}

TEST_CASE("missing, mis-shaped and unexpected keys are one clear report") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto file = tiny();
  file.source = "damaged.safetensors";
  file.tensors.erase("visual.proj");
  file.tensors.at("ln_final.weight").shape = {4, 2};
  file.tensors["surprise"] = file.tensors.at("ln_final.bias");
  ClipModel<tiny_clip, float, Kokkos::HostSpace> model;
  auto const report = load_parameters(context, model, file);
  CHECK(report.missing == std::vector<std::string>{"visual.proj"});
  CHECK(report.mismatched == std::vector<std::string>{"ln_final.weight: expected [8], got [4, 2]"});
  CHECK(report.unexpected == std::vector<std::string>{"surprise"});
  CHECK_THROWS_WITH_AS(load_parameters_or_throw(context, model, file, "tiny"),
                       doctest::Contains("damaged.safetensors: the keys do not fit tiny"), CheckpointError);
}

TEST_CASE("NaN weights are refused by name") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto file = tiny();
  auto& entry = file.tensors.at("visual.ln_post.bias");
  auto const bytes = std::make_shared<std::vector<std::byte>>(entry.bytes.begin(), entry.bytes.end());
  float const bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes->data() + 4, &bad, 4);
  entry.bytes = *bytes;
  entry.owner = bytes;
  ClipModel<tiny_clip, float, Kokkos::HostSpace> model;
  CHECK_THROWS_WITH_AS(load_parameters(context, model, file), doctest::Contains("'visual.ln_post.bias' contains NaN"),
                       CheckpointError);
}

TEST_CASE("official parameter counts") {
  CHECK(count_parameters(ClipModel<clip_vit_b32, float, Kokkos::HostSpace>()) == 151277313);
  CHECK(count_parameters(ClipModel<clip_vit_b16, float, Kokkos::HostSpace>()) == 149620737);
  CHECK(count_parameters(ClipModel<clip_vit_l14, float, Kokkos::HostSpace>()) == 427616513);
  CHECK(count_parameters(ClipModel<clip_vit_l14_336, float, Kokkos::HostSpace>()) == 427944193);
}
