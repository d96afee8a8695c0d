// SPDX-License-Identifier: Apache-2.0
// Words with owners, and the decoders of what a model says, on a device.
#include "kovos/clip/encoded_words.hpp"
#include "kovos/segmentation/decode/instances.hpp"
#include "kovos/segmentation/decode/labels.hpp"
#include "kovos/segmentation/decode/mask_classes.hpp"
#include "kovos/segmentation/decode/panoptic.hpp"

namespace kovos {

using Device = Kokkos::Cuda;
using Memory = Device::memory_space;

MaskSet<Memory> classified(Context<Device> const& context, DynamicTensor<float, 2, Memory> const& scores,
                           DynamicTensor<float, 3, Memory> const& masks, EncodedWords<Memory> const& words,
                           DynamicTensor<float, 2, Memory> const& row) {
  MaskSet<Memory> const set{class_scores(context, scores, with_void_row(context, words, row)), masks};
  return resize_masks(context, set, {8, 8, 16, 16}, 32, 32);
}

std::vector<Instance> decoded(Context<Device> const& context, MaskSet<Memory> const& set, ClassMaps<Memory> const& maps,
                              std::vector<bool> const& is_thing) {
  auto const labels = choose_labels(context, MaskClassMaps(context, set), 32, 32);
  choose_labels(context, maps, 32, 32, 4);
  panoptic_map(context, set, is_thing);
  auto list = instances(context, set);
  auto const parts = instances(panoptic_map(labels.labels, is_thing, labels.confidence));
  list.insert(list.end(), parts.begin(), parts.end());
  return list;
}

}  // namespace kovos
