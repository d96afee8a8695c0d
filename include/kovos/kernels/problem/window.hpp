// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>

namespace kovos::problem {

/// Maps that are rolled by (-shift, -shift) and then cut into windows of size x size pixels, row-major.
struct Windows {
  std::size_t n = 0, height = 0, width = 0, c = 0;  // size divides height and width
  std::size_t size = 1, shift = 0;                  // shift < size

  KOKKOS_FUNCTION std::size_t length() const { return size * size; }                 // pixels of a window
  KOKKOS_FUNCTION std::size_t per_map() const { return height * width / length(); }  // windows of a map
  KOKKOS_FUNCTION std::size_t count() const { return n * per_map(); }                // windows of all maps

  /// Source pixel of position p of window w, both row-major, of one map.
  KOKKOS_FUNCTION std::size_t pixel(std::size_t w, std::size_t p) const {
    std::size_t const columns = width / size;
    std::size_t const y = (w / columns * size + p / size + shift) % height;
    std::size_t const x = (w % columns * size + p % size + shift) % width;
    return y * width + x;
  }

  /// Where the channels of a position of a window begin in [n, height, width, c]; windows of all maps are counted
  /// through.
  KOKKOS_FUNCTION std::size_t source(std::size_t window, std::size_t position) const {
    return (window / per_map() * height * width + pixel(window % per_map(), position)) * c;
  }
};

/// to = the windows of from. from: [n, height, width, c], to: [count, length, c].
struct CutWindows {
  Windows windows;
  float const* from = nullptr;
  float* to = nullptr;
};

/// to = the maps whose windows are from. from: [count, length, c], to: [n, height, width, c].
struct JoinWindows {
  Windows windows;
  float const* from = nullptr;
  float* to = nullptr;
};

/// to += the maps whose windows are from: the gradient of CutWindows.
struct AddWindows {
  Windows windows;
  float const* from = nullptr;
  float* to = nullptr;
};

/// Which pixels of a shifted window were neighbours before the shift: equal numbers may attend to each other. In the
/// rolled map rows (and columns) 0 .. height - size - 1 are region 0, the next size - shift region 1, the last shift
/// region 2. to: [per_map, length]. Liu et al. 2021, figure 4.
struct WindowRegions {
  Windows windows;
  std::uint8_t* to = nullptr;
};

}  // namespace kovos::problem
