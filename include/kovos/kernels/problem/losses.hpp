// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace kovos::problem {

/// Replaces logits z by the gradient of their binary cross-entropy and writes the loss of each of `rows` rows of `run`
/// pixels. z: [rows, run], `pixels` for each class from class `first` on; labels: [pixels]. The target of a class is 1
/// where the label is that class; pixels without a label are negatives of every class.
struct SigmoidCrossEntropy {
  float* z = nullptr;
  std::int32_t const* labels = nullptr;
  std::size_t first = 0, rows = 0, run = 0, pixels = 0;
  double* losses = nullptr;  // [rows]
};

/// Who belongs to whom in a contrastive loss: similarities [rows, columns], and which of them are pairs (1) or not (0);
/// null: the diagonal.
struct ContrastivePairs {
  std::size_t rows = 0, columns = 0, count = 0;
  std::uint8_t const* pairs = nullptr;
};

/// Half of the contrastive loss: a row of logits exp(scale) c should choose each of its pairs among the columns that
/// are none; with `flip` columns take the part of rows. Adds the gradient of the loss to dc and writes each row's loss
/// and its derivative by the scale. c, dc: [rows, columns]; scale: one number.
struct ContrastiveLoss {
  float const* c = nullptr;
  ContrastivePairs pairs;
  float const* scale = nullptr;
  bool flip = false;
  double weight = 1;
  float* dc = nullptr;
  double *losses = nullptr, *slopes = nullptr;
};

/// Of each run of `count` numbers x: y = log(mean(exp(sharpness x))) / sharpness, a soft maximum; x becomes dy / dx.
/// x: [runs, count], y: [runs].
struct SoftMaximum {
  float* x = nullptr;
  std::size_t runs = 0, count = 0;
  float sharpness = 1;
  float* y = nullptr;
};

/// shares[i] *= slopes[i / count] for i < size.
struct ScaleShares {
  float const* slopes = nullptr;
  std::size_t size = 0, count = 1;
  float* shares = nullptr;
};

/// y[i] += *factor x[i] for i < size.
struct AddScaled {
  float const* x = nullptr;
  float const* factor = nullptr;
  std::size_t size = 0;
  float* y = nullptr;
};

}  // namespace kovos::problem
