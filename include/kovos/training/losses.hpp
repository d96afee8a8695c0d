// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kovos/autodiff/rules.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/losses.hpp"
#include "kovos/kernels/resample.hpp"

namespace kovos {

namespace detail {

/// The sum of doubles in device memory, in order.
template <class Exec>
double ordered_sum(Context<Exec> const& context, DynamicTensor<double, 1, typename Exec::memory_space> const& x) {
  auto const host = to_host(context, x);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += host.data()[i];
  return sum;
}

}  // namespace detail

/// The labels of a picture as the losses read them: class indices, -1 for pixels without a class. [H * W].
template <class Exec>
auto label_tensor(Context<Exec> const& context, LabelMap const& labels) {
  Tensor<std::int32_t, dynamic_extents<1>> host(dynamic_extents<1>{labels.labels.size()});
  for (std::size_t i = 0; i < host.size(); ++i)
    host.data()[i] = labels.labels[i] == LabelMap::unknown ? -1 : static_cast<std::int32_t>(labels.labels[i]);
  return to_device(context, host);
}

/// The authors' loss (their cat_seg_model.py, `forward`): logits are resized bilinearly to the labels, then the mean
/// over classes and pixels of the binary cross-entropy with the one-hot labels; pixels without a label stay in it as
/// negatives of all classes. logits: [T, h, w], labels: [height * width] of label_tensor -> [1], times weight. The
/// gradient is formed in the forward pass, some classes at a time, so that no map of all classes in full size exists.
/// Throws ShapeError if the number of labels is another.
template <class Exec, Recompute Policy>
auto segmentation_loss(Tape<Exec, Policy> const& tape,
                       DynamicTensor<float, 3, typename Exec::memory_space> const& logits,
                       DynamicTensor<std::int32_t, 1, typename Exec::memory_space> const& labels, std::size_t height,
                       std::size_t width, double weight = 1) {
  auto const& context = tape.context();
  std::size_t const classes = logits.extent(0), h = logits.extent(1), w = logits.extent(2), pixels = height * width;
  require_extent("segmentation_loss", "labels", labels.size(), pixels);
  require<ShapeError>(classes > 0 && pixels > 0, "[segmentation_loss] there are no classes or no pixels");
  auto const slopes = context.template tensor<float>(classes, h, w);
  fill(context, slopes, 0.0f);
  auto const losses = context.template tensor<double>(classes * height);
  auto const rows = detail::transposed_linear_taps(h, height, Alignment::half_pixel);
  auto const columns = detail::transposed_linear_taps(w, width, Alignment::half_pixel);
  bool const resizes = h != height || w != width;
  std::size_t const tile = std::max<std::size_t>(1, (std::size_t{1} << 20) / pixels);
  for (std::size_t first = 0; first < classes; first += tile) {
    std::size_t const count = std::min(tile, classes - first);
    auto const part = logits.slice(first, count).reshape(dynamic_extents<4>(count, h, w, 1));
    auto const full = resizes ? resize_bilinear(context, part, height, width) : copy_of(context, part);
    detail::solve(context, problem::SigmoidCrossEntropy{full.data(), labels.data(), first, count * height, width,
                                                        pixels, losses.data() + first * height});
    float* const to = slopes.data() + first * h * w;
    if (resizes) detail::resize_gradient(context, rows, columns, full.data(), count, h, w, height, width, 1, to);
    else detail::add_to(context, full.data(), full.size(), to);
  }
  double const share = weight / (static_cast<double>(classes) * static_cast<double>(pixels));
  auto const loss = tape.template tensor<float>(1);
  fill(context, loss, static_cast<float>(detail::ordered_sum(context, losses) * share));
  auto const dlogits = tape.gradient_of(logits.data());
  tape.record(loss.data(), {dlogits}, {}, [dlogits, slopes, share](auto const& t, float* dy) {
    auto const seed = t.context().template tensor<float>(1);
    fill(t.context(), seed, 0.0f);
    auto const factor = t.context().template tensor<float>(1);
    fill(t.context(), factor, static_cast<float>(share));
    detail::solve(t.context(), problem::AddScaled{factor.data(), dy, 1, seed.data()});
    detail::solve(t.context(),
                  problem::AddScaled{slopes.data(), seed.data(), slopes.size(), dlogits.accumulate(t.context())});
  });
  return loss;
}

namespace detail {

/// Records the symmetric cross-entropy of exp(logit_scale) times similarities [rows, columns] as a loss.
/// spread(slopes) turns its gradient by the similarities into that by `source`.
template <class Exec, Recompute Policy, class Source, class Scale, class Spread>
auto record_contrastive_loss(Tape<Exec, Policy> const& tape, float const* similarities,
                             problem::ContrastivePairs const& pairs, Source const& source, Scale const& logit_scale,
                             double weight, Spread const& spread) {
  auto const& context = tape.context();
  std::size_t const rows = pairs.rows, columns = pairs.columns;
  auto const by_similarity = context.template tensor<float>(rows, columns);
  fill(context, by_similarity, 0.0f);
  auto const losses = context.template tensor<double>(rows + columns);
  auto const scales = context.template tensor<double>(rows + columns);
  for (bool const flip : {false, true})
    solve(context, problem::ContrastiveLoss{similarities, pairs, logit_scale.data(), flip, weight, by_similarity.data(),
                                            losses.data() + (flip ? rows : 0), scales.data() + (flip ? rows : 0)});
  auto const loss = tape.template tensor<float>(1);
  fill(context, loss, static_cast<float>(ordered_sum(context, losses)));
  auto const dsource = tape.gradient_of(source.data()), dscale = tape.gradient_of(logit_scale.data());
  auto const slope = context.template tensor<float>(1);
  fill(context, slope, static_cast<float>(ordered_sum(context, scales)));
  auto const slopes = spread(by_similarity);
  tape.record(loss.data(), {dsource, dscale}, {}, [=](auto const& t, float* dy) {
    auto const& c = t.context();
    if (dsource) solve(c, problem::AddScaled{slopes.data(), dy, slopes.size(), dsource.accumulate(c)});
    if (dscale) solve(c, problem::AddScaled{slope.data(), dy, 1, dscale.accumulate(c)});
  });
  return loss;
}

}  // namespace detail

/// CLIP's loss (Radford et al. 2021, figure 3): the symmetric cross-entropy of exp(logit_scale) times the cosines of N
/// pictures and their N captions. images, texts: [N, D], not normalised; logit_scale: one element, a logarithm -> [1],
/// times weight. Throws ShapeError if the extents differ.
template <class Exec, Recompute Policy, class Scale>
auto contrastive_loss(Tape<Exec, Policy> const& tape,
                      DynamicTensor<float, 2, typename Exec::memory_space> const& images,
                      DynamicTensor<float, 2, typename Exec::memory_space> const& texts, Scale const& logit_scale,
                      double weight = 1) {
  std::size_t const n = images.extent(0);
  require_extent("contrastive_loss", "texts.extent(0)", texts.extent(0), n);
  require_extent("contrastive_loss", "logit_scale", logit_scale.size(), 1);
  require<ShapeError>(n > 0, "[contrastive_loss] the batch is empty");
  auto const cosines = cosine_similarity(tape, images, texts);  // [N, N]
  return detail::record_contrastive_loss(tape, cosines.data(), {n, n, n, nullptr}, cosines, logit_scale, weight,
                                         [](auto const& slopes) { return slopes; });
}

/// Which texts are said of which pictures.
template <class Memory>
struct TextsOfPictures {
  DynamicTensor<std::uint8_t, 2, Memory> said;  ///< [texts, pictures], 1 where a text is said of a picture, else 0
  std::size_t count = 0;                        ///< of the ones; at least 1
};

/// The contrastive loss where a picture is as similar to a text as the patches that show what the text names: the soft
/// maximum of the cosines of its patches (after patch-aligned contrastive learning, Mukhoti et al. 2023). It makes each
/// patch say what is there, which plain CLIP learns only from far more pictures than a small world has. A text may be
/// said of several pictures and several texts of one; each pair is then compared with all texts and with all pictures
/// that do not belong to it (the multi-label contrastive loss of GroupViT, Xu et al. 2022).
/// patches: [N, P, D], texts: [T, D], not normalised; logit_scale: one element, a logarithm; sharpness: how much more a
/// patch of a higher cosine counts -> [1], times weight. Throws ShapeError if the extents differ.
template <class Exec, Recompute Policy, class Scale>
auto dense_contrastive_loss(Tape<Exec, Policy> const& tape,
                            DynamicTensor<float, 3, typename Exec::memory_space> const& patches,
                            DynamicTensor<float, 2, typename Exec::memory_space> const& texts,
                            TextsOfPictures<typename Exec::memory_space> const& pairs, Scale const& logit_scale,
                            float sharpness, double weight = 1) {
  auto const& context = tape.context();
  std::size_t const n = patches.extent(0), count = patches.extent(1), depth = patches.extent(2);
  bool const diagonal = pairs.said.size() == 0;
  std::size_t const number = diagonal ? n : pairs.said.extent(0);
  require_extent("dense_contrastive_loss", "texts.extent(0)", texts.extent(0), number);
  if (!diagonal) require_extent("dense_contrastive_loss", "pairs.said.extent(1)", pairs.said.extent(1), n);
  require_extent("dense_contrastive_loss", "logit_scale", logit_scale.size(), 1);
  require<ShapeError>(n > 0 && count > 0, "[dense_contrastive_loss] the batch is empty");
  auto const cosines =
      cosine_similarity(tape, texts, patches.reshape(dynamic_extents<2>(n * count, depth)));  // [T, N P]
  auto const shares = copy_of(context, cosines);
  auto const similarities = context.template tensor<float>(number, n);
  detail::solve(context, problem::SoftMaximum{shares.data(), number * n, count, sharpness, similarities.data()});
  problem::ContrastivePairs const who{number, n, diagonal ? n : pairs.count, diagonal ? nullptr : pairs.said.data()};
  return detail::record_contrastive_loss(
      tape, similarities.data(), who, cosines, logit_scale, weight, [&](auto const& slopes) {
        detail::solve(context, problem::ScaleShares{slopes.data(), shares.size(), count, shares.data()});
        return shares;
      });
}

/// The same where text i is said of picture i alone. texts: [N, D].
template <class Exec, Recompute Policy, class Scale>
auto dense_contrastive_loss(Tape<Exec, Policy> const& tape,
                            DynamicTensor<float, 3, typename Exec::memory_space> const& patches,
                            DynamicTensor<float, 2, typename Exec::memory_space> const& texts, Scale const& logit_scale,
                            float sharpness, double weight = 1) {
  return dense_contrastive_loss(tape, patches, texts, TextsOfPictures<typename Exec::memory_space>{}, logit_scale,
                                sharpness, weight);
}

}  // namespace kovos
