// SPDX-License-Identifier: Apache-2.0
// An image encoder of one's own: a pyramid of convolutions whose maps shrink, and which looks at the words.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "kovos/clip/image_encoder.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/nn/conv2d.hpp"
#include "kovos/nn/linear.hpp"
#include "kovos/segmentation/cat_seg_presets.hpp"

namespace places {

inline constexpr kovos::EncoderKind pyramid_kind{1000};

/// Maps at strides 4, 8, 16 and again 16 of widths stage_widths; the last one, projected, is dense, and the mean of the
/// words' vectors is added to it.
template <kovos::ClipConfig Config, class T, class Memory>
class PyramidEncoder {
  static constexpr auto widths = Config.vision.stage_widths;

 public:
  static constexpr std::size_t stride = 16, levels = 4;
  static constexpr std::size_t level_width(std::size_t i) { return widths[i]; }
  static constexpr std::size_t level_stride(std::size_t i) { return std::array<std::size_t, 4>{4, 8, 16, 16}[i]; }

  kovos::Conv2d<3, widths[0], 4, T, Memory, true, 4> stem;
  kovos::Conv2d<widths[0], widths[1], 2, T, Memory, true, 2> down1;
  kovos::Conv2d<widths[1], widths[2], 2, T, Memory, true, 2> down2;
  kovos::Conv2d<widths[2], widths[3], 3, T, Memory> last;
  kovos::Linear<widths[3], Config.embed_dim, T, Memory> proj;

  template <kovos::execution_context C, class Observer = kovos::Unobserved>
  kovos::ImagePyramid<Memory> features(C const& context, kovos::DynamicTensor<float, 4, Memory> const& pixels,
                                       kovos::DynamicTensor<float, 3, Memory> const& words,
                                       std::span<std::size_t const> wanted = {}, Observer const& = {}) const {
    auto const relu = kovos::Activation::relu;
    kovos::DynamicTensor<float, 4, Memory> maps[levels];
    maps[0] = stem(context, pixels, relu);
    maps[1] = down1(context, maps[0], relu);
    maps[2] = down2(context, maps[1], relu);
    maps[3] = last(context, maps[2], relu);
    kovos::ImagePyramid<Memory> result;
    for (std::size_t const i : wanted) result.levels.push_back(maps[i]);
    result.dense = proj(context, maps[3]);
    if (!words.empty()) {
      auto const count = words.extent(0) * words.extent(1);
      add_in_place(context, result.dense,
                   mean_over_axis1(context, words.reshape(kovos::dynamic_extents<3>(1, count, Config.embed_dim))));
    }
    return result;
  }

  template <kovos::execution_context C>
  kovos::DynamicTensor<float, 2, Memory> encode(C const& context,
                                                kovos::DynamicTensor<float, 4, Memory> const& pixels) const {
    auto const dense = features(context, pixels, {}).dense;
    return mean_over_axis1(context, dense.reshape(kovos::dynamic_extents<3>(
                                        dense.extent(0), dense.extent(1) * dense.extent(2), Config.embed_dim)));
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    stem.visit(f, prefix + "stem.");
    down1.visit(f, prefix + "down1.");
    down2.visit(f, prefix + "down2.");
    last.visit(f, prefix + "last.");
    proj.visit(f, prefix + "proj.");
  }
};

/// cat_seg_tiny around this encoder.
inline constexpr kovos::CatSegConfig cat_seg_pyramid = [] {
  auto c = kovos::cat_seg_tiny;
  c.clip.vision.kind = pyramid_kind;
  c.clip.vision.stage_widths = {8, 12, 20, 24};
  c.hooked_blocks = {2, 3};
  return c;
}();

inline constexpr auto presets_with_pyramid =
    kovos::with_presets(kovos::cat_seg_presets, {{"cat_seg_pyramid", cat_seg_pyramid}});

}  // namespace places

namespace kovos {

template <ClipConfig Config, class T, class Memory>
requires(Config.vision.kind == places::pyramid_kind) struct ImageEncoderOf<Config, T, Memory> {
  using type = places::PyramidEncoder<Config, T, Memory>;
};

}  // namespace kovos
