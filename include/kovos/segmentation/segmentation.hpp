// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/profiling.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/segmentation/sliding_window.hpp"

namespace kovos {

/// How a picture is segmented.
struct SegmentOptions {
  WindowMode window = WindowMode::sliding;
  std::optional<float> unknown{};  ///< pixels whose best score is below this become LabelMap::unknown; scores are 0..1
  /// Classes from this index on are distractors: pixels that choose one become the class `background`, which takes this
  /// index (VOC20b: 20). 0: no background.
  std::size_t background_from = 0;
  /// Without the head: a pixel's word is the one with the largest cosine. What CAT-Seg's aggregation is compared with;
  /// scores are the sigmoid of cosines then and say little.
  bool raw_cost_volume = false;
  /// Of each view only so many classes are computed, those with the highest cosine anywhere in it; 0: all that the
  /// model takes (pad_len). Saves time and may change labels (docs/performance.md).
  std::size_t most_classes = 0;
  /// Of these only so many are decoded, those with the highest logit anywhere when decoded at half the resolution,
  /// which costs a quarter; 0: all. The others count as not computed. Without effect where the side of the token grid
  /// is odd.
  std::size_t most_decoded = 0;
  std::size_t layers = 0;  ///< of the head's aggregation: only the first so many are run; 0: all
  /// So many views go through the head together; 0: as many as keep the threads busy and need no more memory than one
  /// view of as many classes as the model takes. The result is the same up to rounding.
  std::size_t views_at_once = 0;
  bool keep_scores = false;  ///< fills Segmentation::scores, 4 bytes per class and pixel
  bool time_stages = false;  ///< fills Segmentation::times, and waits for each stage to end; the result is the same
};

/// A segmented picture.
struct Segmentation {
  LabelMap labels;                           // at the picture's own size
  std::vector<std::string> names;            // of the label values
  std::vector<float> confidence;             // [H * W], score 0..1 of the chosen class
  std::vector<double> area;                  // per class, share of the picture, 0..1
  std::vector<double> mean_confidence;       // per class, over its pixels; 0 where it has none
  double unknown_area = 0;                   // share of the picture
  Tensor<float, dynamic_extents<3>> scores;  // [T, H, W] after the sigmoid, if kept; all words, background not folded
  StageTimes times;                          // seconds per stage, if they were asked for
};

/// Applies the unknown threshold and the background rule to labels, of which some may be unknown already, and takes the
/// statistics.
/// Throws ConfigError if background_from is not one of the classes.
inline void finish(Segmentation& result, SegmentOptions const& options) {
  std::size_t const background = options.background_from;
  require<ConfigError>(background < result.names.size() || background == 0, "[SegmentOptions] background_from is ",
                       background, ", but there are only ", result.names.size(), " classes");
  if (background > 0) {
    result.names.resize(background);
    result.names.emplace_back("background");
  }
  std::size_t const classes = result.names.size();
  result.area.assign(classes, 0);
  result.mean_confidence.assign(classes, 0);
  std::size_t unknown = 0;
  for (std::size_t i = 0; i < result.labels.labels.size(); ++i) {
    auto& label = result.labels.labels[i];
    if (label == LabelMap::unknown || (options.unknown && result.confidence[i] < *options.unknown)) {
      label = LabelMap::unknown;
      ++unknown;
      continue;
    }
    if (background > 0 && label >= background) label = static_cast<std::uint16_t>(background);
    result.area[label] += 1;
    result.mean_confidence[label] += static_cast<double>(result.confidence[i]);
  }
  double const pixels = static_cast<double>(result.labels.labels.size());
  for (std::size_t t = 0; t < classes; ++t) {
    if (result.area[t] > 0) result.mean_confidence[t] /= result.area[t];
    result.area[t] /= pixels;
  }
  result.unknown_area = static_cast<double>(unknown) / pixels;
}

}  // namespace kovos
