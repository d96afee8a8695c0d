// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kovos/kernels/engine/portable/resize_u8.hpp"
#include "kovos/kernels/problem/resize_u8.hpp"

namespace kovos::detail {

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

}  // namespace kovos::detail
