// SPDX-License-Identifier: Apache-2.0
// Every instruction set with products of bf16 that this machine has, and AMX on emulated tiles, against references from
// rounded operands.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "kovos/core/scalar.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"
#include "support/emulated_tiles.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

#ifdef KOVOS_HOST_ENGINE

using namespace kovos;
using namespace kovos::test;

namespace {

using Exec = Kokkos::DefaultHostExecutionSpace;

Context<Exec> exact() { return Context<Exec>(Exec(), Engine::portable); }

/// Calls f(kernels) for each of them. The emulation runs all but the tiles on AVX512_BF16, as the real kernel does.
template <class F>
void for_each_bf16(F const& f) {
  auto const list = detail::available_host_bf16_kernels();
  for (auto const* kernels : list) {
    INFO("instruction set ", std::string(kernels->name));
    f(*kernels);
  }
#ifdef KOVOS_HOST_ENGINE_AMX
  if (list.empty()) return;
  INFO("emulated tiles");
  f(detail::amx_bf16::kernels<EmulatedTileUnit>);
#endif
}

template <class V>
V rounded(V const& x) {
  std::transform(x.data(), x.data() + x.size(), x.data(), [](float v) { return static_cast<float>(bf16(v)); });
  return x;
}

constexpr std::uint16_t not_a_number = 0x7fc0;

double wide(std::uint16_t half) {
  bf16 x;
  x.bits = half;
  return static_cast<double>(static_cast<float>(x));
}

}  // namespace

TEST_CASE("the products of bf16 are listed from the plainest to the best") {
  auto const list = detail::available_host_bf16_kernels();
  CHECK(detail::host_bf16_kernels() == (list.empty() ? nullptr : list.back()));
  std::string names;
  bool amx = false;
  for (auto const* kernels : list) {
    names += std::string(kernels->name) + " ";
    CHECK(kernels->columns == 32);
    amx = amx || std::string(kernels->name) == "amx_bf16";
  }
  MESSAGE("tested here: " << names);
  if (list.empty()) MESSAGE("not tested: products of bf16, for which this machine has no instructions");
  if (!amx) MESSAGE("not tested: amx_bf16 on real tiles, which this machine has not");
}

TEST_CASE("bf16 kernels: gemm, every tile and its rests, with an epilogue") {
  for_each_bf16([](detail::HostBf16Kernels const& kernels) {
    Context<Exec> const context;
    for (std::size_t m : {1u, 2u, 3u, 15u, 16u, 17u, 31u, 32u, 33u, 34u, 64u, 65u, 97u, 230u, 257u})
      for (std::size_t n : {1u, 15u, 16u, 17u, 32u, 33u, 65u})
        for (std::size_t k : {1u, 2u, 31u, 32u, 33u, 34u, 62u, 64u, 65u, 128u, 190u}) {
          auto const a = random_tensor<float>(m, 1, m, k), b = random_tensor<float>(n, 1, n, k);
          auto const addend = random_tensor<float>(3, 1, 5, n), residual = random_tensor<float>(4, 1, m, n);
          Tensor<float, dynamic_extents<2>> const fast(dynamic_extents<2>(m, n)), slow(dynamic_extents<2>(m, n));
          Epilogue e;
          e.addend = {addend.data(), 5, n, n, 1};
          e.row_divisor = 2;
          e.activation = Activation::relu;
          e.residual = as_matrix(residual);
          detail::gemm_bf16(context,
                            problem::Product<float, float, float>{
                                {a.data(), m, k, k, 1}, {b.data(), k, n, 1, k}, as_matrix(fast), 0.5f, e},
                            kernels);
          gemm(exact(), as_matrix(rounded(a)), as_matrix(rounded(b)).transposed(), as_matrix(slow), e, 0.5f);
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CHECK(close(values(fast), values(slow), 2e-6 * static_cast<double>(k + 2)));
        }
  });
}

TEST_CASE("bf16 kernels: runs of any length, rows that overlap or lie apart, and nothing read or written beside them") {
  for_each_bf16([](detail::HostBf16Kernels const& kernels) {
    for (std::size_t segments : {1u, 2u, 3u})
      for (std::size_t length : {2u, 12u, 30u, 32u, 34u, 48u, 64u, 96u, 110u})
        for (std::size_t rows : {1u, 5u, 16u, 24u, 33u, 49u})
          for (std::size_t a_stride : {length / 2, length + 3}) {
            std::size_t const columns = 41, panels = 2, width = kernels.columns, depth = segments * length;
            std::size_t const run = (rows - 1) * a_stride + length, segment_stride = run + 5;
            Random random(rows * length);
            // What no row sees is NaN, and behind the last row the memory ends.
            std::vector<std::uint16_t> a((segments - 1) * segment_stride + run, not_a_number),
                b(panels * depth * width, 0);
            for (std::size_t s = 0; s < segments; ++s)
              for (std::size_t i = 0; i < rows; ++i)
                for (std::size_t k = 0; k < length; ++k)
                  a[s * segment_stride + i * a_stride + k] = bf16::round(random.number());
            auto const b_at = [&](std::size_t k, std::size_t j) {
              return (j / width * depth / 2 * width + k / 2 * width + j % width) * 2 + k % 2;
            };
            for (std::size_t k = 0; k < depth; ++k)
              for (std::size_t j = 0; j < columns; ++j) b[b_at(k, j)] = bf16::round(random.number());

            std::size_t const c_stride = columns + 2;
            std::vector<float> c(rows * c_stride), addend(3 * columns);
            for (auto* list : {&c, &addend})
              for (auto& x : *list) x = random.number();
            auto const before = c;
            detail::HostBf16GemmBlock g;
            g.a = a.data();
            g.a_stride = a_stride;
            g.segments = segments;
            g.segment_length = length;
            g.segment_stride = segment_stride;
            g.rows = rows;
            g.first_row = 7;
            g.packed_b = b.data();
            g.columns = columns;
            g.c = c.data();
            g.c_stride = c_stride;
            g.epilogue.addend = addend.data();
            g.epilogue.addend_stride = columns;
            g.epilogue.row_divisor = 2;
            g.epilogue.row_period = 3;
            g.epilogue.activation = Activation::gelu;
            g.epilogue.residual = c.data();  // in place: no row may be finished twice
            g.epilogue.residual_stride = c_stride;
            kernels.gemm(g);

            Values result, expected, bound;
            bool beside = false;
            for (std::size_t i = 0; i < rows; ++i)
              for (std::size_t j = 0; j < c_stride; ++j) {
                std::size_t const place = i * c_stride + j;
                if (j >= columns) {
                  beside = beside || c[place] != before[place];
                  continue;
                }
                double sum = static_cast<double>(addend[(7 + i) / 2 % 3 * columns + j]);
                for (std::size_t s = 0; s < segments; ++s)
                  for (std::size_t k = 0; k < length; ++k)
                    sum += wide(a[s * segment_stride + i * a_stride + k]) * wide(b[b_at(s * length + k, j)]);
                result.push_back(static_cast<double>(c[place]));
                expected.push_back(reference::activated(sum, Activation::gelu) + static_cast<double>(before[place]));
                bound.push_back(2e-6 * static_cast<double>(depth + 2) + 2e-5 * std::max(3.0, std::fabs(sum)));
              }
            CAPTURE(segments);
            CAPTURE(length);
            CAPTURE(rows);
            CAPTURE(a_stride);
            CHECK(close(result, expected, bound));
            CHECK_FALSE(beside);
          }
  });
}

TEST_CASE("bf16 kernels: convolutions against the portable ones of the rounded operands") {
  for_each_bf16([](detail::HostBf16Kernels const& kernels) {
    Context<Exec> const context;
    struct Case {
      std::size_t c, out, kernel, stride, padding;
    };
    for (auto const& t : {Case{16, 24, 3, 1, 1}, Case{32, 40, 3, 1, 1}, Case{6, 33, 2, 2, 0}, Case{3, 8, 16, 4, 0}}) {
      auto const x = rounded(random_tensor<float>(1, 1, 2, 17, 37, t.c)),
                 w = rounded(random_tensor<float>(2, 1, t.out, t.c, t.kernel, t.kernel));
      auto const b = random_tensor<float>(3, 1, t.out);
      auto const slow = conv2d(exact(), x, w, b, t.stride, t.padding, Activation::relu);
      auto const fast = copy_of(context, slow);
      problem::Convolution<float> p;
      p.shape = {.n = 2,
                 .height = 17,
                 .width = 37,
                 .c = t.c,
                 .out_h = slow.extent(1),
                 .out_w = slow.extent(2),
                 .out_c = t.out,
                 .weight_c = t.c,
                 .kh = t.kernel,
                 .kw = t.kernel,
                 .stride = t.stride,
                 .padding = t.padding};
      p.x = x.data(), p.weight = w.data(), p.y = fast.data(), p.bias = b.data();
      p.activation = Activation::relu;
      detail::convolve_host<std::uint16_t>(context, kernels, p, nullptr);
      CAPTURE(t.c);
      CHECK(close(values(fast), values(slow), 1e-4));
    }
    for (std::size_t c : {5u, 16u, 40u}) {
      auto const x = rounded(random_tensor<float>(1, 1, 2, 7, 37, c));
      auto const composed = rounded(random_tensor<float>(2, 1, 4, 33, c, 2, 2));
      auto const shared = random_tensor<float>(4, 1, 1, 14, 74, 33);
      auto const slow = upsample_conv2d(exact(), x, composed, shared);
      auto const fast = copy_of(context, slow);
      problem::UpsamplingConvolution const p{2, 7, 37, c, 33, x.data(), composed.data(), fast.data(), shared.data()};
      detail::convolve_host<std::uint16_t>(context, kernels, p, nullptr);
      CAPTURE(c);
      CHECK(close(values(fast), values(slow), 1e-4));
    }
  });
}

TEST_CASE("bf16 kernels: attention, only the weights are rounded where the operands need not be") {
  for_each_bf16([](detail::HostBf16Kernels const& kernels) {
    struct Case {
      std::size_t queries, keys, depth;
      bool causal;
    };
    for (auto const& t : {Case{1, 1, 4, false}, Case{57, 57, 15, true}, Case{20, 144, 64, false},
                          Case{145, 145, 96, false}, Case{9, 33, 35, false}, Case{77, 77, 32, true}}) {
      auto const q = rounded(random_tensor<float>(1, 2, 1, t.queries, t.depth));
      auto const k = rounded(random_tensor<float>(2, 2, 1, t.keys, t.depth));
      auto const v = rounded(random_tensor<float>(3, 1, 1, t.keys, t.depth));
      float const scale = 0.3f;
      auto const slow = attention(exact(), q, k, v, 1, t.causal, scale);
      std::vector<float> scratch(kernels.attention_scratch(t.keys, t.depth) + 1, -7.0f), o(slow.size());
      detail::HostAttention run;
      run.q = q.data(), run.k = k.data(), run.v = v.data(), run.o = o.data();
      run.q_stride = run.k_stride = run.v_stride = run.o_stride = t.depth;
      run.queries = t.queries, run.keys = t.keys, run.head_dim = t.depth;
      run.scale = scale;
      run.causal = t.causal;
      run.scratch = scratch.data();
      kernels.attention(run);
      CAPTURE(t.queries);
      CHECK(scratch.back() == -7.0f);
      CHECK(close(Values(o.begin(), o.end()), values(slow), largest(values(v)) / 512 + 1e-5));
      if (t.depth % 2) continue;
      // Operands that are bf16 already, rows apart: the same, rounded at the end; what lies between the rows is NaN.
      std::size_t const stride = t.depth + 6;
      auto const spread = [&](auto const& x) {
        std::vector<std::uint16_t> y(x.extent(1) * stride, not_a_number);
        for (std::size_t i = 0; i < x.size(); ++i) y[i / t.depth * stride + i % t.depth] = bf16::round(x.data()[i]);
        return y;
      };
      auto const hq = spread(q), hk = spread(k), hv = spread(v);
      std::vector<std::uint16_t> ho(t.queries * stride, not_a_number);
      detail::HostBf16Attention half;
      half.q = hq.data(), half.k = hk.data(), half.v = hv.data(), half.o = ho.data();
      half.q_stride = half.k_stride = half.v_stride = half.o_stride = stride;
      half.queries = t.queries, half.keys = t.keys, half.head_dim = t.depth;
      half.scale = scale;
      half.causal = t.causal;
      half.scratch = scratch.data();
      kernels.attention_of_bf16(half);
      CHECK(scratch.back() == -7.0f);
      std::size_t different = 0;
      for (std::size_t i = 0; i < ho.size(); ++i)
        different += ho[i] != (i % stride < t.depth ? bf16::round(o[i / stride * t.depth + i % stride]) : not_a_number);
      CHECK(different == 0);
    }
  });
}

#ifdef KOVOS_HOST_ENGINE_AMX

TEST_CASE("emulated tiles refuse what the CPU refuses, and multiply as the manual says") {
  using Tiles = EmulatedTileUnit;
  detail::amx_bf16::TileConfig config;
  config.row_bytes[0] = 8, config.rows[0] = 1;  // 1 x 2 sums
  config.row_bytes[1] = 8, config.rows[1] = 1;  // 1 x 2 pairs
  config.row_bytes[2] = 8, config.rows[2] = 2;  // 2 pairs x 2
  config.row_bytes[3] = 8, config.rows[3] = 1;
  CHECK_THROWS_AS(Tiles::zero<0>(), std::logic_error);
  Tiles::configure(config);
  std::vector<std::uint16_t> a, b;
  for (float x : {1.0f, 2.0f, 3.0f, 1e-39f}) a.push_back(bf16::round(x));
  for (float x : {5.0f, 7.0f, 11.0f, 13.0f, 17.0f, 1e38f, 19.0f, 1e38f}) b.push_back(bf16::round(x));
  float sums[2] = {0.5f, 1e-39f};
  Tiles::load<0>(sums, 8);
  Tiles::load<1>(a.data(), 8);
  Tiles::load<2>(b.data(), 8);
  Tiles::multiply<0, 1, 2>();
  Tiles::store<0>(sums, 8);
  CHECK(sums[0] == 0.5f + 5 + 14 + 51);  // denormal numbers count as zero
  CHECK(sums[1] == 11 + 26 + 57);
  CHECK_THROWS_AS((Tiles::multiply<0, 1, 3>()), std::logic_error);
  CHECK_THROWS_AS(Tiles::zero<4>(), std::logic_error);
  Tiles::release();
  CHECK(Tiles::released());
  CHECK_THROWS_AS(Tiles::zero<0>(), std::logic_error);
  auto wrong = config;
  wrong.rows[1] = 17;
  CHECK_THROWS_AS(Tiles::configure(wrong), std::logic_error);
  wrong = config;
  wrong.row_bytes[8] = 64;
  CHECK_THROWS_AS(Tiles::configure(wrong), std::logic_error);
  wrong = config;
  wrong.rows[4] = 1;
  CHECK_THROWS_AS(Tiles::configure(wrong), std::logic_error);
}

TEST_CASE("a product of tiles leaves none configured, whatever its size") {
  if (detail::available_host_bf16_kernels().empty()) return;
  for (std::size_t rows : {0u, 1u, 40u})
    for (std::size_t length : {32u, 50u}) {
      std::vector<std::uint16_t> const a(std::max<std::size_t>(1, rows) * length), b(length * 32);
      std::vector<float> c(std::max<std::size_t>(1, rows), -1.0f);
      detail::HostBf16GemmBlock g;
      g.a = a.data();
      g.a_stride = g.segment_length = length;
      g.rows = rows;
      g.packed_b = b.data();
      g.columns = g.c_stride = 1;
      g.c = c.data();
      detail::amx_bf16::gemm<EmulatedTileUnit>(g);
      CHECK(EmulatedTileUnit::released());
      CHECK(c.back() == (rows == 0 ? -1.0f : 0.0f));
    }
}

#endif

#endif
