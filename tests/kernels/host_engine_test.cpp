// SPDX-License-Identifier: Apache-2.0
// Every instruction set of the host engine that this machine can run, called directly: the doors only take the best.
#include "kovos/kernels/engine/host/kernels.hpp"

#ifdef KOVOS_HOST_ENGINE

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kovos/kernels/gemm.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

template <class F>
void for_each_isa(F const& f) {
  for (auto const* kernels : detail::available_host_kernels()) {
    INFO("instruction set ", std::string(kernels->name));
    f(*kernels);
  }
}

std::vector<float> random_list(std::uint64_t seed, std::size_t count, double scale = 1) {
  auto const x = random_tensor<float>(seed, scale, count);
  return {x.data(), x.data() + count};
}
Values wide(std::vector<float> const& x) { return Values(x.begin(), x.end()); }

}  // namespace

TEST_CASE("the instruction sets are listed from the plainest to the best") {
  auto const list = detail::available_host_kernels();
  REQUIRE(!list.empty());
  CHECK(std::string(list.front()->name) == "baseline");
  CHECK(&detail::best_host_kernels() == list.back());
  std::string names;
  for (auto const* kernels : list) {
    names += std::string(kernels->name) + " ";
    CHECK(kernels->columns % 8 == 0);
    CHECK(kernels->rows > 0);
  }
  MESSAGE("tested here: " << names);
}

TEST_CASE("host gemm, every tile and its rests") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  for_each_isa([&](detail::HostKernels const& kernels) {
    std::vector<std::size_t> const depths{1, 37, 300};
    for (std::size_t m = 1; m <= 33; m += m < 17 ? 1 : 4)
      for (std::size_t n : {1u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 32u, 33u, 48u, 65u}) {
        std::size_t const k = depths[(m + n) % 3];
        auto const a = random_tensor<float>(m, 1, m, k), b = random_tensor<float>(n, 1, k, n);
        auto const addend = random_tensor<float>(3, 1, 5, n), c = random_tensor<float>(4, 1, m, n);
        Values const old = values(c);
        Epilogue e;
        e.addend = {addend.data(), 5, n, n, 1};
        e.row_divisor = 2;
        e.activation = Activation::quick_gelu;
        e.residual = {c.data(), m, n, n, 1};
        problem::Product<float, float, float> const product{
            {a.data(), m, k, k, 1}, {b.data(), k, n, n, 1}, as_matrix(c), 0.5f, e};
        detail::gemm_host(context, product, kernels);
        CAPTURE(m);
        CAPTURE(n);
        CHECK(close(values(c),
                    reference::product(
                        m, n, k, [&](std::size_t i, std::size_t j) { return static_cast<double>(a(i, j)); },
                        [&](std::size_t i, std::size_t j) { return static_cast<double>(b(i, j)); },
                        [&](std::size_t i, std::size_t j) { return static_cast<double>(addend(i / 2 % 5, j)); },
                        [&](std::size_t i, std::size_t j) { return old[i * n + j]; }, {0.5, Activation::quick_gelu})));
      }
  });
}

TEST_CASE("host attention: plain, causal, with regions, rows apart in memory") {
  for_each_isa([](detail::HostKernels const& kernels) {
    struct Case {
      std::size_t queries, keys, head_dim;
      bool causal, regions;
    };
    for (auto const& c :
         {Case{1, 1, 1, false, false}, Case{24, 24, 8, true, false}, Case{25, 57, 33, false, false},
          Case{57, 57, 5, true, false}, Case{49, 49, 32, false, true}, Case{113, 113, 17, true, true}}) {
      std::size_t const stride = c.head_dim + 3;
      auto const q = random_list(1, c.queries * stride, 2), k = random_list(2, c.keys * stride, 2),
                 v = random_list(3, c.keys * stride, 2);
      auto o = random_list(4, c.queries * stride);
      auto const before = o;
      std::vector<std::uint8_t> region(c.keys);
      for (std::size_t i = 0; i < c.keys; ++i) region[i] = static_cast<std::uint8_t>(i / 7 % 3);
      // One float more than asked for, to see whether it is left alone.
      std::vector<float> scratch(kernels.attention_scratch(c.keys, c.head_dim) + 1, -7.0f);
      detail::HostAttention t;
      t.q = q.data(), t.k = k.data(), t.v = v.data(), t.o = o.data();
      t.q_stride = t.k_stride = t.v_stride = t.o_stride = stride;
      t.queries = c.queries, t.keys = c.keys, t.head_dim = c.head_dim;
      t.scale = 0.3f;
      t.causal = c.causal;
      t.region = c.regions ? region.data() : nullptr;
      t.scratch = scratch.data();
      kernels.attention(t);
      CHECK(scratch.back() == -7.0f);
      auto const dense = [&](std::vector<float> const& x, std::size_t rows) {
        Values list;
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t d = 0; d < c.head_dim; ++d) list.push_back(static_cast<double>(x[i * stride + d]));
        return list;
      };
      CAPTURE(c.queries);
      CAPTURE(c.head_dim);
      CHECK(
          close(dense(o, c.queries), reference::attention({1, c.queries, c.keys, c.head_dim, 1}, dense(q, c.queries),
                                                          dense(k, c.keys), dense(v, c.keys), static_cast<double>(0.3f),
                                                          [&](std::size_t n, std::size_t i, std::size_t j) {
                                                            if (c.causal && j > i)
                                                              return reference::causal_mask(n, i, j);
                                                            return c.regions && region[i] != region[j] ? -100.0 : 0.0;
                                                          })));
      for (std::size_t i = 0; i < c.queries; ++i)
        for (std::size_t d = c.head_dim; d < stride; ++d) REQUIRE(o[i * stride + d] == before[i * stride + d]);
    }
  });
}

TEST_CASE("host layer_norm and softmax around every vector width") {
  for_each_isa([](detail::HostKernels const& kernels) {
    for (std::size_t c = 1; c < 40; c += c < 20 ? 1 : 3) {
      std::size_t const rows = 3;
      auto const x = random_list(c, rows * c, 3), w = random_list(2, c), b = random_list(3, c);
      std::vector<float> y(rows * c);
      kernels.layer_norm(x.data(), y.data(), w.data(), b.data(), rows, c, 1e-5f);
      CAPTURE(c);
      CHECK(close(wide(y), reference::layer_norm(rows, c, wide(x), wide(w), wide(b))));
      for (double scale : {0.1, 20.0}) {
        auto z = random_list(c + 7, rows * c, scale);
        auto const expected = reference::softmax(rows, c, wide(z));
        kernels.softmax(z.data(), rows, c);
        CHECK(close(wide(z), expected));
      }
    }
    // Rows of -infinity but one, and a NaN, which must not be hidden.
    std::vector<float> mixed(19, -infinity), spoiled(19, 1.0f);
    mixed[17] = 2;
    spoiled[3] = not_a_number;
    kernels.softmax(mixed.data(), 1, 19);
    kernels.softmax(spoiled.data(), 1, 19);
    CHECK(mixed[17] == 1.0f);
    CHECK(mixed[0] < 1e-37f);
    for (float p : spoiled) CHECK(std::isnan(p));
  });
}

TEST_CASE("host activations against erf and exp in double, over the whole range") {
  constexpr std::array activations{Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu,
                                   Activation::sigmoid};
  std::vector<float> x;
  for (int i = -20000; i <= 20000; ++i) x.push_back(static_cast<float>(i) * 1e-3f);
  for (int e = -149; e <= 127; ++e)
    for (float sign : {-1.0f, 1.0f}) x.push_back(sign * std::ldexp(1.2345f, e));
  x.insert(x.end(), {0.0f, -0.0f, 87.0f, -87.0f, 88.5f, -88.5f, 104.0f, -104.0f});
  for_each_isa([&](detail::HostKernels const& kernels) {
    for (Activation f : activations) {
      auto y = x;
      kernels.activate(y.data(), y.size(), f);
      Expected expected{wide(x), Values(x.size())};
      for (std::size_t i = 0; i < x.size(); ++i) {
        double const in = expected.value[i], out = reference::activated(in, f);
        // Relative to the result: 24 roundings, and the argument of exp, which for gelu is the square of a twice
        // rounded number. exp ends at 1e-38, which a huge |x| may multiply.
        double const argument = f == Activation::gelu ? 2.5 * in * in : 2 * std::fabs(in);
        expected.value[i] = out;
        expected.bound[i] =
            f == Activation::none || f == Activation::relu
                ? 0
                : (24 + std::min(argument, 500.0)) * unit * std::fabs(out) + 2e-38 * std::max(1.0, std::fabs(in));
      }
      CAPTURE(static_cast<int>(f));
      CHECK(close(wide(y), expected));
      // Another activation, or this one of a slightly wrong argument, would not pass.
      if (f == Activation::none || f == Activation::relu) continue;
      Values wrong;
      for (float number : x) wrong.push_back(reference::activated(static_cast<double>(number) * 1.0001, f));
      CHECK_FALSE(close(wide(y), wrong, expected.bound));

      std::vector<float> special{infinity, not_a_number, -not_a_number, infinity, not_a_number};
      kernels.activate(special.data(), special.size(), f);
      CHECK(special[0] == (f == Activation::sigmoid ? 1.0f : infinity));
      CHECK(special[3] == special[0]);
      for (std::size_t i : {1u, 2u, 4u}) CHECK(std::isnan(special[i]));
      float low = -infinity;
      kernels.activate(&low, 1, f);
      if (f == Activation::sigmoid) CHECK(low < 1e-38f);
    }
    // Rests of every length write nothing behind the end.
    for (std::size_t count = 0; count < 35; ++count) {
      std::vector<float> y(count + 1, -1.0f);
      kernels.activate(y.data(), count, Activation::relu);
      CHECK(std::count(y.begin(), y.end(), 0.0f) == static_cast<std::ptrdiff_t>(count));
      CHECK(y.back() == -1.0f);
    }
  });
}

TEST_CASE("host elu_plus_one") {
  auto const x = random_list(1, 1003, 10);
  for_each_isa([&](detail::HostKernels const& kernels) {
    for (std::size_t count : {1u, 5u, 16u, 1003u}) {
      auto y = x;
      kernels.elu_plus_one(y.data(), count);
      for (std::size_t i = 0; i < x.size(); ++i) {
        double const in = static_cast<double>(x[i]);
        double const expected = i >= count ? in : in > 0 ? in + 1 : std::exp(in);
        CHECK(std::fabs(static_cast<double>(y[i]) - expected) <=
              (i >= count ? 0 : (8 + std::fabs(in)) * unit * expected));
      }
    }
    float special[3] = {not_a_number, infinity, -infinity};
    kernels.elu_plus_one(special, 3);
    CHECK(std::isnan(special[0]));
    CHECK(special[1] == infinity);
    CHECK(special[2] < 1e-37f);
  });
}

TEST_CASE("host sums over channels, scale and shift, outer product, row times matrix") {
  for_each_isa([](detail::HostKernels const& kernels) {
    for (std::size_t c : {1u, 3u, 4u, 7u, 8u, 9u, 16u, 17u, 32u, 35u}) {
      std::size_t const rows = 9;
      auto const x = random_list(c, rows * c), scale = random_list(2, c), shift = random_list(3, c);
      auto sums = random_list(4, c), squares = random_list(5, c);
      Values expected_sums = wide(sums), expected_squares = wide(squares);
      for (std::size_t i = 0; i < x.size(); ++i) {
        double const number = static_cast<double>(x[i]), mean = static_cast<double>(shift[i % c]);
        expected_sums[i % c] += number;
        expected_squares[i % c] += (number - mean) * (number - mean);
      }
      kernels.channel_sums(x.data(), rows, c, sums.data());
      kernels.channel_squares(x.data(), rows, c, shift.data(), squares.data());
      CAPTURE(c);
      CHECK(close(wide(sums), expected_sums, 12 * 10 * unit));
      CHECK(close(wide(squares), expected_squares, 12 * 37 * unit));
      for (bool relu : {false, true}) {
        std::vector<float> y(x.size());
        kernels.scale_shift(x.data(), y.data(), rows, c, scale.data(), shift.data(), relu);
        Values expected;
        for (std::size_t i = 0; i < x.size(); ++i) {
          double const number =
              static_cast<double>(x[i]) * static_cast<double>(scale[i % c]) + static_cast<double>(shift[i % c]);
          expected.push_back(relu ? std::max(number, 0.0) : number);
        }
        CHECK(close(wide(y), expected, 4 * unit));
      }
      std::size_t const n = 6;
      auto const a = random_list(6, n);
      auto m = random_list(7, n * c);
      Values expected_m = wide(m), expected_y(c);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < c; ++j) {
          expected_m[i * c + j] += static_cast<double>(a[i]) * static_cast<double>(shift[j]);
          expected_y[j] += 0.7 * static_cast<double>(a[i]) * expected_m[i * c + j];
        }
      std::vector<float> y(c);
      kernels.outer_product(m.data(), a.data(), shift.data(), n, c);
      kernels.row_times_matrix(y.data(), a.data(), m.data(), n, c, 0.7f);
      CHECK(close(wide(m), expected_m, 4 * unit));
      CHECK(close(wide(y), expected_y, 12 * 12 * unit));
    }
  });
}

#endif  // KOVOS_HOST_ENGINE
