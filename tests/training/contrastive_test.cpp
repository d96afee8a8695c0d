// SPDX-License-Identifier: Apache-2.0
// The losses of contrastive pre-training, and who of CLIP decays.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kovos/clip/presets.hpp"
#include "kovos/training/clip_training.hpp"
#include "kovos/training/losses.hpp"
#include "support/spaces.hpp"

namespace {

using namespace kovos;
using namespace kovos::test;

using Numbers = std::vector<double>;

/// What a loss depends on: pictures [n, patches, depth], texts [n, depth], the logarithm of the scale.
struct Inputs {
  std::size_t n, patches, depth;
  Numbers pictures, texts, scale;
  std::vector<std::uint8_t> said{};  // [texts, pictures]; empty: text i is said of picture i

  std::size_t number() const { return texts.size() / depth; }
  bool is_pair(std::size_t text, std::size_t picture) const {
    return said.empty() ? text == picture : said[text * n + picture] != 0;
  }

  static Inputs random(std::uint64_t seed, std::size_t n, std::size_t patches, std::size_t depth, double scale,
                       std::vector<std::uint8_t> said = {}) {
    std::size_t const number = said.empty() ? n : said.size() / n;
    Inputs in{n, patches, depth, Numbers(n * patches * depth), Numbers(number * depth), {scale}, std::move(said)};
    Random random(seed);
    for (auto* const list : {&in.pictures, &in.texts})
      for (double& x : *list) x = static_cast<double>(random.number());
    return in;
  }
};

/// The definition in double precision: the symmetric cross-entropy of exp(scale) times the similarities, where that of
/// a picture and a text is log(mean over patches of exp(sharpness cosine)) / sharpness. A pair is compared with what
/// makes no pair with one of the two.
double reference(Inputs const& in, double sharpness, double weight) {
  auto const cosine = [&](double const* a, double const* b) {
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i < in.depth; ++i) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    return ab / std::sqrt(aa * bb);
  };
  std::size_t const n = in.n, m = in.number();
  Numbers powers(n * m);  // [picture, text]
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) {
      double mean = 0;
      for (std::size_t p = 0; p < in.patches; ++p)
        mean += std::exp(sharpness * cosine(&in.pictures[(i * in.patches + p) * in.depth], &in.texts[j * in.depth])) /
                static_cast<double>(in.patches);
      powers[i * m + j] = std::exp(std::exp(in.scale[0]) * std::log(mean) / sharpness);
    }
  double loss = 0;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) {
      if (!in.is_pair(j, i)) continue;
      double const own = powers[i * m + j];
      double row = own, column = own;
      for (std::size_t k = 0; k < m; ++k) row += in.is_pair(k, i) ? 0 : powers[i * m + k];
      for (std::size_t k = 0; k < n; ++k) column += in.is_pair(j, k) ? 0 : powers[k * m + j];
      loss += std::log(row / own) + std::log(column / own);
      ++pairs;
    }
  return weight * loss / (2 * static_cast<double>(pairs));
}

struct Result {
  double loss = 0;
  Numbers pictures, texts, scale;  // gradients
};

template <class... I>
auto tensor_of(Numbers const& values, I... extents) {
  DynamicTensor<float, sizeof...(I)> x(dynamic_extents<sizeof...(I)>{extents...});
  for (std::size_t i = 0; i < values.size(); ++i) x.data()[i] = static_cast<float>(values[i]);
  return x;
}

/// The loss of a context: on the class tokens if sharpness is 0, else on the patches.
template <class Exec>
Result run(Context<Exec> const& context, Inputs const& in, double sharpness, double weight, float seed = 1) {
  Tape<Exec> tape(context);
  auto const gradient = [&](auto const& x) {
    auto const g = context.template tensor<float>(x.size());
    fill(context, g, 0.0f);
    tape.watch(x, g);
    return g;
  };
  auto const pictures = to_device(context, tensor_of(in.pictures, in.n, in.patches, in.depth));
  auto const texts = to_device(context, tensor_of(in.texts, in.number(), in.depth));
  auto const scale = to_device(context, tensor_of(in.scale, std::size_t{1}));
  auto const dpictures = gradient(pictures), dtexts = gradient(texts), dscale = gradient(scale);
  TextsOfPictures<typename Exec::memory_space> pairs;
  if (!in.said.empty()) {
    Tensor<std::uint8_t, dynamic_extents<2>> said(dynamic_extents<2>(in.number(), in.n));
    std::copy(in.said.begin(), in.said.end(), said.data());
    pairs = {to_device(context, said), static_cast<std::size_t>(std::count(in.said.begin(), in.said.end(), 1))};
  }
  auto const loss =
      sharpness == 0
          ? contrastive_loss(tape, pictures.reshape(dynamic_extents<2>(in.n, in.depth)), texts, scale, weight)
          : dense_contrastive_loss(tape, pictures, texts, pairs, scale, static_cast<float>(sharpness), weight);
  Result result;
  result.loss = static_cast<double>(to_host(context, loss).data()[0]);
  tape.backward(loss, seed);
  context.fence();
  result.pictures = values(to_host(context, dpictures));
  result.texts = values(to_host(context, dtexts));
  result.scale = values(to_host(context, dscale));
  return result;
}

/// max |a - b| / max |b|.
double error(Numbers const& a, Numbers const& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0, top = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i])) return INFINITY;
    worst = std::max(worst, std::fabs(a[i] - b[i])), top = std::max(top, std::fabs(b[i]));
  }
  return worst / top;
}

/// Central differences of the definition.
Numbers slopes(Inputs in, Numbers Inputs::*list, double sharpness, double weight) {
  Numbers result;
  double const h = 1e-6;
  for (double& x : in.*list) {
    double const kept = x;
    x = kept + h;
    double const above = reference(in, sharpness, weight);
    x = kept - h;
    result.push_back((above - reference(in, sharpness, weight)) / (2 * h));
    x = kept;
  }
  return result;
}

void check(Inputs const& in, double sharpness, double weight) {
  // With a single patch the soft maximum is the cosine itself, whatever its sharpness.
  double const like = sharpness == 0 ? 1 : sharpness;
  double const expected = reference(in, like, weight);
  auto const pictures = slopes(in, &Inputs::pictures, like, weight), texts = slopes(in, &Inputs::texts, like, weight),
             scale = slopes(in, &Inputs::scale, like, weight);
  for_each_context([&](auto const& context) {
    auto const got = run(context, in, sharpness, weight);
    CHECK(got.loss == doctest::Approx(expected).epsilon(2e-6));
    CHECK(error(got.pictures, pictures) < 2e-5);
    CHECK(error(got.texts, texts) < 2e-5);
    CHECK(error(got.scale, scale) < 2e-5);
  });
}

}  // namespace

TEST_CASE("contrastive loss and its gradients equal PyTorch's") {
  // cross_entropy of exp(2) times the cosines, by rows and by columns, halved; fp64.
  Inputs const in{3,
                  1,
                  4,
                  {0.75, 0.25, 0, 0.5, -0.5, -0.25, -1.5, 0.5, -1, -0.5, -1, 0},
                  {-0.25, -1, 0.5, 0.25, -0.5, -0.5, -1.5, 0, 3.5, -1.75, 1.5, -1.25},
                  {2}};
  Result const expected{
      4.60385138180459,
      {1.25228704439, 0.686005603807, -0.208158149468, -2.22143336849, -0.0147164910708, -0.024210001908,
       0.0455626587722, 0.109866484292, -0.355845008486, 0.437919930242, 0.136885043365, 0.618242364321},
      {-2.1316409898, -0.271072509026, -1.00264872045, -1.210633585, -0.409484362166, -0.106507446354, 0.171997269507,
       -0.0926414249835, 0.369483234169, 0.564214221486, 0.180477738338, 0.461226431599},
      {4.38583014680767}};
  for_each_context([&](auto const& context) {
    auto const got = run(context, in, 0, 1);
    CHECK(got.loss == doctest::Approx(expected.loss).epsilon(1e-6));
    CHECK(error(got.pictures, expected.pictures) < 1e-6);
    CHECK(error(got.texts, expected.texts) < 1e-6);
    CHECK(error(got.scale, expected.scale) < 1e-6);
  });
}

TEST_CASE("contrastive loss and its gradients beside finite differences") {
  check(Inputs::random(1, 5, 1, 8, 1.0), 0, 1);
  check(Inputs::random(2, 7, 1, 3, 2.66), 0, 0.3);
  check(Inputs::random(3, 2, 1, 2, 0.0), 0, 1);
}

TEST_CASE("dense contrastive loss and its gradients beside finite differences") {
  check(Inputs::random(4, 4, 6, 8, 1.0), 20, 1);
  check(Inputs::random(5, 3, 5, 4, 2.66), 3, 0.7);
  check(Inputs::random(6, 3, 1, 4, 1.0), 20, 1);
}

TEST_CASE("dense contrastive loss: texts of several pictures, pictures of several texts, pictures of none") {
  check(Inputs::random(11, 4, 3, 5, 1.0, {1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0}), 20, 1);
  check(Inputs::random(12, 3, 4, 4, 2.66, {0, 1, 0, 1, 1, 1}), 3, 0.7);
  check(Inputs::random(13, 3, 2, 4, 1.0, {1, 0, 0, 0, 1, 0, 0, 0, 1}), 20, 1);
}

TEST_CASE("dense contrastive loss: texts said of all pictures have nothing to be told from") {
  Context<> const context;
  auto const got = run(context, Inputs::random(14, 2, 3, 4, 2.0, {1, 1, 1, 1, 1, 1}), 20, 1);
  CHECK(got.loss == doctest::Approx(0));
  for (double const g : got.texts) CHECK(g == 0);
}

TEST_CASE("with one patch the dense loss is the contrastive loss") {
  auto const in = Inputs::random(7, 5, 1, 6, 2.0);
  Context<> const context;
  auto const dense = run(context, in, 20, 1), plain = run(context, in, 0, 1);
  CHECK(dense.loss == doctest::Approx(plain.loss).epsilon(1e-6));
  CHECK(error(dense.pictures, plain.pictures) < 1e-5);
}

TEST_CASE("a sharper dense loss comes near that of the best patch, a blunt one near that of the mean cosine") {
  auto const in = Inputs::random(8, 3, 4, 5, 1.0);
  Context<> const context;
  // log(mean(exp(s x))) / s lies between the mean and the maximum of x.
  auto const sharp = run(context, in, 1e4, 1).loss, blunt = run(context, in, 1e-2, 1).loss;
  CHECK(std::isfinite(sharp));
  CHECK(sharp == doctest::Approx(reference(in, 500, 1)).epsilon(1e-2));
  CHECK(blunt == doctest::Approx(reference(in, 1e-2, 1)).epsilon(1e-3));
}

TEST_CASE("contrastive loss: one pair costs nothing, equal pairs cost log n") {
  Context<> const context;
  auto const one = run(context, Inputs::random(9, 1, 1, 4, 4.6), 0, 1);
  CHECK(one.loss == 0);
  for (double const g : one.pictures) CHECK(g == 0);
  for (double const sharpness : {0.0, 20.0}) {
    auto const same = run(context, {4, 1, 2, Numbers(8, 1), Numbers(8, 1), {2}}, sharpness, 1);
    CHECK(same.loss == doctest::Approx(std::log(4.0)).epsilon(1e-6));
  }
}

TEST_CASE("contrastive loss: the lowest temperature overflows nothing") {
  Context<> const context;
  // Every picture fits the other text only: a loss of 2 exp(scale).
  Inputs const in{2, 1, 1, {1, -1}, {-1, 1}, {std::log(100.0)}};
  for (double const sharpness : {0.0, 20.0}) {
    auto const got = run(context, in, sharpness, 1);
    CHECK(got.loss == doctest::Approx(200).epsilon(1e-5));
    CHECK(got.scale[0] == doctest::Approx(200).epsilon(1e-5));
  }
}

TEST_CASE("contrastive loss: the gradient is proportional to its seed") {
  Context<> const context;
  auto const in = Inputs::random(10, 4, 3, 4, 1.0);
  auto const whole = run(context, in, 20, 1), half = run(context, in, 20, 1, 0.5f);
  for (std::size_t i = 0; i < whole.texts.size(); ++i) CHECK(half.texts[i] == 0.5 * whole.texts[i]);
  CHECK(half.scale[0] == 0.5 * whole.scale[0]);
}

TEST_CASE("contrastive losses: what does not fit is refused") {
  Context<> const context;
  Tape<> const tape(context);
  DynamicTensor<float, 2> const two(dynamic_extents<2>(2, 4)), three(dynamic_extents<2>(3, 4)),
      none(dynamic_extents<2>(0, 4));
  DynamicTensor<float, 3> const patches(dynamic_extents<3>(2, 5, 4)), no_patches(dynamic_extents<3>(2, 0, 4));
  DynamicTensor<float, 1> const scale(dynamic_extents<1>{1}), scales(dynamic_extents<1>{2});
  auto const message = [](auto const& f) { return message_of<ShapeError>(f); };
  CHECK(message([&] { contrastive_loss(tape, two, three, scale); }).find("texts.extent(0)") != std::string::npos);
  CHECK(message([&] { contrastive_loss(tape, two, two, scales); }).find("logit_scale") != std::string::npos);
  CHECK(message([&] { contrastive_loss(tape, none, none, scale); }) == "[contrastive_loss] the batch is empty");
  CHECK(message([&] { dense_contrastive_loss(tape, patches, three, scale, 20.0f); }).find("texts.extent(0)") !=
        std::string::npos);
  CHECK(message([&] { dense_contrastive_loss(tape, patches, two, scales, 20.0f); }).find("logit_scale") !=
        std::string::npos);
  CHECK(message([&] { dense_contrastive_loss(tape, no_patches, two, scale, 20.0f); }) ==
        "[dense_contrastive_loss] the batch is empty");
  TextsOfPictures<Context<>::memory_space> const of_three{DynamicTensor<std::uint8_t, 2>(dynamic_extents<2>(2, 3)), 1};
  CHECK(message([&] {
          dense_contrastive_loss(tape, patches, two, of_three, scale, 20.0f);
        }).find("pairs.said.extent(1)") != std::string::npos);
  CHECK(message([&] {
          dense_contrastive_loss(tape, patches, three, of_three, scale, 20.0f);
        }).find("texts.extent(0)") != std::string::npos);
}

TEST_CASE("CLIP is trained whole; gains, biases, embeddings of position and class and the temperature do not decay") {
  ClipModel<clip_tiny, float, Kokkos::HostSpace> const model;
  std::map<std::string, ParameterRole, std::less<>> roles;
  for (auto const& parameter : parameters_of(model)) roles[parameter.name()] = parameter.role();
  ClipParameterRule const rule;
  for (char const* const name :
       {"visual.conv1.weight", "visual.transformer.resblocks.0.attn.q_proj_weight", "text_projection", "visual.proj",
        "visual.transformer.resblocks.0.mlp.c_fc.weight", "transformer.resblocks.1.attn.out_proj.weight"}) {
    REQUIRE_MESSAGE(roles.contains(name), std::string(name));
    auto const how = rule(name, roles.at(name));
    REQUIRE_MESSAGE(how.has_value(), std::string(name));
    CHECK_MESSAGE(how->weight_decay == 0.1, std::string(name));
    CHECK(how->learning_rate_multiplier == 1);
  }
  for (char const* const name :
       {"logit_scale", "ln_final.weight", "visual.ln_pre.weight", "visual.ln_post.bias", "positional_embedding",
        "visual.positional_embedding", "visual.class_embedding", "token_embedding.weight",
        "transformer.resblocks.0.ln_1.weight", "transformer.resblocks.0.attn.in_proj_bias",
        "transformer.resblocks.0.attn.out_proj.bias"}) {
    REQUIRE_MESSAGE(roles.contains(name), std::string(name));
    auto const how = rule(name, roles.at(name));
    REQUIRE_MESSAGE(how.has_value(), std::string(name));
    CHECK_MESSAGE(how->weight_decay == 0, std::string(name));
  }
}
