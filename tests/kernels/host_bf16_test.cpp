// SPDX-License-Identifier: Apache-2.0
// Products of bf16: operands that bf16 can represent give the product of fp32, others that of their rounded values.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

#include "kovos/core/scalar.hpp"
#include "kovos/kernels/attention.hpp"
#include "kovos/kernels/convolution.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

using Exec = Kokkos::DefaultHostExecutionSpace;

Context<Exec> exact() { return Context<Exec>(Exec(), Engine::portable); }
Context<Exec> halves() { return Context<Exec>(Exec(), Engine::automatic, MatmulPrecision::bf16); }

/// What remains of a tensor's values in bf16.
template <class V>
V rounded(V const& x) {
  std::transform(x.data(), x.data() + x.size(), x.data(), [](float v) { return static_cast<float>(bf16(v)); });
  return x;
}

/// Where there are no such instructions, bf16 is allowed but not used; there is nothing to test then.
bool there() {
#ifdef KOVOS_HOST_ENGINE
  if (detail::host_bf16_kernels()) return true;
#endif
  MESSAGE("not tested: this machine has no products of bf16");
  return false;
}

}  // namespace

TEST_CASE("bf16 gemm, every tile and its rests, against the portable product of the rounded operands") {
  if (!there()) return;
  for (std::size_t m : {1u, 2u, 7u, 13u, 14u, 15u, 27u, 29u, 113u, 230u})
    for (std::size_t n : {1u, 15u, 16u, 17u, 32u, 33u, 65u})
      for (std::size_t k : {1u, 2u, 31u, 128u}) {
        auto const a = random_tensor<float>(m, 1, m, k), b = random_tensor<float>(n, 1, n, k);
        auto const addend = random_tensor<float>(3, 1, 5, n), residual = random_tensor<float>(4, 1, m, n);
        Tensor<float, dynamic_extents<2>> const fast(dynamic_extents<2>(m, n)), slow(dynamic_extents<2>(m, n));
        Epilogue e;
        e.addend = {addend.data(), 5, n, n, 1};
        e.row_divisor = 2;
        e.activation = Activation::relu;
        e.residual = as_matrix(residual);
        gemm(halves(), as_matrix(a), as_matrix(b).transposed(), as_matrix(fast), e, 0.5f);
        gemm(exact(), as_matrix(rounded(a)), as_matrix(rounded(b)).transposed(), as_matrix(slow), e, 0.5f);
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        CHECK(close(values(fast), values(slow), 2e-6 * static_cast<double>(k + 2)));
      }
}

TEST_CASE("bf16 gemm of a strided first operand and of bf16 weights") {
  if (!there()) return;
  std::size_t const m = 37, n = 40, k = 50;
  auto const a = rounded(random_tensor<float>(1, 1, k, m));
  auto const b = rounded(random_tensor<float>(2, 1, n, k));
  std::vector<bf16> stored(b.data(), b.data() + b.size());
  Tensor<float, dynamic_extents<2>> const fast(dynamic_extents<2>(m, n)), slow(dynamic_extents<2>(m, n));
  gemm(halves(), as_matrix(a).transposed(), Matrix<bf16 const>{stored.data(), n, k, k, 1}.transposed(),
       as_matrix(fast));
  gemm(exact(), as_matrix(a).transposed(), as_matrix(b).transposed(), as_matrix(slow));
  CHECK(close(values(fast), values(slow), 2e-5));
}

TEST_CASE("the short GELU is off by less than 2e-5 max(3, |x|), and NaN stays NaN") {
  if (!there()) return;
  std::size_t const count = 4001;
  Tensor<float, dynamic_extents<2>> const x(dynamic_extents<2>(count, 1)), y(dynamic_extents<2>(count, 1));
  for (std::size_t i = 0; i < count; ++i)
    x.data()[i] = static_cast<float>(bf16(static_cast<float>(i) * 0.005f - 10.0f));
  x.data()[7] = std::nanf("");
  float const one = 1;
  Epilogue e;
  e.activation = Activation::gelu;
  gemm(halves(), as_matrix(x), Matrix<float const>{&one, 1, 1, 1, 1}, as_matrix(y), e);
  CHECK(std::isnan(y.data()[7]));
  double worst = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i == 7) continue;
    double const v = static_cast<double>(x.data()[i]);
    double const error = std::fabs(static_cast<double>(y.data()[i]) - reference::activated(v, Activation::gelu));
    worst = std::max(worst, error / std::max(3.0, std::fabs(v)));
  }
  CHECK(worst < 2e-5);
}

TEST_CASE("bf16 convolution against the portable one of the rounded operands") {
  if (!there()) return;
  struct Case {
    std::size_t c, out, kernel, stride, padding;
  };
  for (auto const& t : {Case{16, 24, 3, 1, 1}, Case{6, 33, 2, 2, 0}, Case{3, 8, 4, 4, 0}, Case{1, 8, 7, 1, 3}}) {
    auto const x = random_tensor<float>(1, 1, 2, 12, 20, t.c),
               w = random_tensor<float>(2, 1, t.out, t.c, t.kernel, t.kernel);
    auto const b = random_tensor<float>(3, 1, t.out);
    auto const fast = conv2d(halves(), x, w, b, t.stride, t.padding, Activation::relu);
    bool const odd = t.kernel * t.c % 2 == 1;  // such runs stay fp32
    auto const slow =
        conv2d(exact(), odd ? x : rounded(x), odd ? w : rounded(w), b, t.stride, t.padding, Activation::relu);
    CAPTURE(t.c);
    CHECK(close(values(fast), values(slow), 1e-4));
  }
}

TEST_CASE("bf16 upsampling convolution against the portable one where the composed weights need no rounding") {
  if (!there()) return;
  auto const x = random_tensor<float>(1, 1, 2, 7, 20, 5);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] *= 1.001f;  // so that it does need rounding
  auto const up = random_tensor<float>(2, 1, 5, 3, 2, 2), w = random_tensor<float>(3, 1, 33, 3, 3, 3);
  // Sums of at most 12 products of small integers fit the eight digits of bf16.
  for (auto const& t : {up, w})
    for (std::size_t i = 0; i < t.size(); ++i) t.data()[i] = static_cast<float>(static_cast<int>(i * 7 % 5) - 2);
  auto const shared = random_tensor<float>(4, 1, 1, 14, 40, 33);
  auto const fast = upsample_conv2d(halves(), x, compose_upsampling(halves(), up, w), shared);
  CHECK_FALSE(
      close(values(fast), values(upsample_conv2d(exact(), x, compose_upsampling(exact(), up, w), shared)), 1e-4));
  CHECK(close(values(fast), values(upsample_conv2d(exact(), rounded(x), compose_upsampling(exact(), up, w), shared)),
              1e-4));
}

TEST_CASE("bf16 attention: only the weights are rounded where queries, keys and values need not be") {
  if (!there()) return;
  struct Case {
    std::size_t queries, keys, depth, heads;
    bool causal;
  };
  for (auto const& t : {Case{1, 1, 4, 2, false}, Case{57, 57, 15, 3, true}, Case{20, 144, 64, 2, false},
                        Case{145, 145, 96, 3, false}, Case{9, 33, 35, 5, false}}) {
    auto const q = rounded(random_tensor<float>(1, 2, 2, t.queries, t.depth));
    auto const k = rounded(random_tensor<float>(2, 2, 2, t.keys, t.depth));
    auto const v = rounded(random_tensor<float>(3, 1, 2, t.keys, t.depth));
    // Scores are exponents of 2: this scale multiplies queries by a power of two before they are rounded. A rounded
    // weight is off by 2^-9 of itself, so is their sum's share.
    float const scale = 0.25f * std::numbers::ln2_v<float>;
    auto const fast = attention(halves(), q, k, v, t.heads, t.causal, scale);
    auto const slow = attention(exact(), q, k, v, t.heads, t.causal, scale);
    CAPTURE(t.queries);
    CHECK(close(values(fast), values(slow), largest(values(v)) / 512 + 1e-5));
  }
  auto const x = rounded(random_tensor<float>(4, 1, 2, 8, 8, 12));
  CHECK(close(values(window_attention(halves(), x, x, x, 3, 4, 2)), values(window_attention(exact(), x, x, x, 3, 4, 2)),
              largest(values(x)) / 256 + 1e-5));
}
