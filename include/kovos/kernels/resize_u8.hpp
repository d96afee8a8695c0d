// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "kovos/core/error.hpp"
#include "kovos/core/image.hpp"

namespace kovos {

enum class ResizeFilter : std::uint8_t { bilinear, bicubic };

namespace detail {

/// For each output position: where its source run begins, and Pillow's integer weights (22 fractional bits).
struct ResizeTaps {
  std::vector<std::size_t> first;
  std::vector<std::size_t> count;
  std::vector<std::int32_t> weights;  // [out * width]
  std::size_t width = 0;
};

inline double resize_weight(double t, ResizeFilter filter) {
  t = std::abs(t);
  if (filter == ResizeFilter::bilinear) return t < 1 ? 1 - t : 0;
  constexpr double a = -0.5;
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

inline ResizeTaps resize_taps(std::size_t in, std::size_t out, ResizeFilter filter) {
  double const scale = static_cast<double>(in) / static_cast<double>(out);
  double const stretch = std::max(scale, 1.0);
  double const support = stretch * (filter == ResizeFilter::bilinear ? 1.0 : 2.0);
  ResizeTaps taps;
  // One more than Pillow has: an odd number of taps can be read as pairs, the last weight is then 0.
  taps.width = static_cast<std::size_t>(std::ceil(support)) * 2 + 2;
  taps.first.resize(out);
  taps.count.resize(out);
  taps.weights.assign(out * taps.width, 0);
  std::vector<double> w(taps.width);
  for (std::size_t i = 0; i < out; ++i) {
    double const centre = (static_cast<double>(i) + 0.5) * scale;
    auto const low = std::max<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(centre - support + 0.5));
    auto const high = std::min(static_cast<std::ptrdiff_t>(in), static_cast<std::ptrdiff_t>(centre + support + 0.5));
    auto const count = static_cast<std::size_t>(high - low);
    double sum = 0;
    for (std::size_t j = 0; j < count; ++j) {
      w[j] = resize_weight((static_cast<double>(j) + static_cast<double>(low) - centre + 0.5) / stretch, filter);
      sum += w[j];
    }
    taps.first[i] = static_cast<std::size_t>(low);
    taps.count[i] = count;
    for (std::size_t j = 0; j < count; ++j) {
      double const scaled = w[j] / sum * (1 << 22);
      taps.weights[i * taps.width + j] = static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
  }
  return taps;
}

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

#if defined(__SSE2__)

/// The same sums by products of 16 bits: a weight is high * 2^15 + low, 0 <= low < 2^15, and a pair of taps is one
/// instruction for each part. Sums of 32 bits wrap, so that the parts may exceed them and the whole is right.
class Sse2Resize {
 public:
  static void rows(std::array<std::uint8_t const*, resize_group> const& sources, std::size_t bytes,
                   ResizeTaps const& taps, std::array<std::uint8_t*, resize_group> const& results,
                   std::vector<std::uint8_t>& scratch) {
    // A pair of pixels is read as eight bytes; a picture ends with its last row.
    std::size_t const stride = bytes + resize_room;
    scratch.resize(resize_group * stride);
    for (std::size_t r = 0; r < resize_group; ++r) std::memcpy(scratch.data() + r * stride, sources[r], bytes);
    for (std::size_t x = 0; x < taps.first.size(); ++x) {
      std::int32_t const* const weights = taps.weights.data() + x * taps.width;
      std::uint8_t const* const pixels = scratch.data() + 3 * taps.first[x];
      Sums sums[resize_group];
      for (std::size_t j = 0; j < taps.count[x]; j += 2) {
        Weights const w(weights[j], weights[j + 1]);
        for (std::size_t r = 0; r < resize_group; ++r) {
          __m128i const both = _mm_loadl_epi64(reinterpret_cast<__m128i const*>(pixels + r * stride + 3 * j));
          __m128i const pairs = _mm_unpacklo_epi8(both, _mm_srli_epi64(both, 24));
          sums[r].add(_mm_unpacklo_epi8(pairs, _mm_setzero_si128()), w);
        }
      }
      __m128i four = packed(sums);
      for (std::size_t r = 0; r < resize_group; ++r) {
        std::int32_t const pixel = _mm_cvtsi128_si32(four);
        std::memcpy(results[r] + 3 * x, &pixel, sizeof pixel);
        four = _mm_srli_si128(four, 4);
      }
    }
  }

  static void column(std::span<std::uint8_t const* const> rows, std::int32_t const* weights, std::size_t begin,
                     std::size_t bytes, std::uint8_t* result) {
    std::size_t i = begin;
    for (; i + 16 <= bytes; i += 16) {
      Sums sums[4];
      __m128i const zero = _mm_setzero_si128();
      for (std::size_t j = 0; j < rows.size(); j += 2) {
        __m128i const a = load(rows[j] + i), b = j + 1 < rows.size() ? load(rows[j + 1] + i) : zero;
        Weights const w(weights[j], weights[j + 1]);
        __m128i const low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
        sums[0].add(_mm_unpacklo_epi8(low, zero), w);
        sums[1].add(_mm_unpackhi_epi8(low, zero), w);
        sums[2].add(_mm_unpacklo_epi8(high, zero), w);
        sums[3].add(_mm_unpackhi_epi8(high, zero), w);
      }
      _mm_storeu_si128(reinterpret_cast<__m128i*>(result + i), packed(sums));
    }
    PortableResize::column(rows, weights, i, bytes, result);
  }

 private:
  struct Weights {
    Weights(std::int32_t a, std::int32_t b)
        : low(_mm_set1_epi32((a & 0x7fff) | (b & 0x7fff) << 16)),
          high(_mm_set1_epi32((a >> 15 & 0xffff) | (b >> 15) * 65536)) {}
    __m128i low, high;
  };

  /// Four sums of pairs.
  struct Sums {
    void add(__m128i pairs, Weights const& w) {
      low = _mm_add_epi32(low, _mm_madd_epi16(pairs, w.low));
      high = _mm_add_epi32(high, _mm_madd_epi16(pairs, w.high));
    }
    __m128i rounded() const { return _mm_srai_epi32(_mm_add_epi32(low, _mm_slli_epi32(high, 15)), 22); }
    __m128i low = _mm_set1_epi32(1 << 21), high = _mm_setzero_si128();
  };

  static __m128i load(std::uint8_t const* bytes) { return _mm_loadu_si128(reinterpret_cast<__m128i const*>(bytes)); }

  /// Sixteen sums, rounded and clipped.
  static __m128i packed(Sums const* sums) {
    return _mm_packus_epi16(_mm_packs_epi32(sums[0].rounded(), sums[1].rounded()),
                            _mm_packs_epi32(sums[2].rounded(), sums[3].rounded()));
  }
};

using FastResize = Sse2Resize;
#else
using FastResize = PortableResize;
#endif

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

}  // namespace detail

/// Resizes exactly as Pillow does 8-bit pictures: antialiased when shrinking, rows first, rounded to 8 bits between the
/// two passes; a side that keeps its length is left alone. Throws ShapeError for empty pictures or sizes.
inline Image resize_pillow(Image const& image, std::size_t height, std::size_t width, ResizeFilter filter) {
  require<ShapeError>(image.height > 0 && image.width > 0 && height > 0 && width > 0, "[resize_pillow] cannot resize ",
                      image.height, " x ", image.width, " to ", height, " x ", width);
  return detail::resize<detail::FastResize>(image, height, width, filter);
}

/// The size detectron2 resizes a picture to: short side `short_edge`, unless the long side would exceed `longest_edge`.
/// -> (height, width), each at least 1.
inline std::pair<std::size_t, std::size_t> shortest_edge_size(std::size_t height, std::size_t width,
                                                              std::size_t short_edge, std::size_t longest_edge) {
  double const h = static_cast<double>(height), w = static_cast<double>(width), size = static_cast<double>(short_edge);
  double const scale = size / std::min(h, w);
  double new_h = h < w ? size : scale * h;
  double new_w = h < w ? scale * w : size;
  double const longest = std::max(new_h, new_w);
  if (longest > static_cast<double>(longest_edge)) {
    double const shrink = static_cast<double>(longest_edge) / longest;
    new_h *= shrink;
    new_w *= shrink;
  }
  auto const rounded = [](double v) { return std::max<std::size_t>(1, static_cast<std::size_t>(v + 0.5)); };
  return {rounded(new_h), rounded(new_w)};
}

}  // namespace kovos
