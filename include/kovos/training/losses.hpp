// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kovos/autodiff/rules.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/kernels/cosine_similarity.hpp"
#include "kovos/kernels/resample.hpp"

namespace kovos {

namespace detail {

/// Replaces logits z [classes, pixels] by the gradient of their binary cross-entropy and writes the loss of each row of
/// `run` pixels. The target of class first + t is 1 where the label is that class; pixels without a label are negatives
/// of every class, as in the authors' code.
template <class Exec>
void sigmoid_cross_entropy_rows(Context<Exec> const& context, float* z, std::int32_t const* labels, std::size_t first,
                                std::size_t rows, std::size_t run, std::size_t pixels, double* losses) {
  for_each_index(
      context, "kovos::sigmoid_cross_entropy", rows, KOKKOS_LAMBDA(std::size_t row) {
        auto const target = static_cast<std::int32_t>(first + row * run / pixels);
        std::size_t const offset = row * run % pixels;
        double sum = 0;
        for (std::size_t i = 0; i < run; ++i) {
          float& x = z[row * run + i];
          float const y = labels[offset + i] == target ? 1.0f : 0.0f;
          float const e = Kokkos::exp(x < 0 ? x : -x);
          sum += static_cast<double>((x > 0 ? x : 0.0f) - x * y + Kokkos::log1p(e));
          x = (x < 0 ? e : 1.0f) / (1.0f + e) - y;
        }
        losses[row] = sum;
      });
}

template <class Exec>
void scale(Context<Exec> const& context, float const* x, float const* factor, std::size_t size, float* g) {
  for_each_index(
      context, "kovos::scale", size, KOKKOS_LAMBDA(std::size_t i) { g[i] += *factor * x[i]; });
}

/// Who belongs to whom in a contrastive loss: similarities [rows, columns], and which of them are pairs (1) or not (0);
/// null: the diagonal.
struct ContrastivePairs {
  std::size_t rows, columns, count;
  std::uint8_t const* pairs;
};

/// Half of the contrastive loss: a row of logits exp(scale) c should choose each of its pairs among the columns that
/// are none; with `flip` columns take the part of rows. Adds the gradient of the loss to dc and writes each row's loss
/// and its derivative by the scale.
template <class Exec>
void contrastive_rows(Context<Exec> const& context, float const* c, ContrastivePairs const& p, float const* scale,
                      bool flip, double weight, float* dc, double* losses, double* slopes) {
  std::size_t const n = flip ? p.columns : p.rows, m = flip ? p.rows : p.columns;
  double const share = 0.5 * weight / static_cast<double>(p.count);
  for_each_index(
      context, "kovos::contrastive_loss", n, KOKKOS_LAMBDA(std::size_t i) {
        std::size_t const start = flip ? i : i * p.columns, stride = flip ? p.columns : 1;
        auto const is_pair = [&](std::size_t j) { return p.pairs ? p.pairs[start + j * stride] != 0 : i == j; };
        float const factor = Kokkos::exp(*scale);
        float top = c[start];
        for (std::size_t j = 1; j < m; ++j) top = c[start + j * stride] > top ? c[start + j * stride] : top;
        auto const power = [&](std::size_t j) {
          return static_cast<double>(Kokkos::exp(factor * (c[start + j * stride] - top)));
        };
        double others = 0;
        for (std::size_t j = 0; j < m; ++j) others += is_pair(j) ? 0.0 : power(j);
        double loss = 0, inverse = 0;  // sum over pairs of 1 / total
        for (std::size_t j = 0; j < m; ++j) {
          if (!is_pair(j)) continue;
          double const total = others + power(j);
          inverse += 1 / total;
          loss += Kokkos::log(total) - static_cast<double>(factor * (c[start + j * stride] - top));
        }
        double slope = 0;
        for (std::size_t j = 0; j < m; ++j) {
          double const own = power(j);
          double const by_logit = is_pair(j) ? own / (others + own) - 1 : own * inverse;
          double const d = share * by_logit * static_cast<double>(factor);
          dc[start + j * stride] += static_cast<float>(d);
          slope += d * static_cast<double>(c[start + j * stride]);
        }
        losses[i] = share * loss;
        slopes[i] = slope;
      });
}

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
    detail::sigmoid_cross_entropy_rows(context, full.data(), labels.data(), first, count * height, width, pixels,
                                       losses.data() + first * height);
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
    detail::scale(t.context(), factor.data(), dy, 1, seed.data());
    detail::scale(t.context(), slopes.data(), seed.data(), slopes.size(), dlogits.accumulate(t.context()));
  });
  return loss;
}

namespace detail {

/// Records the symmetric cross-entropy of exp(logit_scale) times similarities [rows, columns] as a loss.
/// spread(slopes) turns its gradient by the similarities into that by `source`.
template <class Exec, Recompute Policy, class Source, class Scale, class Spread>
auto record_contrastive_loss(Tape<Exec, Policy> const& tape, float const* similarities, ContrastivePairs const& pairs,
                             Source const& source, Scale const& logit_scale, double weight, Spread const& spread) {
  auto const& context = tape.context();
  std::size_t const rows = pairs.rows, columns = pairs.columns;
  auto const by_similarity = context.template tensor<float>(rows, columns);
  fill(context, by_similarity, 0.0f);
  auto const losses = context.template tensor<double>(rows + columns);
  auto const scales = context.template tensor<double>(rows + columns);
  for (bool const flip : {false, true})
    contrastive_rows(context, similarities, pairs, logit_scale.data(), flip, weight, by_similarity.data(),
                     losses.data() + (flip ? rows : 0), scales.data() + (flip ? rows : 0));
  auto const loss = tape.template tensor<float>(1);
  fill(context, loss, static_cast<float>(ordered_sum(context, losses)));
  auto const dsource = tape.gradient_of(source.data()), dscale = tape.gradient_of(logit_scale.data());
  auto const slope = context.template tensor<float>(1);
  fill(context, slope, static_cast<float>(ordered_sum(context, scales)));
  auto const slopes = spread(by_similarity);
  tape.record(loss.data(), {dsource, dscale}, {}, [=](auto const& t, float* dy) {
    if (dsource) scale(t.context(), slopes.data(), dy, slopes.size(), dsource.accumulate(t.context()));
    if (dscale) scale(t.context(), slope.data(), dy, 1, dscale.accumulate(t.context()));
  });
  return loss;
}

/// Of each run of `count` numbers x: y = log(mean(exp(sharpness x))) / sharpness, a soft maximum; x becomes dy / dx.
template <class Exec>
void soft_maximum(Context<Exec> const& context, float* x, std::size_t runs, std::size_t count, float sharpness,
                  float* y) {
  for_each_index(
      context, "kovos::soft_maximum", runs, KOKKOS_LAMBDA(std::size_t r) {
        float* const run = x + r * count;
        float top = run[0];
        for (std::size_t i = 1; i < count; ++i) top = run[i] > top ? run[i] : top;
        float total = 0;
        for (std::size_t i = 0; i < count; ++i) total += run[i] = Kokkos::exp(sharpness * (run[i] - top));
        for (std::size_t i = 0; i < count; ++i) run[i] /= total;
        y[r] = top + Kokkos::log(total / static_cast<float>(count)) / sharpness;
      });
}

/// shares[i] *= slopes[i / count].
template <class Exec>
void scale_shares(Context<Exec> const& context, float const* slopes, std::size_t size, std::size_t count,
                  float* shares) {
  for_each_index(
      context, "kovos::soft_maximum_gradient", size, KOKKOS_LAMBDA(std::size_t i) { shares[i] *= slopes[i / count]; });
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
  detail::soft_maximum(context, shares.data(), number * n, count, sharpness, similarities.data());
  detail::ContrastivePairs const who{number, n, diagonal ? n : pairs.count, diagonal ? nullptr : pairs.said.data()};
  return detail::record_contrastive_loss(
      tape, similarities.data(), who, cosines, logit_scale, weight, [&](auto const& slopes) {
        detail::scale_shares(context, slopes.data(), shares.size(), count, shares.data());
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
