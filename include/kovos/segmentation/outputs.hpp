// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/crop.hpp"
#include "kovos/kernels/resample.hpp"

namespace kovos {

/// What a model says of a picture by a score per class and position: the larger, the likelier. A decoder asks for the
/// maps of a few classes at a time, so that they need not be in memory together.
///
/// classes(): which classes there are maps of, ascending; size(): height and width of the maps; tile(context, first,
/// count): those of the classes at [first, first + count) in classes(), [count, h, w, 1].
template <class M, class Exec>
concept class_map_source = requires(M const& maps, Context<Exec> const& context, std::size_t i) {
  { maps.classes() } -> std::convertible_to<std::vector<std::size_t> const&>;
  { maps.size() } -> std::convertible_to<std::array<std::size_t, 2>>;
  { maps.tile(context, i, i) } -> std::convertible_to<DynamicTensor<float, 4, typename Exec::memory_space>>;
};

/// Class maps that are all in memory: scores [K, h, w, 1], map k is of class k.
template <class Memory>
class ClassMaps {
 public:
  explicit ClassMaps(DynamicTensor<float, 4, Memory> scores) : scores_(std::move(scores)), classes_(scores_.extent(0)) {
    require_extent("ClassMaps", "scores.extent(3)", scores_.extent(3), 1);
    std::iota(classes_.begin(), classes_.end(), std::size_t{0});
  }

  std::vector<std::size_t> const& classes() const { return classes_; }
  std::array<std::size_t, 2> size() const { return {scores_.extent(1), scores_.extent(2)}; }
  DynamicTensor<float, 4, Memory> const& scores() const { return scores_; }

  template <class Exec>
  DynamicTensor<float, 4, Memory> tile(Context<Exec> const&, std::size_t first, std::size_t count) const {
    return scores_.slice(first, count);
  }

 private:
  DynamicTensor<float, 4, Memory> scores_;
  std::vector<std::size_t> classes_;
};

/// What a model says of a picture by masks, each with a score per class: N masks, K classes, and void, the last column,
/// for masks of nothing.
template <class Memory>
struct MaskSet {
  DynamicTensor<float, 2, Memory> class_logits;  // [N, K + 1], before the softmax
  DynamicTensor<float, 3, Memory> masks;  // [N, h, w], before the sigmoid: a pixel is inside where it is positive

  std::size_t count() const { return masks.extent(0); }
  /// Number of classes, without void.
  std::size_t classes() const { return class_logits.extent(1) - 1; }
};

namespace detail {
template <class Memory>
void check_mask_set(char const* where, MaskSet<Memory> const& set) {
  require_extent(where, "the number of rows of class_logits", set.class_logits.extent(0), set.masks.extent(0));
  require<ShapeError>(set.class_logits.extent(1) >= 2, "[", where, "] class_logits has ", set.class_logits.extent(1),
                      " columns, expected one per class and void");
}
}  // namespace detail

/// Where a picture lies in the maps of a model that saw it padded at the right and below, all in pixels.
struct PaddedPicture {
  std::size_t height = 0, width = 0;                // of the picture as the model saw it
  std::size_t padded_height = 0, padded_width = 0;  // with its padding
};

/// The masks at the size of the output, as Mask2Former makes them: resized bilinearly to the padded picture, cropped to
/// the picture, resized to height x width. Throws ShapeError if the picture is empty or larger than with its padding.
template <class Exec>
MaskSet<typename Exec::memory_space> resize_masks(Context<Exec> const& context,
                                                  MaskSet<typename Exec::memory_space> const& set,
                                                  PaddedPicture const& picture, std::size_t height, std::size_t width) {
  require<ShapeError>(picture.height > 0 && picture.width > 0 && picture.height <= picture.padded_height &&
                          picture.width <= picture.padded_width,
                      "[resize_masks] a picture of ", picture.height, " x ", picture.width, " in ",
                      picture.padded_height, " x ", picture.padded_width, " with its padding");
  std::size_t const n = set.count();
  auto const maps = set.masks.reshape(dynamic_extents<4>(n, set.masks.extent(1), set.masks.extent(2), 1));
  auto x = resize_bilinear(context, maps, picture.padded_height, picture.padded_width);
  if (picture.height != picture.padded_height || picture.width != picture.padded_width)
    x = crop(context, x, 0, 0, picture.height, picture.width);
  x = resize_bilinear(context, x, height, width);
  return {set.class_logits, x.reshape(dynamic_extents<3>(n, height, width))};
}

}  // namespace kovos
