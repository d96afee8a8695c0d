// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "kovos/core/execution.hpp"
#include "kovos/core/parallel.hpp"
#include "kovos/core/tensor.hpp"
#include "kovos/kernels/interpolation.hpp"

namespace kovos::detail {

/// Goes through the rows of a map resized to height x width. Rows of the map are interpolated along themselves once,
/// not once for each row of the result that lies between them.
template <class Exec>
struct BilinearRows {
  std::size_t h, w, c, height, width;
  Alignment alignment;
  std::size_t threads;
  std::vector<LinearTap> columns;
  DynamicTensor<float, 2, typename Exec::memory_space> scratch;

  BilinearRows(Context<Exec> const& context, std::size_t from_height, std::size_t from_width, std::size_t channels,
               std::size_t to_height, std::size_t to_width, Alignment align, std::size_t tasks)
      : h(from_height),
        w(from_width),
        c(channels),
        height(to_height),
        width(to_width),
        alignment(align),
        threads(workers(context, tasks)),
        columns(w == width ? 0 : width),
        scratch(context.template tensor<float>(threads, 2 * width * c)) {
    for (std::size_t j = 0; j < columns.size(); ++j) columns[j] = linear_tap(j, w, width, alignment);
  }

  /// f(row, top, bottom, weight) for the rows [first, last) of the result: each is (1 - weight) top + weight bottom.
  template <class F>
  void visit(std::size_t worker, float const* map, std::size_t first, std::size_t last, F const& f) const {
    float* const buffers[2] = {scratch.data() + worker * scratch.extent(1),
                               scratch.data() + worker * scratch.extent(1) + width * c};
    std::size_t held[2] = {h, h};  // which row of the map each buffer holds; h: none
    auto const along = [&](std::size_t row) -> float const* {
      float const* const line = map + row * w * c;
      if (columns.empty()) return line;
      float* out = buffers[row % 2];  // the two rows of a result are neighbours
      if (held[row % 2] == row) return out;
      held[row % 2] = row;
      for (auto const& tap : columns)
        for (std::size_t i = 0; i < c; ++i) *out++ = interpolate_along(line, tap, c, i);
      return buffers[row % 2];
    };
    for (std::size_t row = first; row < last; ++row) {
      auto const tap = linear_tap(row, h, height, alignment);
      float const* const top = along(tap.first);
      f(row, top, along(tap.second), tap.weight);
    }
  }
};

}  // namespace kovos::detail
