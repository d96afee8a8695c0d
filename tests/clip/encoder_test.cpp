// SPDX-License-Identifier: Apache-2.0
// The image encoder on pictures that are not square, against PyTorch (tests/reference/record_encoder.py).

#include "kovos/clip/image_encoder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "kovos/autodiff/rules.hpp"
#include "kovos/checkpoint/canonical_names.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/clip/clip.hpp"
#include "kovos/io/checkpoint_file.hpp"
#include "kovos/io/tensor_bytes.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using test::message_of;

constexpr ClipConfig tiny_clip{.embed_dim = 12,
                               .vision = {.image_size = 16, .patch_size = 4, .width = 16, .layers = 3, .heads = 2},
                               .text = {.vocabulary_size = 554, .width = 8, .layers = 1, .heads = 2}};

using Exec = Kokkos::DefaultHostExecutionSpace;
using Model = ClipModel<tiny_clip, float, Kokkos::HostSpace>;

NamedTensors read(char const* name) { return read_checkpoint(std::string(KOVOS_TEST_DATA) + "/checkpoints/" + name); }

/// The largest difference from what was recorded, whose largest magnitude is about 4.
template <class V>
double difference(V const& got, NamedTensors const& file, std::string const& name) {
  auto const& tensor = file.tensors.at(name);
  REQUIRE(std::ranges::equal(tensor.shape, [&] {
    std::vector<std::size_t> extents;
    for (std::size_t i = 0; i < V::rank(); ++i) extents.push_back(got.extent(i));
    return extents;
  }()));
  auto const expected = to_float(tensor);
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double const d = std::fabs(static_cast<double>(got.data()[i]) - static_cast<double>(expected[i]));
    worst = d <= worst ? worst : d;  // NaN is kept
  }
  return worst;
}

DynamicTensor<float, 4> pixels_of(NamedTensors const& file, std::string const& name) {
  auto const& tensor = file.tensors.at(name);
  auto const values = to_float(tensor);
  DynamicTensor<float, 4> pixels(
      dynamic_extents<4>(tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]));
  std::ranges::copy(values, pixels.data());
  return pixels;
}

}  // namespace

TEST_CASE("image encoder: pictures that are not square give PyTorch's features, in contexts and tapes") {
  static_assert(image_encoder<Model::Encoder, Context<Exec>>);
  static_assert(image_encoder<Model::Encoder, Tape<Exec>>);
  auto const file = read("tiny_oblong.safetensors");
  Context<Exec> const context;
  Model model;
  REQUIRE(load_parameters(context, model, with_canonical_names(read("tiny_clip.safetensors"))).complete());
  // Asked for in another order than they are computed in, once twice.
  std::array<std::size_t, 3> const wanted{1, 0, 1};
  for (std::string const name : {"high", "wide", "whole"}) {
    CAPTURE(name);
    auto const pixels = pixels_of(file, name + ".pixels");
    auto const check = [&](auto const& c) {
      auto const pyramid = model.visual.features(c, pixels, {}, wanted);
      context.fence();
      CHECK(difference(pyramid.dense, file, name + ".dense") <= 2e-6);
      REQUIRE(pyramid.levels.size() == 3);
      CHECK(difference(pyramid.levels[0], file, name + ".level1") <= 2e-6);
      CHECK(difference(pyramid.levels[1], file, name + ".level0") <= 2e-6);
      CHECK(difference(pyramid.levels[2], file, name + ".level1") <= 2e-6);
      auto const embedding = model.visual.encode(c, pixels);
      auto const joint = model.visual.encode_joint(c, pixels);
      context.fence();
      CHECK(difference(embedding, file, name + ".embedding") <= 2e-6);
      CHECK(difference(joint.embedding, file, name + ".embedding") <= 2e-6);
      CHECK(difference(joint.dense, file, name + ".dense") <= 2e-6);
    };
    check(context);
    check(Tape<Exec>(context));
  }
}

TEST_CASE("image encoder: sides that the patches do not divide are refused, each") {
  Context<Exec> const context;
  Model model;
  REQUIRE(load_parameters(context, model, with_canonical_names(read("tiny_clip.safetensors"))).complete());
  for (auto const& [height, width] : {std::array<std::size_t, 2>{18, 16}, std::array<std::size_t, 2>{16, 18}}) {
    auto const pixels = context.tensor<float>(1, height, width, 3);
    CHECK(message_of<ShapeError>([&] { (void)model.visual.features(context, pixels, {}); }) ==
          "[VisionTransformer] the input must have sides divisible by the patch size 4, got [1, " +
              std::to_string(height) + ", " + std::to_string(width) + ", 3]");
  }
}
