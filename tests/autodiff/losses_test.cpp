// SPDX-License-Identifier: Apache-2.0
#include "kovos/training/losses.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "autodiff/references.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Labels = std::vector<std::int32_t>;

DynamicTensor<std::int32_t, 1> integers(Labels const& list) {
  DynamicTensor<std::int32_t, 1> x(dynamic_extents<1>{list.size()});
  std::copy(list.begin(), list.end(), x.data());
  return x;
}

/// Labels below `classes` and, for about a quarter of the pixels, none.
Labels random_labels(std::uint64_t seed, std::size_t classes, std::size_t pixels) {
  Random random(seed);
  Labels labels;
  for (std::size_t i = 0; i < pixels; ++i)
    labels.push_back(random.below(4) == 0 ? -1 : static_cast<std::int32_t>(random.below(classes)));
  return labels;
}

struct SegmentationCase {
  std::size_t classes, h, w, height, width;
  double weight = 1;
};

/// -log of the probability that sigmoid(z) gives to the answer y.
double binary_cross_entropy(double z, bool y) {
  return std::log1p(std::exp(-std::fabs(z))) + std::max(y ? -z : z, 0.0);
}

/// The mean over classes and pixels; a pixel of label -1 belongs to no class.
double segmentation_loss_of(SegmentationCase const& p, Values const& logits, Labels const& labels) {
  auto const full =
      reference::resize_bilinear({p.classes, p.h, p.w, 1}, logits, p.height, p.width, Alignment::half_pixel).value;
  std::size_t const pixels = p.height * p.width;
  double sum = 0;
  for (std::size_t i = 0; i < full.size(); ++i)
    sum += binary_cross_entropy(full[i], labels[i % pixels] == static_cast<std::int32_t>(i / pixels));
  return p.weight * sum / static_cast<double>(full.size());
}

auto run_segmentation_loss(SegmentationCase const& p, Labels const& labels) {
  return [&p, target = integers(labels)](auto const& tape, auto const& x) {
    return segmentation_loss(tape, x[0].reshape(dynamic_extents<3>(p.classes, p.h, p.w)), on(tape.context(), target),
                             p.height, p.width, p.weight);
  };
}

/// The symmetric cross-entropy of factor * similarities [n, n].
double cross_entropy_of(std::size_t n, Values const& similarities, double factor) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double row = 0, column = 0;
    for (std::size_t j = 0; j < n; ++j) {
      row += std::exp(factor * similarities[i * n + j]);
      column += std::exp(factor * similarities[j * n + i]);
    }
    sum += std::log(row) + std::log(column) - 2 * factor * similarities[i * n + i];
  }
  return sum / static_cast<double>(2 * n);
}

double cosine(double const* a, double const* b, std::size_t depth) {
  double product = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < depth; ++i) {
    product += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return product / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("segmentation_loss: resized logits, pixels without a class, weights") {
  std::vector<SegmentationCase> const cases{{1, 1, 1, 1, 1},      {3, 2, 3, 5, 7},        {5, 4, 4, 4, 4},
                                            {2, 5, 3, 3, 2, 2.5}, {17, 3, 2, 9, 8, 0.25}, {3, 4, 4, 4, 6},
                                            {7, 1, 5, 6, 5}};
  for (auto const& p : cases) {
    CAPTURE(p.classes);
    CAPTURE(p.h);
    CAPTURE(p.w);
    CAPTURE(p.height);
    CAPTURE(p.width);
    auto labels = random_labels(p.classes, p.classes, p.height * p.width);
    labels[0] = 0;
    check_rule({numbers(1, 4, p.classes * p.h * p.w)}, run_segmentation_loss(p, labels),
               [&](std::vector<Values> const& x) { return Values{segmentation_loss_of(p, x[0], labels)}; });
  }
}

TEST_CASE("segmentation_loss: a picture without any label teaches that nothing is there") {
  SegmentationCase const p{3, 2, 2, 3, 5};
  Labels const labels(15, -1);
  for_each_context([&](auto const& context) {
    auto const result = differentiate(context, {Values(12)}, {1.0}, run_segmentation_loss(p, labels));
    CHECK(close(result.output, {std::log(2.0)}, 1e-6));
    // Each logit of zero passes half of its share of the mean on; the rows' and columns' shares sum to 1.
    double sum = 0;
    for (double g : result.gradients[0]) {
      CHECK(g > 0);
      sum += g;
    }
    CHECK(std::fabs(sum - 0.5) < 1e-6);
  });
}

TEST_CASE("segmentation_loss: large logits stay finite") {
  SegmentationCase const p{2, 1, 4, 1, 4};
  Labels const labels{0, 1, -1, 0};
  Values const logits{150, 200, -300, -120, 90, 250, 1000, -1e4};
  Values expected;  // (sigmoid(z) - y) / 8, which is 0 or +-1/8
  for (std::size_t i = 0; i < 8; ++i)
    expected.push_back(((logits[i] > 0 ? 1.0 : 0.0) - (labels[i % 4] == static_cast<std::int32_t>(i / 4) ? 1.0 : 0.0)) /
                       8);
  double const loss = segmentation_loss_of(p, logits, labels);
  for_each_context([&](auto const& context) {
    auto const result = differentiate(context, {logits}, {1.0}, run_segmentation_loss(p, labels));
    CHECK(close(result.output, {loss}, 1e-6 * loss));
    CHECK(close(result.gradients[0], expected, 1e-6));
  });
}

TEST_CASE("segmentation_loss: classes that are taken in several turns") {
  // 2^20 logits of full size are in memory at once: two of the five classes. The slope by a logit is a sum over the
  // pixels it contributes to, here along both axes with weights 1 - |distance|.
  SegmentationCase const p{5, 3, 2, 700, 600};
  std::size_t const pixels = p.height * p.width;
  auto const labels = random_labels(1, p.classes, pixels);
  Values const logits = numbers(2, 3, p.classes * p.h * p.w);
  auto const weights_of = [](std::size_t in, std::size_t out) {
    Values weights(in * out);  // [out, in]
    for (std::size_t i = 0; i < out; ++i) {
      double const source =
          std::clamp((static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5, 0.0,
                     static_cast<double>(in - 1));
      for (std::size_t k = 0; k < in; ++k)
        weights[i * in + k] = std::max(0.0, 1 - std::fabs(source - static_cast<double>(k)));
    }
    return weights;
  };
  Values const rows = weights_of(p.h, p.height), columns = weights_of(p.w, p.width);
  double loss = 0;
  Values slopes(logits.size());
  for (std::size_t t = 0; t < p.classes; ++t)
    for (std::size_t i = 0; i < pixels; ++i) {
      double z = 0;
      auto const each = [&](auto const& f) {
        for (std::size_t a = 0; a < p.h; ++a)
          for (std::size_t b = 0; b < p.w; ++b)
            f((t * p.h + a) * p.w + b, rows[i / p.width * p.h + a] * columns[i % p.width * p.w + b]);
      };
      each([&](std::size_t at, double weight) { z += weight * logits[at]; });
      bool const y = labels[i] == static_cast<std::int32_t>(t);
      loss += binary_cross_entropy(z, y);
      double const slope = 1 / (1 + std::exp(-z)) - (y ? 1 : 0);
      each([&](std::size_t at, double weight) { slopes[at] += weight * slope; });
    }
  double const share = 1 / static_cast<double>(p.classes * pixels);
  for (double& s : slopes) s *= share;
  Context<> const context;
  auto const result = differentiate(context, {logits}, {1.0}, run_segmentation_loss(p, labels));
  CHECK(close(result.output, {loss * share}, 1e-6));
  CHECK(close_gradients(result.gradients[0], slopes, 1e-5));
}

TEST_CASE("segmentation_loss: labels of another picture, no classes") {
  Tape const tape(Context<Kokkos::DefaultHostExecutionSpace>{});
  auto const labels = integers(Labels(6));
  CHECK(message_of<ShapeError>([&] { segmentation_loss(tape, random_tensor(1, 1, 2, 2, 2), labels, 2, 4); }) ==
        "[segmentation_loss] labels is 6, expected 8");
  CHECK(message_of<ShapeError>([&] { segmentation_loss(tape, random_tensor(1, 1, 0, 2, 2), labels, 2, 3); }) ==
        "[segmentation_loss] there are no classes or no pixels");
}

TEST_CASE("label_tensor: a pixel without a class is -1") {
  for_each_context([](auto const& context) {
    auto const labels = label_tensor(context, LabelMap{1, 3, {7, LabelMap::unknown, 0}});
    context.fence();
    CHECK(values(labels) == Values{7, -1, 0});
  });
}

TEST_CASE("contrastive_loss: pictures, captions and the logarithm of the scale") {
  struct Case {
    std::size_t n, depth;
    double scale, weight = 1;
  };
  for (auto const& p : {Case{2, 3, 0}, Case{3, 7, 1.5, 0.5}, Case{5, 17, 2.65625}, Case{17, 5, 4.625, 3}}) {
    CAPTURE(p.n);
    CAPTURE(p.depth);
    check_rule(
        {numbers(1, 2, p.n * p.depth), numbers(2, 2, p.n * p.depth), {p.scale}},
        [&](auto const& tape, auto const& x) {
          dynamic_extents<2> const e(p.n, p.depth);
          return contrastive_loss(tape, x[0].reshape(e), x[1].reshape(e), x[2], p.weight);
        },
        [&](std::vector<Values> const& x) {
          Values cosines;
          for (std::size_t i = 0; i < p.n; ++i)
            for (std::size_t j = 0; j < p.n; ++j)
              cosines.push_back(cosine(&x[0][i * p.depth], &x[1][j * p.depth], p.depth));
          return Values{p.weight * cross_entropy_of(p.n, cosines, std::exp(x[2][0]))};
        });
  }
}

TEST_CASE("contrastive_loss: one pair has nothing to learn") {
  for_each_context([](auto const& context) {
    auto const result =
        differentiate(context, {numbers(1, 1, 5), numbers(2, 1, 5), {2.0}}, {1.0}, [](auto const& tape, auto const& x) {
          dynamic_extents<2> const e(1, 5);
          return contrastive_loss(tape, x[0].reshape(e), x[1].reshape(e), x[2]);
        });
    CHECK(result.output == Values{0});
    for (auto const& gradient : result.gradients) CHECK(largest(gradient) == 0);
  });
}

TEST_CASE("dense_contrastive_loss: the patches that show what the text names") {
  struct Case {
    std::size_t n, patches, depth;
    double scale, sharpness, weight = 1;
  };
  for (auto const& p : {Case{2, 1, 3, 1, 10}, Case{3, 5, 7, 1.5, 0.5, 0.5}, Case{5, 9, 17, 2.65625, 20}}) {
    CAPTURE(p.n);
    CAPTURE(p.patches);
    CAPTURE(p.sharpness);
    check_rule(
        {numbers(1, 2, p.n * p.patches * p.depth), numbers(2, 2, p.n * p.depth), {p.scale}},
        [&](auto const& tape, auto const& x) {
          return dense_contrastive_loss(tape, x[0].reshape(dynamic_extents<3>(p.n, p.patches, p.depth)),
                                        x[1].reshape(dynamic_extents<2>(p.n, p.depth)), x[2],
                                        static_cast<float>(p.sharpness), p.weight);
        },
        [&](std::vector<Values> const& x) {
          Values similarities;  // [texts, pictures]
          for (std::size_t i = 0; i < p.n; ++i)
            for (std::size_t j = 0; j < p.n; ++j) {
              double sum = 0;
              for (std::size_t k = 0; k < p.patches; ++k)
                sum +=
                    std::exp(p.sharpness * cosine(&x[1][i * p.depth], &x[0][(j * p.patches + k) * p.depth], p.depth));
              similarities.push_back(std::log(sum / static_cast<double>(p.patches)) / p.sharpness);
            }
          return Values{p.weight * cross_entropy_of(p.n, similarities, std::exp(x[2][0]))};
        });
  }
}

TEST_CASE("contrastive losses: extents that do not belong together") {
  Tape const tape(Context<Kokkos::DefaultHostExecutionSpace>{});
  auto const scale = tensor_of({1}), two = tensor_of({1, 2});
  auto const images = random_tensor(1, 1, 3, 5), none = random_tensor(1, 1, 0, 5);
  CHECK(message_of<ShapeError>([&] { contrastive_loss(tape, images, random_tensor(2, 1, 2, 5), scale); }) ==
        "[contrastive_loss] texts.extent(0) is 2, expected 3");
  CHECK(message_of<ShapeError>([&] { contrastive_loss(tape, images, images, two); }) ==
        "[contrastive_loss] logit_scale is 2, expected 1");
  CHECK(message_of<ShapeError>([&] { contrastive_loss(tape, none, none, scale); }) ==
        "[contrastive_loss] the batch is empty");
  auto const patches = random_tensor(3, 1, 3, 2, 5);
  CHECK(message_of<ShapeError>([&] { dense_contrastive_loss(tape, patches, random_tensor(2, 1, 2, 5), scale, 1); }) ==
        "[dense_contrastive_loss] texts.extent(0) is 2, expected 3");
  CHECK(message_of<ShapeError>([&] { dense_contrastive_loss(tape, patches, images, two, 1); }) ==
        "[dense_contrastive_loss] logit_scale is 2, expected 1");
  CHECK(message_of<ShapeError>([&] { dense_contrastive_loss(tape, random_tensor(3, 1, 3, 0, 5), images, scale, 1); }) ==
        "[dense_contrastive_loss] the batch is empty");
}
