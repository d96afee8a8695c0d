// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/gemm.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "kovos/kernels/cosine_similarity.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

/// How an operand lies in memory.
enum class Layout { rows, transposed, padded_rows, page_rows };

/// A random matrix of rows x columns where the context's kernels read it, together with its storage on the host; a copy
/// where kernels cannot read that.
template <class T>
struct Operand {
  DynamicTensor<T, 1> storage;
  std::shared_ptr<void const> owner;
  Matrix<T> matrix, on_host;

  template <class Exec>
  Operand(Context<Exec> const& context, std::uint64_t seed, std::size_t rows, std::size_t columns, Layout layout) {
    std::size_t const stride = layout == Layout::rows          ? columns
                               : layout == Layout::transposed  ? rows
                               : layout == Layout::padded_rows ? columns + 3
                                                               : (columns + 1023) / 1024 * 1024;
    std::size_t const lines = layout == Layout::transposed ? columns : rows;
    storage = random_tensor<T>(seed, 1, std::max<std::size_t>(1, lines * stride));
    if (layout == Layout::transposed) on_host = Matrix<T>{storage.data(), columns, rows, stride, 1}.transposed();
    else on_host = {storage.data(), rows, columns, stride, 1};
    auto const there = on(context, storage);
    owner = there.owner();
    matrix = on_host;
    matrix.data = there.data();
  }
  /// What kernels have made of it, in the storage.
  template <class Exec>
  void read(Context<Exec> const& context) const {
    if constexpr (is_host_execution<Exec>) context.fence();
    else assign_host(DynamicTensor<T, 1, typename Exec::memory_space>(matrix.data, storage.extents(), nullptr));
  }
  template <class X>
  void assign_host(X const& x) const {
    auto const copy = test::on_host(x);
    std::copy_n(copy.data(), copy.size(), storage.data());
  }
  auto element() const {
    return [m = on_host](std::size_t i, std::size_t j) {
      return static_cast<double>(static_cast<float>(m.data[i * m.row_stride + j * m.column_stride]));
    };
  }
};

template <class T>
Values elements(Matrix<T> const& m) {
  Values list;
  for (std::size_t i = 0; i < m.rows; ++i)
    for (std::size_t j = 0; j < m.columns; ++j)
      list.push_back(static_cast<double>(m.data[i * m.row_stride + j * m.column_stride]));
  return list;
}

/// Edges of every register tile: 4, 6, 14 rows and 8, 16, 32 columns.
constexpr std::array<std::array<std::size_t, 3>, 17> sizes{{{1, 1, 1},
                                                            {1, 33, 7},
                                                            {2, 8, 16},
                                                            {3, 9, 17},
                                                            {4, 7, 1},
                                                            {5, 15, 33},
                                                            {6, 16, 2},
                                                            {7, 17, 31},
                                                            {11, 31, 5},
                                                            {12, 32, 32},
                                                            {13, 33, 15},
                                                            {14, 1, 9},
                                                            {15, 2, 100},
                                                            {27, 24, 3},
                                                            {29, 65, 20},
                                                            {33, 3, 64},
                                                            {113, 40, 19}}};

template <class A, class B>
void check_layouts() {
  for_each_context([](auto const& context) {
    std::uint64_t seed = 0;
    for (auto const& size : sizes)
      for (Layout of_a : {Layout::rows, Layout::transposed, Layout::padded_rows})
        for (Layout of_b : {Layout::rows, Layout::transposed}) {
          std::size_t const m = size[0], n = size[1], k = size[2];
          Operand<A> const a(context, ++seed, m, k, of_a);
          Operand<B> const b(context, ++seed, k, n, of_b);
          auto const c = random_tensor<float>(context, ++seed, 1, m, n);
          gemm(context, a.matrix, b.matrix, as_matrix(c));
          context.fence();
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CHECK(close(values(c),
                      reference::product(m, n, k, a.element(), b.element(), reference::nothing, reference::nothing)));
        }
  });
}

}  // namespace

TEST_CASE("gemm agrees with the reference for every layout of its operands, float and bf16") {
  check_layouts<float, float>();
  check_layouts<float, bf16>();
  check_layouts<bf16, float>();
  check_layouts<bf16, bf16>();
}

TEST_CASE("gemm with a large depth and rows whose stride is a multiple of the page") {
  for_each_context([](auto const& context) {
    for (auto const& size : {std::array<std::size_t, 3>{3, 5, 4099}, {37, 70, 1024}, {9, 33, 300}}) {
      std::size_t const m = size[0], n = size[1], k = size[2];
      Operand<float> const a(context, 1, m, k, Layout::page_rows);
      Operand<float> const b(context, 2, k, n, Layout::transposed);
      auto const c = random_tensor<float>(context, 3, 1, m, n);
      gemm(context, a.matrix, b.matrix, as_matrix(c));
      context.fence();
      auto const expected =
          reference::product(m, n, k, a.element(), b.element(), reference::nothing, reference::nothing);
      CHECK(close(values(c), expected));
      // Not too generous: the last of the k products may not be forgotten.
      auto const shorter =
          reference::product(m, n, k - 1, a.element(), b.element(), reference::nothing, reference::nothing);
      CHECK_FALSE(close(values(c), shorter.value, expected.bound));
    }
  });
}

TEST_CASE("gemm: alpha, addend with divisor and period, activation, residual") {
  constexpr std::array activations{Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu,
                                   Activation::sigmoid};
  for_each_context([&](auto const& context) {
    std::uint64_t seed = 100;
    for (auto const& size : {std::array<std::size_t, 3>{1, 1, 1}, {13, 17, 9}, {31, 33, 20}, {130, 7, 4}})
      for (auto const& rows : {std::array<std::size_t, 2>{1, 1}, {1, 5}, {3, 4}, {7, 1}, {1, 200}})
        for (Activation activation : activations) {
          std::size_t const m = size[0], n = size[1], k = size[2], divisor = rows[0], period = rows[1];
          Operand<float> const a(context, ++seed, m, k, Layout::rows);
          Operand<float> const b(context, ++seed, k, n, Layout::transposed);
          Operand<float> const addend(context, ++seed, period, n, Layout::padded_rows);
          Operand<float> const residual(context, ++seed, m, n, Layout::padded_rows);
          Operand<float> const c(context, ++seed, m, n, Layout::padded_rows);
          Epilogue e;
          e.addend = {addend.matrix.data, period, n, addend.matrix.row_stride, 1};
          e.row_divisor = divisor;
          e.activation = activation;
          e.residual = {residual.matrix.data, m, n, residual.matrix.row_stride, 1};
          auto const before = values(c.storage);
          gemm(context, a.matrix, b.matrix, c.matrix, e, 1.7f);
          c.read(context);
          auto const expect = [&](std::size_t d, Activation f) {
            return reference::product(m, n, k, a.element(), b.element(),
                                      [&](std::size_t i, std::size_t j) { return addend.element()(i / d % period, j); },
                                      residual.element(), {static_cast<double>(1.7f), f});
          };
          auto const expected = expect(divisor, activation);
          CAPTURE(m);
          CAPTURE(divisor);
          CAPTURE(period);
          CAPTURE(static_cast<int>(activation));
          CHECK(close(elements(c.on_host), expected));
          // What lies between the rows of c is not ours to write.
          for (std::size_t i = 0; i < m; ++i)
            for (std::size_t j = n; j < c.matrix.row_stride; ++j)
              REQUIRE(before[i * c.matrix.row_stride + j] ==
                      static_cast<double>(c.on_host.data[i * c.matrix.row_stride + j]));
          if (m < 13 || period == 200) continue;
          // The bounds tell other activations and other addends apart.
          if (period > 1)
            CHECK_FALSE(close(elements(c.on_host), expect(divisor + 1, activation).value, expected.bound));
          for (Activation other : activations)
            if (other != activation)
              CHECK_FALSE(close(elements(c.on_host), expect(divisor, other).value, expected.bound));
        }
  });
}

TEST_CASE("gemm adds to the result in place when the residual is the result") {
  for_each_context([](auto const& context) {
    for (std::size_t n : {1u, 8u, 33u, 67u}) {
      std::size_t const m = 29, k = 11;
      Operand<float> const a(context, 1, m, k, Layout::rows);
      Operand<float> const b(context, 2, k, n, Layout::rows);
      Operand<float> const c(context, 3, m, n, Layout::rows);
      auto const old = elements(c.on_host);
      Epilogue e;
      e.residual = {c.matrix.data, m, n, n, 1};
      gemm(context, a.matrix, b.matrix, c.matrix, e);
      c.read(context);
      CHECK(
          close(elements(c.on_host), reference::product(m, n, k, a.element(), b.element(), reference::nothing,
                                                        [&](std::size_t i, std::size_t j) { return old[i * n + j]; })));
    }
  });
}

TEST_CASE("gemm with strided columns of the result, of the addend, and in double") {
  for_each_context([](auto const& context) {
    std::size_t const m = 9, n = 14, k = 21;
    Operand<float> const a(context, 1, m, k, Layout::rows);
    Operand<float> const b(context, 2, k, n, Layout::rows);
    Operand<float> const c(context, 3, m, n, Layout::transposed);
    Operand<float> const addend(context, 4, 1, n, Layout::transposed);
    Epilogue e;
    e.addend = {addend.matrix.data, 1, n, addend.matrix.row_stride, addend.matrix.column_stride};
    gemm(context, a.matrix, b.matrix, c.matrix, e);
    c.read(context);
    auto const d = random_tensor<double>(5, 1, m, k), f = random_tensor<double>(6, 1, k, n);
    auto const left = on(context, d), right = on(context, f), g = random_tensor<double>(context, 7, 1, m, n);
    gemm(context, as_matrix(left), as_matrix(right), as_matrix(g));
    context.fence();
    CHECK(close(elements(c.on_host),
                reference::product(
                    m, n, k, a.element(), b.element(),
                    [&](std::size_t, std::size_t j) { return addend.element()(0, j); }, reference::nothing)));
    auto const expected = reference::product(
        m, n, k, [&](std::size_t i, std::size_t j) { return d(i, j); },
        [&](std::size_t i, std::size_t j) { return f(i, j); }, reference::nothing, reference::nothing);
    CHECK(close(values(g), expected.value, 1e-14));
  });
}

TEST_CASE("gemm alone on each of several threads at once") {
  for_each_host_context([](auto const& context) {
    std::size_t const m = 65, n = 70, k = 40, tasks = 12, threads = detail::workers(context, tasks);
    Operand<float> const a(context, 1, m, k, Layout::rows);
    Operand<bf16> const b(context, 2, k, n, Layout::transposed);
    auto const c = random_tensor<float>(3, 1, tasks, m, n);
    auto const expected = reference::product(
        m, n, k, a.element(), b.element(), reference::nothing,
        [&, old = values(c)](std::size_t i, std::size_t j) { return old[i * n + j]; }, {1.0, Activation::relu});
    std::vector<std::remove_cvref_t<decltype(context)>> alone;
    for (std::size_t worker = 0; worker < threads; ++worker) alone.push_back(context.alone(worker));
    for (std::size_t task = 1; task < tasks; ++task) std::copy_n(c.data(), m * n, c.data() + task * m * n);
    detail::for_each_task(context, "alone", threads, tasks, [&](std::size_t task, std::size_t worker) {
      Matrix<float> const result{c.data() + task * m * n, m, n, n, 1};
      Epilogue in_place;
      in_place.activation = Activation::relu;
      in_place.residual = result;
      gemm(alone[worker], a.matrix, b.matrix, result, in_place);
    });
    for (std::size_t task = 0; task < tasks; ++task)
      CHECK(close(elements(Matrix<float>{c.data() + task * m * n, m, n, n, 1}), expected));
  });
}

TEST_CASE("gemm in bf16 is the product of the operands or of the rounded operands, with sums of fp32") {
  for_each_host_context([](auto const& context) {
    auto const half = context.with_precision(MatmulPrecision::bf16);
    [[maybe_unused]] std::size_t used = 0;  // how many products are of rounded operands
    for (auto const& size : sizes)
      for (Layout layout : {Layout::rows, Layout::transposed, Layout::padded_rows}) {
        std::size_t const m = size[0], n = size[1], k = size[2];
        Operand<float> const a(context, m + 1, m, k, layout), b(context, n + 2, k, n, layout);
        Operand<bf16> const stored(context, n + 3, k, n, layout);
        auto const c = random_tensor<float>(3, 1, m, n);
        auto const rounded = [](auto const& element) {
          return [=](std::size_t i, std::size_t j) {
            return static_cast<double>(static_cast<float>(bf16(static_cast<float>(element(i, j)))));
          };
        };
        auto const check = [&](auto const& right) {
          gemm(half, a.matrix, right.matrix, as_matrix(c));
          half.fence();
          auto const exact =
              reference::product(m, n, k, a.element(), right.element(), reference::nothing, reference::nothing);
          auto const coarse = reference::product(m, n, k, rounded(a.element()), rounded(right.element()),
                                                 reference::nothing, reference::nothing);
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          CHECK((close(values(c), exact) || close(values(c), coarse)));
          used += !close(values(c), exact);
        };
        check(b);
        check(stored);
      }
#ifdef KOVOS_ENABLE_ONEDNN
    if (context.engine() == Engine::onednn) CHECK((used > 0) == detail::onednn_has_bf16());
#endif
  });
}

TEST_CASE("gemm with empty extents") {
  for_each_host_context([](auto const& context) {
    float number = 5;
    Matrix<float> const nothing_a{&number, 0, 3, 3, 1}, b{nullptr, 3, 0, 0, 1}, c{&number, 0, 0, 0, 1};
    gemm(context, nothing_a, b, c);
    context.fence();
    CHECK(number == 5.0f);
    // A sum of no products is zero, and the epilogue still happens.
    auto const y = random_tensor<float>(1, 1, 2, 2);
    auto const bias = random_tensor<float>(2, 1, 1, 2);
    Epilogue e;
    e.addend = {bias.data(), 1, 2, 2, 1};
    gemm(context, Matrix<float>{nullptr, 2, 0, 0, 1}, Matrix<float>{nullptr, 0, 2, 2, 1}, as_matrix(y), e);
    context.fence();
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < 2; ++j) CHECK(y(i, j) == bias(0, j));
  });
}

TEST_CASE("gemm and linear name the extent that does not fit") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const a = random_tensor<float>(1, 1, 3, 4), b = random_tensor<float>(2, 1, 4, 5),
             c = random_tensor<float>(3, 1, 3, 5);
  auto const run = [&](auto const& x, auto const& y, auto const& z, Epilogue const& e = {}) {
    return message_of<ShapeError>([&] { gemm(context, as_matrix(x), as_matrix(y), as_matrix(z), e); });
  };
  CHECK(run(a, a, c) == "[gemm] b.rows is 3, expected 4");
  CHECK(run(a, b, b) == "[gemm] c.rows is 4, expected 3");
  CHECK(run(a, b, a) == "[gemm] c.columns is 4, expected 5");
  Epilogue e;
  e.addend = {a.data(), 3, 4, 4, 1};
  CHECK(run(a, b, c, e) == "[gemm] addend.columns is 4, expected 5");
  e.addend = {c.data(), 0, 5, 5, 1};
  CHECK(run(a, b, c, e) == "[gemm] addend.rows and row_divisor must be positive");
  e.addend = {c.data(), 1, 5, 5, 1};
  e.row_divisor = 0;
  CHECK(run(a, b, c, e) == "[gemm] addend.rows and row_divisor must be positive");
  e = {};
  e.residual = {c.data(), 2, 5, 5, 1};
  CHECK(run(a, b, c, e) == "[gemm] residual.rows is 2, expected 3");
  e.residual = {c.data(), 3, 4, 5, 1};
  CHECK(run(a, b, c, e) == "[gemm] residual.columns is 4, expected 5");

  auto const bias = random_tensor<float>(4, 1, std::size_t{3});
  CHECK(message_of<ShapeError>([&] { linear(context, a, b, bias); }) ==
        "[linear] the last extent of x is 4, expected 5");
  CHECK(message_of<ShapeError>([&] { linear(context, a, a, random_tensor<float>(4, 1, 2)); }) ==
        "[linear] bias is 2, expected 3");
}

TEST_CASE("linear over the last axis, with and without bias and residual, float and bf16 weights") {
  for_each_context([](auto const& context) {
    auto const x = random_tensor<float>(context, 1, 1, 2, 3, 19);
    auto const w = random_tensor<float>(context, 2, 1, 21, 19);
    auto const w16 = random_tensor<bf16>(context, 3, 1, 21, 19);
    auto const b = random_tensor<float>(context, 4, 1, 21);
    auto const b16 = random_tensor<bf16>(context, 5, 1, 21);
    auto const residual = random_tensor<float>(context, 6, 1, 2, 3, 21);
    Matrix<float const> const r{residual.data(), 6, 21, 21, 1};
    Values const its_x = values(x), its_residual = values(residual), nothing;
    auto const expect = [&](Values const& weight, Values const& bias, Activation f, bool with_residual) {
      return reference::product(
          6, 21, 19, [&](std::size_t i, std::size_t k) { return its_x[i * 19 + k]; },
          [&](std::size_t k, std::size_t j) { return weight[j * 19 + k]; },
          [&](std::size_t, std::size_t j) { return bias.empty() ? 0.0 : bias[j]; },
          [&](std::size_t i, std::size_t j) { return with_residual ? its_residual[i * 21 + j] : 0.0; }, {1.0, f});
    };
    DynamicTensor<float, 1> const none;
    auto const y1 = linear(context, x, w, b);
    auto const y2 = linear(context, x, w16, b16, Activation::quick_gelu, r);
    auto const y3 = linear(context, x, w, none, Activation::relu);
    context.fence();
    CHECK(shape(y1) == std::vector<std::size_t>{2, 3, 21});
    CHECK(close(values(y1), expect(values(w), values(b), Activation::none, false)));
    CHECK(close(values(y2), expect(values(w16), values(b16), Activation::quick_gelu, true)));
    CHECK(close(values(y3), expect(values(w), nothing, Activation::relu, false)));
    CHECK_FALSE(close(values(y1), expect(values(w), nothing, Activation::none, false)));
  });
}

TEST_CASE("cosine_similarity of every pair of rows") {
  for_each_context([](auto const& context) {
    std::size_t const m = 7, n = 18, d = 37;
    auto const left = random_tensor<float>(1, 5, m, d), right = random_tensor<float>(2, 0.01, n, d);
    for (std::size_t i = 0; i < d; ++i) left(3, i) = 0;            // no direction: 0 with everything
    for (std::size_t i = 0; i < d; ++i) right(4, i) = left(2, i);  // the same direction: 1
    for (std::size_t i = 0; i < d; ++i) right(5, i) = -3 * left(2, i);
    auto const a = on(context, left), b = on(context, right);
    auto const cosines = cosine_similarity(context, a, b);
    context.fence();
    auto const c = on_host(cosines);
    auto const u = reference::l2_normalize(m, d, values(a)), v = reference::l2_normalize(n, d, values(b));
    auto expected = reference::product(
        m, n, d, [&](std::size_t i, std::size_t k) { return u.value[i * d + k]; },
        [&](std::size_t k, std::size_t j) { return v.value[j * d + k]; }, reference::nothing, reference::nothing);
    for (double& bound : expected.bound) bound += 2 * (static_cast<double>(d) + 8) * unit;  // of the unit vectors
    CHECK(close(values(c), expected));
    CHECK(static_cast<double>(c(2, 4)) == doctest::Approx(1).epsilon(1e-6));
    CHECK(static_cast<double>(c(2, 5)) == doctest::Approx(-1).epsilon(1e-6));
    CHECK(c(3, 0) == 0.0f);
    CHECK(message_of<ShapeError>([&] { cosine_similarity(context, a, random_tensor<float>(context, 1, 1, 2, 3)); }) ==
          "[cosine_similarity] b.extent(1) is 3, expected 37");
  });
}

TEST_CASE("engine_name says who computes, and an engine that cannot run is refused") {
  using Exec = Kokkos::DefaultHostExecutionSpace;
  CHECK(engine_name(Context<Exec>(Exec(), Engine::portable)) == "portable");
#ifdef KOVOS_HOST_ENGINE
  CHECK(engine_name(Context<Exec>(Exec(), Engine::host)) == std::string("host ") + detail::best_host_kernels().name);
  CHECK(engine_name(Context<Exec>()) == engine_name(Context<Exec>(Exec(), Engine::host)));
#else
  CHECK(message_of<ConfigError>([] {
          engine_name(Context<Exec>(Exec(), Engine::host));
        }).starts_with("[Context] Engine::host needs"));
#endif
  [[maybe_unused]] auto const refusal = [](Engine engine) {
    auto const x = random_tensor<float>(1, 1, 2, 2);
    return message_of<ConfigError>(
        [&] { gemm(Context<Exec>(Exec(), engine), as_matrix(x), as_matrix(x), as_matrix(x)); });
  };
#ifdef KOVOS_ENABLE_EIGEN
  CHECK(engine_name(Context<Exec>(Exec(), Engine::eigen)) == "eigen");
#else
  CHECK(refusal(Engine::eigen) ==
        "[gemm] Engine::eigen needs the component kovos::eigen; link it or use another engine");
#endif
#ifdef KOVOS_ENABLE_ONEDNN
  CHECK(engine_name(Context<Exec>(Exec(), Engine::onednn)) == "onednn");
#else
  CHECK(refusal(Engine::onednn) ==
        "[gemm] Engine::onednn needs the component kovos::onednn; link it or use another engine");
#endif
}
