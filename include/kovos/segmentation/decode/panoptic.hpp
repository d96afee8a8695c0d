// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/label_map.hpp"
#include "kovos/core/panoptic_map.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/mask_overlap.hpp"
#include "kovos/kernels/softmax.hpp"
#include "kovos/segmentation/outputs.hpp"

namespace kovos {

/// Which masks become segments. Mask2Former and GKC use 0.8 and 0.8, FC-CLIP the defaults, MasQCLIP 0.3 and 0.3.
struct PanopticOptions {
  double object = 0;     ///< a mask counts if the probability of its class is larger than this
  double overlap = 0.8;  ///< a mask that keeps less than this share of its pixels is dropped
};

/// A panoptic map from overlapping masks: each mask that is not void and likely enough competes for pixels by the
/// product of its class's probability and its own; of those it wins it keeps the ones that it covers with at least a
/// half, and none if they are too few. All masks of a stuff class are one segment. Cheng et al. 2021 (MaskFormer),
/// section 3.4. is_thing: per class. The map is as large as the masks (resize_masks). Throws ShapeError if the numbers
/// of masks or classes disagree.
template <class Exec>
PanopticMap panoptic_map(Context<Exec> const& context, MaskSet<typename Exec::memory_space> const& set,
                         std::vector<bool> const& is_thing, PanopticOptions const& options = {}) {
  detail::check_mask_set("panoptic_map", set);
  require_extent("panoptic_map", "is_thing", is_thing.size(), set.classes());
  std::size_t const height = set.masks.extent(1), width = set.masks.extent(2), pixels = height * width;
  PanopticMap result{height, width, std::vector<std::int32_t>(pixels, PanopticMap::unlabelled), {}};

  auto const p = to_host(context, softmax(context, set.class_logits));
  std::vector<std::int32_t> kept;
  std::vector<std::size_t> label;
  std::vector<float> score;
  for (std::size_t n = 0; n < set.count(); ++n) {
    float const* const row = p.data() + n * p.extent(1);
    auto const best = static_cast<std::size_t>(std::max_element(row, row + p.extent(1)) - row);
    if (best == set.classes() || !(row[best] > static_cast<float>(options.object))) continue;
    kept.push_back(static_cast<std::int32_t>(n));
    label.push_back(best);
    score.push_back(row[best]);
  }
  if (kept.empty() || pixels == 0) return result;

  auto const upload = [&](auto const& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    Tensor<T, dynamic_extents<1>> const host(dynamic_extents<1>(values.size()));
    std::copy(values.begin(), values.end(), host.data());
    return to_device(context, host);
  };
  auto const indices = upload(kept);
  auto const masks = gather_rows(context, set.masks.reshape(dynamic_extents<2>(set.count(), pixels)), indices);
  auto const scores = upload(score);
  auto const extents = mask_extents(context, masks);
  auto const owner = to_host(context, mask_owner(context, masks, scores));

  std::vector<std::size_t> won(kept.size(), 0), covered(kept.size(), 0);
  for (std::size_t i = 0; i < pixels; ++i) {
    std::int32_t const n = owner(i);
    ++won[static_cast<std::size_t>(n < 0 ? -1 - n : n)];
    if (n >= 0) ++covered[static_cast<std::size_t>(n)];
  }
  std::vector<std::int32_t> id_of(kept.size(), PanopticMap::unlabelled);
  std::vector<std::int32_t> stuff(set.classes(), PanopticMap::unlabelled);
  for (std::size_t n = 0; n < kept.size(); ++n) {
    std::size_t const whole = extents[n].at_least_half;
    if (won[n] == 0 || whole == 0 || covered[n] == 0) continue;
    if (static_cast<double>(won[n]) / static_cast<double>(whole) < options.overlap) continue;
    bool const thing = is_thing[label[n]];
    std::int32_t& id = thing ? id_of[n] : stuff[label[n]];
    if (id == PanopticMap::unlabelled) {
      id = static_cast<std::int32_t>(result.segments.size()) + 1;
      result.segments.push_back({id, label[n], thing, static_cast<double>(score[n]), 0});
    }
    auto& segment = result.segments[static_cast<std::size_t>(id) - 1];
    segment.score = std::max(segment.score, static_cast<double>(score[n]));
    segment.area += covered[n];
    id_of[n] = id;
  }
  for (std::size_t i = 0; i < pixels; ++i)
    if (owner(i) >= 0) result.ids[i] = id_of[static_cast<std::size_t>(owner(i))];
  return result;
}

/// A panoptic map from a class per pixel: a stuff class is one segment, of a thing class each group of pixels that
/// touch at an edge or a corner is one, so that things of one class that touch are taken for one. Ids are in order of
/// the first pixel. is_thing: per class; confidence: per pixel, of which a segment's score is the mean, or empty (score
/// 1). Unknown pixels have no segment. Throws ShapeError if a label is no class or the confidence is of another size.
inline PanopticMap panoptic_map(LabelMap const& labels, std::vector<bool> const& is_thing,
                                std::span<float const> confidence = {}) {
  std::size_t const height = labels.height, width = labels.width, pixels = height * width;
  require_extent("panoptic_map", "the number of labels", labels.labels.size(), pixels);
  require<ShapeError>(confidence.empty() || confidence.size() == pixels, "[panoptic_map] there are ", confidence.size(),
                      " confidences for ", pixels, " pixels");
  PanopticMap result{height, width, std::vector<std::int32_t>(pixels, PanopticMap::unlabelled), {}};
  std::vector<std::int32_t> stuff(is_thing.size(), PanopticMap::unlabelled);
  std::vector<std::size_t> to_visit;
  for (std::size_t i = 0; i < pixels; ++i) {
    std::uint16_t const label = labels.labels[i];
    if (label == LabelMap::unknown || result.ids[i] != PanopticMap::unlabelled) continue;
    require<ShapeError>(label < is_thing.size(), "[panoptic_map] label ", label, " is none of ", is_thing.size(),
                        " classes");
    bool const thing = is_thing[label];
    std::int32_t id = thing ? PanopticMap::unlabelled : stuff[label];
    if (id == PanopticMap::unlabelled) {
      id = static_cast<std::int32_t>(result.segments.size()) + 1;
      result.segments.push_back({id, label, thing, 0, 0});
      if (!thing) stuff[label] = id;
    }
    result.ids[i] = id;
    if (!thing) continue;
    to_visit.assign(1, i);
    while (!to_visit.empty()) {
      std::size_t const y = to_visit.back() / width, x = to_visit.back() % width;
      to_visit.pop_back();
      for (std::size_t v = y == 0 ? 0 : y - 1; v <= std::min(y + 1, height - 1); ++v)
        for (std::size_t u = x == 0 ? 0 : x - 1; u <= std::min(x + 1, width - 1); ++u) {
          std::size_t const j = v * width + u;
          if (labels.labels[j] != label || result.ids[j] != PanopticMap::unlabelled) continue;
          result.ids[j] = id;
          to_visit.push_back(j);
        }
    }
  }
  for (std::size_t i = 0; i < pixels; ++i) {
    if (result.ids[i] == PanopticMap::unlabelled) continue;
    auto& segment = result.segments[static_cast<std::size_t>(result.ids[i]) - 1];
    segment.area += 1;
    segment.score += confidence.empty() ? 1.0 : static_cast<double>(confidence[i]);
  }
  for (auto& segment : result.segments) segment.score /= static_cast<double>(segment.area);
  return result;
}

}  // namespace kovos
