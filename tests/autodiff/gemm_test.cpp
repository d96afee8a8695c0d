// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/gemm.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "autodiff/references.hpp"
#include "kovos/core/scalar.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

/// Where a matrix lies in its block: `before` columns (or rows, if transposed) of others come first, `after` follow.
struct Place {
  bool transposed = false;
  std::size_t before = 0, after = 0;

  std::size_t stride(std::size_t length) const { return before + length + after; }
  std::size_t size(std::size_t rows, std::size_t columns) const {
    return transposed ? columns * stride(rows) : rows * stride(columns);
  }
  std::size_t at(std::size_t rows, std::size_t columns, std::size_t i, std::size_t j) const {
    return before + (transposed ? j * stride(rows) + i : i * stride(columns) + j);
  }
  Matrix<float> matrix(auto const& block, std::size_t rows, std::size_t columns) const {
    if (transposed) return {block.data() + before, rows, columns, 1, stride(rows)};
    return {block.data() + before, rows, columns, stride(columns), 1};
  }
};

struct ProductCase {
  std::size_t m, n, depth;
  Place a{}, b{}, c{};
  std::size_t addend_rows = 0, row_divisor = 1;
  Activation activation = Activation::none;
  bool residual = false;
  float alpha = 1;
  Place residual_place{};
};

/// Operands: A, B, then the addend and the residual if there are any. The result is the whole block that C lies in.
void check_product(ProductCase const& p) {
  CAPTURE(p.m);
  CAPTURE(p.n);
  CAPTURE(p.depth);
  CAPTURE(p.addend_rows);
  CAPTURE(p.row_divisor);
  CAPTURE(static_cast<int>(p.activation));
  CAPTURE(p.residual);
  std::vector<Values> operands{numbers(1, 1, p.a.size(p.m, p.depth)), numbers(2, 1, p.b.size(p.depth, p.n))};
  std::size_t const addend_at = operands.size();
  if (p.addend_rows > 0) operands.push_back(numbers(3, 1, p.addend_rows * p.n));
  std::size_t const residual_at = operands.size();
  if (p.residual) operands.push_back(numbers(4, 1, p.residual_place.size(p.m, p.n)));

  auto const run = [&](auto const& tape, auto const& x) {
    auto const y = copy_of(tape, tensor_of(Values(p.c.size(p.m, p.n))));
    Epilogue epilogue;
    if (p.addend_rows > 0) epilogue.addend = {x[addend_at].data(), p.addend_rows, p.n, p.n, 1};
    epilogue.row_divisor = p.row_divisor;
    epilogue.activation = p.activation;
    if (p.residual) epilogue.residual = p.residual_place.matrix(x[residual_at], p.m, p.n);
    gemm(tape, p.a.matrix(x[0], p.m, p.depth), p.b.matrix(x[1], p.depth, p.n), p.c.matrix(y, p.m, p.n), epilogue,
         p.alpha);
    return y;
  };
  check_rule(operands, run, [&](std::vector<Values> const& x) {
    auto const e = reference::product(
        p.m, p.n, p.depth, [&](std::size_t i, std::size_t k) { return x[0][p.a.at(p.m, p.depth, i, k)]; },
        [&](std::size_t k, std::size_t j) { return x[1][p.b.at(p.depth, p.n, k, j)]; },
        [&](std::size_t i, std::size_t j) {
          return p.addend_rows > 0 ? x[addend_at][i / p.row_divisor % p.addend_rows * p.n + j] : 0.0;
        },
        [&](std::size_t i, std::size_t j) {
          return p.residual ? x[residual_at][p.residual_place.at(p.m, p.n, i, j)] : 0.0;
        },
        {static_cast<double>(p.alpha), p.activation});
    Values y(p.c.size(p.m, p.n));
    for (std::size_t i = 0; i < p.m; ++i)
      for (std::size_t j = 0; j < p.n; ++j) y[p.c.at(p.m, p.n, i, j)] = e.value[i * p.n + j];
    return y;
  });
}

}  // namespace

TEST_CASE("gemm: extents, transposed operands, alpha") {
  for (bool const ta : {false, true})
    for (bool const tb : {false, true}) {
      check_product({.m = 3, .n = 5, .depth = 7, .a = {ta}, .b = {tb}});
      check_product({.m = 7, .n = 3, .depth = 17, .a = {ta}, .b = {tb}, .alpha = -0.375f});
    }
  check_product({.m = 1, .n = 1, .depth = 1});
  check_product({.m = 17, .n = 1, .depth = 3});
  check_product({.m = 1, .n = 17, .depth = 5});
  check_product({.m = 33, .n = 17, .depth = 5, .alpha = 2});
}

TEST_CASE("gemm: a bias, an addend per pixel and per class") {
  for (auto const activation : {Activation::none, Activation::gelu}) {
    check_product({.m = 7, .n = 5, .depth = 3, .addend_rows = 1, .activation = activation});
    check_product({.m = 70, .n = 3, .depth = 2, .addend_rows = 1, .row_divisor = 3, .activation = activation});
    check_product({.m = 21, .n = 5, .depth = 3, .addend_rows = 7, .activation = activation});
    check_product({.m = 21, .n = 5, .depth = 3, .addend_rows = 3, .row_divisor = 7, .activation = activation});
    check_product({.m = 30, .n = 3, .depth = 2, .addend_rows = 3, .row_divisor = 5, .activation = activation});
    check_product({.m = 17, .n = 3, .depth = 5, .addend_rows = 3, .row_divisor = 5, .activation = activation});
    check_product({.m = 5, .n = 3, .depth = 2, .addend_rows = 7, .activation = activation});
  }
}

TEST_CASE("gemm: every activation, with and without addend and residual") {
  for (auto const activation :
       {Activation::none, Activation::relu, Activation::gelu, Activation::quick_gelu, Activation::sigmoid})
    for (std::size_t const addend_rows : {0u, 1u})
      for (bool const residual : {false, true})
        check_product({.m = 5,
                       .n = 17,
                       .depth = 3,
                       .addend_rows = addend_rows,
                       .activation = activation,
                       .residual = residual,
                       .alpha = 1.5f});
}

TEST_CASE("gemm: operands, residual and result are slices of blocks") {
  for (auto const activation : {Activation::none, Activation::quick_gelu}) {
    check_product({.m = 5, .n = 3, .depth = 7, .a = {false, 7, 7}, .b = {true, 0, 2}, .activation = activation});
    check_product({.m = 5, .n = 7, .depth = 3, .a = {true, 2, 1}, .b = {false, 3, 0}, .c = {false, 2, 5}});
    check_product({.m = 17,
                   .n = 5,
                   .depth = 3,
                   .a = {false, 1, 1},
                   .b = {false, 2, 3},
                   .c = {false, 5, 2},
                   .addend_rows = 1,
                   .activation = activation,
                   .residual = true,
                   .residual_place = {false, 3, 4}});
    check_product(
        {.m = 5, .n = 7, .depth = 3, .activation = activation, .residual = true, .residual_place = {true, 1, 2}});
  }
}

TEST_CASE("gemm: both operands are the same memory") {
  std::size_t const m = 5, depth = 7;
  check_rule(
      {numbers(1, 1, m * depth)},
      [&](auto const& tape, auto const& x) {
        auto const y = tape.template tensor<float>(m, m);
        Matrix<float> const a{x[0].data(), m, depth, depth, 1};
        gemm(tape, a, a.transposed(), as_matrix(y));
        return y;
      },
      [&](std::vector<Values> const& x) {
        auto const a = [&](std::size_t i, std::size_t k) { return x[0][i * depth + k]; };
        return reference::product(
                   m, m, depth, a, [&](std::size_t k, std::size_t j) { return a(j, k); }, reference::nothing,
                   reference::nothing)
            .value;
      });
}

TEST_CASE("gemm: the residual is the result itself") {
  std::size_t const m = 5, n = 3, depth = 7;
  for (auto const activation : {Activation::none, Activation::gelu})
    check_rule(
        {numbers(1, 1, m * depth), numbers(2, 1, depth * n), numbers(3, 1, m * n)},
        [&](auto const& tape, auto const& x) {
          auto const y = copy_of(tape, x[2]);
          Matrix<float> const c{y.data(), m, n, n, 1};
          Epilogue epilogue;
          epilogue.activation = activation;
          epilogue.residual = c;
          gemm(tape, Matrix<float>{x[0].data(), m, depth, depth, 1}, Matrix<float>{x[1].data(), depth, n, n, 1}, c,
               epilogue);
          return y;
        },
        [&](std::vector<Values> const& x) {
          return reference::product(
                     m, n, depth, [&](std::size_t i, std::size_t k) { return x[0][i * depth + k]; },
                     [&](std::size_t k, std::size_t j) { return x[1][k * n + j]; }, reference::nothing,
                     [&](std::size_t i, std::size_t j) { return x[2][i * n + j]; }, {1, activation})
              .value;
        });
}

TEST_CASE("gemm: what lay in the result before has no gradient") {
  std::size_t const m = 5, n = 3, depth = 7;
  check_rule(
      {numbers(1, 1, m * depth), numbers(2, 1, depth * n), numbers(3, 1, (m + 2) * n)},
      [&](auto const& tape, auto const& x) {
        auto const y = copy_of(tape, x[2]);
        gemm(tape, Matrix<float>{x[0].data(), m, depth, depth, 1}, Matrix<float>{x[1].data(), depth, n, n, 1},
             Matrix<float>{y.data() + n, m, n, n, 1});
        return y;
      },
      [&](std::vector<Values> const& x) {
        auto y = x[2];
        for (std::size_t i = 0; i < m; ++i)
          for (std::size_t j = 0; j < n; ++j) {
            y[(i + 1) * n + j] = 0;
            for (std::size_t k = 0; k < depth; ++k) y[(i + 1) * n + j] += x[0][i * depth + k] * x[1][k * n + j];
          }
        return y;
      });
}

TEST_CASE("gemm: gradients that are long sums") {
  // The runs of accumulate_product end at 2048 rows, those of the addend's sums at 64 parts.
  std::size_t const m = 4099, n = 2, depth = 3;
  Values const a = numbers(1, 1, m * depth), b = numbers(2, 1, depth * n), weights = numbers(3, 1, m * n);
  Values da(m * depth), db(depth * n), dbias(n);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      dbias[j] += weights[i * n + j];
      for (std::size_t k = 0; k < depth; ++k) {
        da[i * depth + k] += weights[i * n + j] * b[k * n + j];
        db[k * n + j] += weights[i * n + j] * a[i * depth + k];
      }
    }
  for_each_context([&](auto const& context) {
    auto const result = differentiate(context, {a, b, Values(n)}, weights, [&](auto const& tape, auto const& x) {
      auto const y = tape.template tensor<float>(m, n);
      Epilogue epilogue;
      epilogue.addend = {x[2].data(), 1, n, n, 1};
      gemm(tape, Matrix<float>{x[0].data(), m, depth, depth, 1}, Matrix<float>{x[1].data(), depth, n, n, 1},
           as_matrix(y), epilogue);
      return y;
    });
    CHECK(close_gradients(result.gradients[0], da, 1e-5));
    CHECK(close_gradients(result.gradients[1], db, 1e-5));
    CHECK(close_gradients(result.gradients[2], dbias, 1e-5));
  });
}

TEST_CASE("gemm: strides that have no rule are refused") {
  Tape const tape(Context<Kokkos::DefaultHostExecutionSpace>{});
  Flat const x = tensor_of(numbers(1, 1, 4)), gradient = tensor_of(Values(4));
  tape.watch(x, gradient);
  auto const y = tape.tensor<float>(2, 2);
  Matrix<float> const a{x.data(), 2, 2, 2, 1};
  CHECK(message_of<GradientError>([&] { gemm(tape, a, a, as_matrix(y).transposed()); }) ==
        "[gemm] the result of a recorded product needs unit column stride");
  Epilogue epilogue;
  epilogue.addend = {x.data(), 1, 2, 1, 2};
  CHECK(message_of<GradientError>([&] { gemm(tape, a, a, as_matrix(y), epilogue); }) ==
        "[gemm] the addend of a recorded product needs unit column stride");
}

TEST_CASE("linear: bias, activation and residual over tensors of rank 2 to 4") {
  std::size_t const n = 3, in = 5, out = 7;
  for (auto const activation : {Activation::none, Activation::quick_gelu})
    for (bool const bias : {false, true})
      for (bool const residual : {false, true}) {
        std::vector<Values> operands{numbers(1, 1, n * 2 * in), numbers(2, 1, out * in)};
        if (bias) operands.push_back(numbers(3, 1, out));
        if (residual) operands.push_back(numbers(4, 1, n * 2 * out));
        auto const reference = [&](std::vector<Values> const& x) {
          return reference::product(
                     2 * n, out, in, [&](std::size_t i, std::size_t k) { return x[0][i * in + k]; },
                     [&](std::size_t k, std::size_t j) { return x[1][j * in + k]; },
                     [&](std::size_t, std::size_t j) { return bias ? x[2][j] : 0.0; },
                     [&](std::size_t i, std::size_t j) { return residual ? x.back()[i * out + j] : 0.0; },
                     {1, activation})
              .value;
        };
        auto const run = [&](auto extents) {
          return [&, extents](auto const& tape, auto const& x) {
            return linear(tape, x[0].reshape(extents), x[1].reshape(dynamic_extents<2>(out, in)), bias ? x[2] : none(x),
                          activation,
                          residual ? Matrix<float const>{x.back().data(), 2 * n, out, out, 1} : Matrix<float const>{});
          };
        };
        check_rule(operands, run(dynamic_extents<2>(2 * n, in)), reference);
        check_rule(operands, run(dynamic_extents<3>(n, 2, in)), reference);
        check_rule(operands, run(dynamic_extents<4>(n, 1, 2, in)), reference);
      }
}

TEST_CASE("linear: weights and biases stored as bf16 have float gradients") {
  std::size_t const n = 5, in = 7, out = 3;
  auto const weight = random_tensor<bf16>(2, 1, out, in);
  auto const bias = random_tensor<bf16>(3, 1, out);
  Values const x = numbers(1, 1, n * in), weights = numbers(4, 1, n * out);
  auto const expected = difference_gradients({x, values(weight), values(bias)}, weights, [&](auto const& o) {
    return reference::product(
               n, out, in, [&](std::size_t i, std::size_t k) { return o[0][i * in + k]; },
               [&](std::size_t k, std::size_t j) { return o[1][j * in + k]; },
               [&](std::size_t, std::size_t j) { return o[2][j]; }, reference::nothing)
        .value;
  });
  for_each_context([&](auto const& context) {
    auto const w = on(context, weight);
    auto const b = on(context, bias);
    auto const dw = on(context, Values(out * in)), db = on(context, Values(out));
    auto const result = differentiate(context, {x}, weights, [&](auto const& tape, auto const& o) {
      tape.watch(w, dw);
      tape.watch(b, db);
      return linear(tape, o[0].reshape(dynamic_extents<2>(n, in)), w, b);
    });
    CHECK(close_gradients(result.gradients[0], expected[0], 1e-4));
    CHECK(close_gradients(values(dw), expected[1], 1e-4));
    CHECK(close_gradients(values(db), expected[2], 1e-4));
  });
}
