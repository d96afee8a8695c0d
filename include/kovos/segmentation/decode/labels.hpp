// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/label_choice.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/segmentation/outputs.hpp"

namespace kovos {

/// A class for every pixel of a picture.
struct ChosenLabels {
  LabelMap labels;
  std::vector<float> confidence;             // [H * W], score of the chosen class
  Tensor<float, dynamic_extents<3>> scores;  // [K, H, W] if they were kept; 0 for classes without a map
};

/// The class with the highest score at every pixel of a picture of height x width, the first one on ties: maps are
/// resized bilinearly and compared, some classes at a time, so that memory does not grow with their number.
/// maps: ClassMaps, MaskClassMaps, MergedViews or another class_map_source. keep_scores: of how many classes (0: none)
/// the resized maps are kept. Throws ShapeError if there are no maps or an extent is 0.
template <class Exec, class_map_source<Exec> Maps>
ChosenLabels choose_labels(Context<Exec> const& context, Maps const& maps, std::size_t height, std::size_t width,
                           std::size_t keep_scores = 0) {
  auto const& classes = maps.classes();
  require<ShapeError>(!classes.empty(), "[choose_labels] there is nothing to choose from");
  require<ShapeError>(height > 0 && width > 0, "[choose_labels] the picture is empty");
  require<ShapeError>(classes.back() < LabelMap::unknown, "[choose_labels] class ", classes.back(),
                      " is more than labels can number");
  require<ShapeError>(keep_scores == 0 || classes.back() < keep_scores, "[choose_labels] scores of ", keep_scores,
                      " classes are to be kept, but there is a map of class ", classes.back());
  std::size_t const pixels = height * width;
  ChosenLabels result;
  auto const best = context.template tensor<float>(pixels);
  auto const label = context.template tensor<std::int32_t>(pixels);  // index into classes
  if (keep_scores > 0) {
    result.scores = Tensor<float, dynamic_extents<3>>(dynamic_extents<3>(keep_scores, height, width));
    std::fill_n(result.scores.data(), result.scores.size(), 0.0f);
  }
  fill(context, best, -std::numeric_limits<float>::infinity());
  fill(context, label, std::int32_t{0});
  // Tiles of about 64 MB at the picture's own size.
  std::size_t const tile = std::clamp<std::size_t>((std::size_t{1} << 24) / pixels, 1, 16);
  for (std::size_t first = 0; first < classes.size(); first += tile) {
    std::size_t const count = std::min(tile, classes.size() - first);
    auto const part = maps.tile(context, first, count);
    if (keep_scores > 0) {
      auto const scores = resize_bilinear(context, part, height, width).reshape(dynamic_extents<2>(count, pixels));
      update_argmax(context, scores, first, best, label);
      auto const host = to_host(context, scores);
      for (std::size_t t = 0; t < count; ++t)
        std::copy_n(host.data() + t * pixels, pixels, result.scores.data() + classes[first + t] * pixels);
    } else {
      resize_bilinear_argmax(context, part, height, width, first, best, label);
    }
  }
  auto const host_best = to_host(context, best);
  auto const host_label = to_host(context, label);
  result.confidence.assign(host_best.data(), host_best.data() + pixels);
  result.labels = {height, width, std::vector<std::uint16_t>(pixels)};
  std::transform(host_label.data(), host_label.data() + pixels, result.labels.labels.begin(),
                 [&](std::int32_t l) { return static_cast<std::uint16_t>(classes[static_cast<std::size_t>(l)]); });
  return result;
}

}  // namespace kovos
