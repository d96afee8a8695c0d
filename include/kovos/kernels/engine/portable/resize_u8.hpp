// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kovos/core/image.hpp"
#include "kovos/kernels/problem/resize_u8.hpp"

// Pictures are on the host and have no context: the forms of this kernel are chosen by the compiler, not by `solve`.
namespace kovos::detail {

inline std::uint8_t resize_clip(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> 22, 0, 255)); }

/// Rows that are resized together, and the bytes behind a row that may be read and written.
inline constexpr std::size_t resize_group = 4, resize_room = 16;

/// The definition, one sum after the other: what the other forms must equal.
struct PortableResize {
  /// Each of the rows, of `bytes` bytes, to the width of the taps.
  static void rows(std::array<std::uint8_t const*, resize_group> const& sources, std::size_t, ResizeTaps const& taps,
                   std::array<std::uint8_t*, resize_group> const& results, std::vector<std::uint8_t>&) {
    for (std::size_t r = 0; r < resize_group; ++r)
      for (std::size_t x = 0; x < taps.first.size(); ++x) {
        std::int32_t sum[3] = {1 << 21, 1 << 21, 1 << 21};
        std::uint8_t const* pixel = sources[r] + 3 * taps.first[x];
        std::int32_t const* weight = taps.weights.data() + x * taps.width;
        for (std::size_t j = 0; j < taps.count[x]; ++j, pixel += 3)
          for (std::size_t c = 0; c < 3; ++c) sum[c] += weight[j] * pixel[c];
        for (std::size_t c = 0; c < 3; ++c) results[r][3 * x + c] = resize_clip(sum[c]);
      }
  }

  /// The sum of rows, each with its weight, from byte `begin` on.
  static void column(std::span<std::uint8_t const* const> rows, std::int32_t const* weights, std::size_t begin,
                     std::size_t bytes, std::uint8_t* result) {
    constexpr std::size_t block = 256;  // sums that stay in the first cache
    std::int32_t sums[block];
    for (; begin < bytes; begin += block) {
      std::size_t const size = std::min(block, bytes - begin);
      std::fill(sums, sums + size, 1 << 21);
      for (std::size_t j = 0; j < rows.size(); ++j)
        for (std::size_t i = 0; i < size; ++i) sums[i] += weights[j] * rows[j][begin + i];
      std::transform(sums, sums + size, result + begin, resize_clip);
    }
  }
};

/// Rows first; of the rows between the passes only those are kept that are still needed.
template <class Form>
Image resize(Image const& image, std::size_t height, std::size_t width, ResizeFilter filter) {
  if (height == image.height && width == image.width) return image;
  auto const across = resize_taps(image.width, width, filter), down = resize_taps(image.height, height, filter);
  std::size_t const bytes = 3 * width, stride = bytes + resize_room, kept = down.width + resize_group;
  bool const other_width = width != image.width;
  std::vector<std::uint8_t> between(other_width ? kept * stride : 0), scratch;
  auto const row_between = [&](std::size_t y) { return between.data() + y % kept * stride; };
  std::vector<std::uint8_t const*> window;
  Image result{height, width, std::vector<std::uint8_t>(height * bytes)};
  std::size_t done = 0;
  for (std::size_t y = 0; y < height; ++y) {
    std::size_t const first = down.first[y], end = first + down.count[y];
    for (; other_width && done < end; done += resize_group) {
      std::array<std::uint8_t const*, resize_group> sources{};
      std::array<std::uint8_t*, resize_group> results{};
      for (std::size_t r = 0; r < resize_group; ++r) {
        std::size_t const row = std::min(done + r, image.height - 1);
        sources[r] = image.row(row);
        results[r] = row_between(row);
      }
      Form::rows(sources, 3 * image.width, across, results, scratch);
    }
    window.clear();
    for (std::size_t row = first; row < end; ++row) window.push_back(other_width ? row_between(row) : image.row(row));
    Form::column(window, down.weights.data() + y * down.width, 0, bytes, result.row(y));
  }
  return result;
}

}  // namespace kovos::detail
