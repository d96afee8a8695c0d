// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/instance.hpp"
#include "kovos/core/panoptic_map.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/mask_overlap.hpp"
#include "kovos/kernels/selection.hpp"
#include "kovos/kernels/softmax.hpp"
#include "kovos/segmentation/outputs.hpp"

namespace kovos {

/// Which masks become instances.
struct InstanceOptions {
  std::size_t most = 100;                          ///< of all pairs of mask and class the most probable
  std::optional<std::vector<bool>> is_thing = {};  ///< per class: of these only things, after they were counted
};

namespace detail {
/// Best first; scores that are no number come last.
inline void sort_by_score(std::vector<Instance>& list) {
  std::stable_sort(list.begin(), list.end(), [](Instance const& a, Instance const& b) {
    return a.score > b.score || (b.score != b.score && a.score == a.score);
  });
}
}  // namespace detail

/// Instances from overlapping masks, best first: a mask can be an instance of several classes. The score is the
/// probability of the class times the mean of the mask's own over the pixels inside, where its logit is positive. An
/// empty mask has score 0. As Mask2Former; masks are as large as those of the set (resize_masks).
/// Throws ShapeError if the numbers of masks or classes disagree.
template <class Exec>
std::vector<Instance> instances(Context<Exec> const& context, MaskSet<typename Exec::memory_space> const& set,
                                InstanceOptions const& options = {}) {
  detail::check_mask_set("instances", set);
  std::size_t const classes = set.classes(), height = set.masks.extent(1), width = set.masks.extent(2);
  if (options.is_thing) require_extent("instances", "is_thing", options.is_thing->size(), classes);
  auto const p = to_host(context, softmax(context, set.class_logits));
  std::vector<float> pairs;  // [N * K]
  for (std::size_t n = 0; n < set.count(); ++n)
    pairs.insert(pairs.end(), p.data() + n * (classes + 1), p.data() + n * (classes + 1) + classes);
  auto const chosen = top_k(pairs.data(), pairs.size(), std::min(options.most, pairs.size()));

  auto const extents = mask_extents(context, set.masks.reshape(dynamic_extents<2>(set.count(), height * width)));
  std::vector<Instance> result;
  for (std::size_t const pair : chosen) {
    std::size_t const n = pair / classes, k = pair % classes;
    if (options.is_thing && !(*options.is_thing)[k]) continue;
    double const inside = extents[n].probability / (static_cast<double>(extents[n].positive) + 1e-6);
    result.push_back({k, static_cast<double>(pairs[pair]) * inside, n, {}});
  }
  // Masks come to the host one at a time, and those of several classes once.
  std::stable_sort(result.begin(), result.end(), [](auto const& a, auto const& b) { return a.source < b.source; });
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (i > 0 && result[i].source == result[i - 1].source) {
      result[i].mask = result[i - 1].mask;
      continue;
    }
    auto const logits = to_host(context, set.masks.slice(result[i].source, 1));
    result[i].mask = run_length_mask(height, width, [&](std::size_t y, std::size_t x) { return logits(0, y, x) > 0; });
  }
  detail::sort_by_score(result);
  return result;
}

/// The things of a panoptic map as instances, best first.
inline std::vector<Instance> instances(PanopticMap const& map) {
  std::vector<Instance> result;
  for (std::size_t s = 0; s < map.segments.size(); ++s) {
    auto const& segment = map.segments[s];
    if (!segment.is_thing) continue;
    result.push_back({segment.label, segment.score, s,
                      run_length_mask(map.height, map.width, [&](auto y, auto x) { return map(y, x) == segment.id; })});
  }
  detail::sort_by_score(result);
  return result;
}

}  // namespace kovos
