// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/clip/preprocess.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/kernels/activation.hpp"
#include "kovos/kernels/crop.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/resample.hpp"
#include "kovos/kernels/window_blending.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "kovos/segmentation/cat_seg_config.hpp"

namespace kovos {

/// How a picture is shown to the network at test time (the authors' cat_seg_model.py, `forward` and
/// `inference_sliding_window`).
enum class WindowMode : std::uint8_t {
  whole,    ///< the picture squashed to the network's input
  sliding,  ///< overlapping windows of a squashed picture, and the whole of it: the mode behind all published numbers
};

/// How many windows of a sliding view stand along each axis of the canvas.
inline std::size_t windows_per_axis(TestTimeConfig const& test) {
  return (test.canvas - test.window) / test.stride + 1;
}

/// How many views of a picture go through the network: the windows and the whole, or the whole alone.
inline std::size_t view_count(TestTimeConfig const& test, WindowMode mode) {
  return mode == WindowMode::whole ? 1 : windows_per_axis(test) * windows_per_axis(test) + 1;
}

/// The views of one picture that go through the network, and how to put their logits together again.
template <class Memory>
struct Views {
  DynamicTensor<float, 4, Memory>
      pixels;  // [N, R, R, 3], normalised; in sliding mode the last one is the whole picture
  WindowMode mode = WindowMode::sliding;
  TestTimeConfig geometry{};
  std::size_t height = 0;  // of the picture that was cut, pixels
  std::size_t width = 0;
};

/// Cuts a picture (already resized to the test-time short edge) into views of resolution x resolution pixels.
/// picture: [1, H, W, 3], 0..255.
template <class Exec>
Views<typename Exec::memory_space> cut_views(Context<Exec> const& context,
                                             DynamicTensor<float, 4, typename Exec::memory_space> const& picture,
                                             WindowMode mode, TestTimeConfig const& test, std::size_t resolution) {
  Views<typename Exec::memory_space> views;
  views.mode = mode;
  views.geometry = test;
  views.height = picture.extent(1);
  views.width = picture.extent(2);
  Kokkos::Array<float, 3> const mean{test.pixel_mean[0], test.pixel_mean[1], test.pixel_mean[2]};
  Kokkos::Array<float, 3> const deviation{test.pixel_std[0], test.pixel_std[1], test.pixel_std[2]};
  if (mode == WindowMode::whole) {
    auto const up = [&](std::size_t n) {
      return (n + test.size_divisibility - 1) / test.size_divisibility * test.size_divisibility;
    };
    auto const padded =
        crop(context, normalize_channels(context, picture, mean, deviation), 0, 0, up(views.height), up(views.width));
    views.pixels = resize_bilinear(context, padded, resolution, resolution);
    return views;
  }
  std::size_t const per_axis = windows_per_axis(test);
  std::size_t const windows = per_axis * per_axis;
  views.pixels = context.template tensor<float>(windows + 1, resolution, resolution, std::size_t{3});
  auto const place = [&](std::size_t n, DynamicTensor<float, 4, typename Exec::memory_space> const& view) {
    assign(context, views.pixels.slice(n, 1),
           resize_bilinear(context, normalize_channels(context, view, mean, deviation), resolution, resolution));
  };
  auto const canvas = resize_bilinear(context, picture, test.canvas, test.canvas);
  for (std::size_t n = 0; n < windows; ++n)
    place(n, crop(context, canvas, n / per_axis * test.stride, n % per_axis * test.stride, test.window, test.window));
  place(windows, resize_bilinear(context, picture, test.window, test.window));
  return views;
}

/// Height and width of what merge_views_on_grid returns.
template <class Memory>
std::array<std::size_t, 2> merged_size(Views<Memory> const& views, std::vector<ClassLogits<Memory>> const& logits) {
  if (views.mode == WindowMode::sliding) return {views.geometry.canvas, views.geometry.canvas};
  auto const& z = logits.at(0).logits;
  return {std::min(z.extent(1), views.height), std::min(z.extent(2), views.width)};
}

/// Probabilities of the classes [first, first + count) from the logits of all views, on the grid on which the views
/// meet. Classes a view did not compute stand at -100 there, as the authors have it. -> [count, h, w, 1].
template <class Exec>
auto merge_views_on_grid(Context<Exec> const& context, Views<typename Exec::memory_space> const& views,
                         std::vector<ClassLogits<typename Exec::memory_space>> const& logits, std::size_t first,
                         std::size_t count) {
  auto const& test = views.geometry;
  // Probabilities of one view on its own grid.
  auto const tile = [&](ClassLogits<typename Exec::memory_space> const& view) {
    auto const find = [&](std::size_t t) {
      auto const at = std::lower_bound(view.classes.begin(), view.classes.end(), first + t);
      return at != view.classes.end() && *at == first + t ? static_cast<std::int32_t>(at - view.classes.begin()) : -1;
    };
    auto const rows = [&] {
      if constexpr (is_host_execution<Exec>) {
        // Of the workspace: one of several callers side by side must not free memory of Kokkos, which waits for all.
        auto const indices = context.template tensor<std::int32_t>(count);
        for (std::size_t t = 0; t < count; ++t) indices.data()[t] = find(t);
        return indices;
      } else {
        Tensor<std::int32_t, dynamic_extents<1>> const indices(dynamic_extents<1>{count});
        for (std::size_t t = 0; t < count; ++t) indices.data()[t] = find(t);
        return to_device(context, indices);
      }
    }();
    auto const z = gather_rows(context, view.logits, rows, -100.0f);
    return z.reshape(dynamic_extents<4>(count, z.extent(1), z.extent(2), 1));
  };
  if (views.mode == WindowMode::whole) {
    auto const z = tile(logits.at(0));
    activate(context, z, Activation::sigmoid);
    auto const [h, w] = merged_size(views, logits);
    return h == z.extent(1) && w == z.extent(2) ? z : crop(context, z, 0, 0, h, w);
  }
  auto const probabilities = [&](ClassLogits<typename Exec::memory_space> const& view) {
    auto const p = resize_bilinear(context, tile(view), test.window, test.window);
    activate(context, p, Activation::sigmoid);
    return p;
  };
  auto const canvas = context.template tensor<float>(count, test.canvas, test.canvas, std::size_t{1});
  fill(context, canvas, 0.0f);
  std::size_t const per_axis = windows_per_axis(test);
  for (std::size_t n = 0; n < per_axis * per_axis; ++n)
    add_window(context, canvas, probabilities(logits.at(n)), n / per_axis * test.stride, n % per_axis * test.stride);
  auto const global = resize_bilinear(context, probabilities(logits.back()), test.canvas, test.canvas);
  blend_windows_with_global(context, canvas, global, test.window, test.stride);
  return canvas;
}

/// The same at height x width pixels. -> [count, height, width, 1].
template <class Exec>
auto merge_views(Context<Exec> const& context, Views<typename Exec::memory_space> const& views,
                 std::vector<ClassLogits<typename Exec::memory_space>> const& logits, std::size_t first,
                 std::size_t count, std::size_t height, std::size_t width) {
  return resize_bilinear(context, merge_views_on_grid(context, views, logits, first, count), height, width);
}

}  // namespace kovos
