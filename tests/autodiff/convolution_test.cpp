// SPDX-License-Identifier: Apache-2.0
#include "kovos/autodiff/convolution.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "autodiff/references.hpp"
#include "kovos/core/scalar.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {

struct ConvolutionCase {
  reference::Map map;
  reference::Kernel kernel;
  Activation activation = Activation::none;
  bool bias = true;
};

dynamic_extents<4> extents_of(reference::Map const& m) { return {m.n, m.height, m.width, m.channels}; }

/// Operands: the map, the kernel, then the bias if there is one.
void check_convolution(ConvolutionCase const& p) {
  auto const& m = p.map;
  auto const& k = p.kernel;
  CAPTURE(m.height);
  CAPTURE(m.width);
  CAPTURE(m.channels);
  CAPTURE(k.out);
  CAPTURE(k.height);
  CAPTURE(k.width);
  CAPTURE(k.stride);
  CAPTURE(k.padding);
  CAPTURE(static_cast<int>(p.activation));
  std::vector<Values> operands{numbers(1, 1, m.size()), numbers(2, 1, k.out * m.channels * k.height * k.width)};
  if (p.bias) operands.push_back(numbers(3, 1, k.out));
  check_rule(
      operands,
      [&](auto const& tape, auto const& x) {
        return conv2d(tape, x[0].reshape(extents_of(m)),
                      x[1].reshape(dynamic_extents<4>(k.out, m.channels, k.height, k.width)), p.bias ? x[2] : none(x),
                      k.stride, k.padding, p.activation);
      },
      [&](std::vector<Values> const& x) {
        return reference::conv2d(m, x[0], x[1], p.bias ? x[2] : Values{}, k, p.activation).value;
      });
}

struct TransposedCase {
  reference::Map map;
  std::size_t out, kernel;
  bool bias = true;
  std::size_t guidance_maps = 0, guidance_channels = 0;
};

/// Operands: the map, the kernel, then the bias and the guidance if there are any.
void check_transposed_convolution(TransposedCase const& p) {
  auto const& m = p.map;
  CAPTURE(m.height);
  CAPTURE(m.width);
  CAPTURE(m.channels);
  CAPTURE(p.out);
  CAPTURE(p.kernel);
  CAPTURE(p.guidance_maps);
  bool const guided = p.guidance_maps > 0;
  reference::Map const guide{p.guidance_maps, p.kernel * m.height, p.kernel * m.width, p.guidance_channels};
  std::vector<Values> operands{numbers(1, 1, m.size()), numbers(2, 1, m.channels * p.out * p.kernel * p.kernel)};
  if (p.bias) operands.push_back(numbers(3, 1, p.out));
  if (guided) operands.push_back(numbers(4, 1, guide.size()));
  check_rule(
      operands,
      [&](auto const& tape, auto const& x) {
        dynamic_extents<4> const weight(m.channels, p.out, p.kernel, p.kernel);
        auto const bias = p.bias ? x[2] : none(x);
        if (!guided) return conv_transpose2d(tape, x[0].reshape(extents_of(m)), x[1].reshape(weight), bias);
        return conv_transpose2d(tape, x[0].reshape(extents_of(m)), x[1].reshape(weight), bias,
                                x.back().reshape(extents_of(guide)));
      },
      [&](std::vector<Values> const& x) {
        return reference::conv_transpose2d(m, x[0], x[1], p.bias ? x[2] : Values{}, p.out, p.kernel, guide,
                                           guided ? x.back() : Values{})
            .value;
      });
}

}  // namespace

TEST_CASE("conv2d: unit stride, where the gradient of the map is a convolution itself") {
  check_convolution({.map = {1, 1, 1, 1}, .kernel = {1, 1, 1, 1, 0}});
  check_convolution({.map = {2, 5, 7, 3}, .kernel = {5, 3, 3, 1, 1}});
  check_convolution({.map = {1, 4, 3, 17}, .kernel = {3, 3, 3, 1, 0}});
  check_convolution({.map = {1, 3, 5, 2}, .kernel = {17, 3, 3, 1, 2}, .bias = false});
  check_convolution({.map = {3, 5, 3, 7}, .kernel = {9, 1, 1, 1, 0}, .bias = false});
  check_convolution({.map = {1, 7, 8, 1}, .kernel = {2, 7, 7, 1, 3}});
  check_convolution({.map = {1, 4, 4, 3}, .kernel = {3, 2, 2, 1, 1}});
}

TEST_CASE("conv2d: strides, kernels that are not square, padding beyond the kernel") {
  check_convolution({.map = {2, 6, 9, 3}, .kernel = {5, 3, 3, 3, 0}});
  check_convolution({.map = {1, 7, 8, 3}, .kernel = {17, 2, 2, 2, 0}});  // a row and no column is left over
  check_convolution({.map = {1, 7, 6, 2}, .kernel = {3, 3, 3, 2, 1}});
  check_convolution({.map = {1, 5, 5, 2}, .kernel = {3, 1, 1, 2, 0}});  // pixels that no kernel reads
  check_convolution({.map = {1, 5, 4, 3}, .kernel = {2, 3, 2, 1, 1}});
  check_convolution({.map = {1, 4, 6, 2}, .kernel = {3, 1, 5, 1, 0}, .bias = false});
  check_convolution({.map = {1, 6, 5, 2}, .kernel = {3, 2, 3, 3, 2}});
  check_convolution({.map = {1, 2, 3, 2}, .kernel = {3, 1, 1, 1, 1}});
}

TEST_CASE("conv2d: every activation") {
  for (auto const activation : {Activation::relu, Activation::gelu, Activation::quick_gelu, Activation::sigmoid})
    for (bool const bias : {false, true}) {
      check_convolution({.map = {1, 3, 4, 3}, .kernel = {5, 3, 3, 1, 1}, .activation = activation, .bias = bias});
      check_convolution({.map = {1, 4, 6, 2}, .kernel = {17, 2, 2, 2, 0}, .activation = activation, .bias = bias});
    }
}

TEST_CASE("conv2d: gradients that are sums over many pixels") {
  // More than 2048 pixels are summed in parts, 192 pixels at a time. The reference is the sum itself.
  reference::Map const m{3, 29, 31, 2};
  std::size_t const out = 3;
  Values const x = numbers(1, 1, m.size()), weight = numbers(2, 1, out * 2 * 9),
               weights = numbers(3, 1, 3 * 29 * 31 * out);
  Values dx(m.size()), dw(weight.size()), db(out);
  for (std::size_t n = 0; n < m.n; ++n)
    for (std::size_t y = 0; y < m.height; ++y)
      for (std::size_t z = 0; z < m.width; ++z)
        for (std::size_t o = 0; o < out; ++o) {
          double const dy = weights[((n * m.height + y) * m.width + z) * out + o];
          db[o] += dy;
          for (std::size_t tap = 0; tap < 9; ++tap) {
            std::size_t const row = y + tap / 3, column = z + tap % 3;  // in the padded map
            if (row < 1 || row > m.height || column < 1 || column > m.width) continue;
            for (std::size_t i = 0; i < 2; ++i) {
              std::size_t const pixel = m.at(n, row - 1, column - 1) + i, at = (o * 2 + i) * 9 + tap;
              dx[pixel] += dy * weight[at];
              dw[at] += dy * x[pixel];
            }
          }
        }
  for_each_context([&](auto const& context) {
    auto const result = differentiate(context, {x, weight, Values(out)}, weights, [&](auto const& tape, auto const& o) {
      return conv2d(tape, o[0].reshape(extents_of(m)), o[1].reshape(dynamic_extents<4>(out, 2, 3, 3)), o[2], 1, 1);
    });
    CHECK(close_gradients(result.gradients[0], dx, 1e-5));
    CHECK(close_gradients(result.gradients[1], dw, 1e-5));
    CHECK(close_gradients(result.gradients[2], db, 1e-5));
  });
}

TEST_CASE("conv2d: kernels and biases stored as bf16 have float gradients") {
  reference::Map const m{1, 4, 6, 3};
  auto const bias = random_tensor<bf16>(3, 1, 5);
  for (reference::Kernel const k : {reference::Kernel{5, 3, 3, 1, 1}, reference::Kernel{5, 2, 2, 2, 0}}) {
    CAPTURE(k.stride);
    auto const weight = random_tensor<bf16>(2, 1, k.out, m.channels, k.height, k.width);
    std::vector<Values> const operands{numbers(1, 1, m.size()), values(weight), values(bias)};
    auto const reference = [&](std::vector<Values> const& x) {
      return reference::conv2d(m, x[0], x[1], x[2], k, Activation::none).value;
    };
    Values const weights = numbers(4, 1, reference(operands).size());
    auto const expected = difference_gradients(operands, weights, reference);
    for_each_context([&](auto const& context) {
      auto const w = on(context, weight);
      auto const b = on(context, bias);
      auto const dw = on(context, Values(weight.size())), db = on(context, Values(5));
      auto const result = differentiate(context, {operands[0]}, weights, [&](auto const& tape, auto const& x) {
        tape.watch(w, dw);
        tape.watch(b, db);
        return conv2d(tape, x[0].reshape(extents_of(m)), w, b, k.stride, k.padding);
      });
      CHECK(close_gradients(result.gradients[0], expected[0], 1e-4));
      CHECK(close_gradients(values(dw), expected[1], 1e-4));
      CHECK(close_gradients(values(db), expected[2], 1e-4));
    });
  }
}

TEST_CASE("conv_transpose2d: with and without bias") {
  check_transposed_convolution({.map = {1, 1, 1, 1}, .out = 1, .kernel = 1});
  check_transposed_convolution({.map = {2, 3, 5, 7}, .out = 3, .kernel = 2});
  check_transposed_convolution({.map = {1, 2, 3, 17}, .out = 5, .kernel = 2, .bias = false});
  check_transposed_convolution({.map = {1, 3, 2, 3}, .out = 17, .kernel = 3});
  check_transposed_convolution({.map = {3, 5, 5, 2}, .out = 1, .kernel = 4});
}

TEST_CASE("conv_transpose2d: guidance of each sample, of consecutive samples, of all") {
  for (bool const bias : {false, true}) {
    check_transposed_convolution(
        {.map = {3, 2, 3, 5}, .out = 3, .kernel = 2, .bias = bias, .guidance_maps = 3, .guidance_channels = 2});
    check_transposed_convolution(
        {.map = {6, 3, 1, 3}, .out = 2, .kernel = 2, .bias = bias, .guidance_maps = 2, .guidance_channels = 17});
    check_transposed_convolution(
        {.map = {4, 1, 2, 2}, .out = 5, .kernel = 3, .bias = bias, .guidance_maps = 1, .guidance_channels = 1});
  }
}

TEST_CASE("conv_transpose2d: kernels and biases stored as bf16 have float gradients") {
  reference::Map const m{2, 2, 3, 3};
  auto const weight = random_tensor<bf16>(2, 1, 3, 5, 2, 2);
  auto const bias = random_tensor<bf16>(3, 1, 5);
  std::vector<Values> const operands{numbers(1, 1, m.size()), values(weight), values(bias)};
  Values const weights = numbers(4, 1, 4 * m.n * m.height * m.width * 5);
  auto const expected = difference_gradients(
      operands, weights, [&](auto const& x) { return reference::conv_transpose2d(m, x[0], x[1], x[2], 5, 2).value; });
  for_each_context([&](auto const& context) {
    auto const w = on(context, weight);
    auto const b = on(context, bias);
    auto const dw = on(context, Values(60)), db = on(context, Values(5));
    auto const result = differentiate(context, {operands[0]}, weights, [&](auto const& tape, auto const& x) {
      tape.watch(w, dw);
      tape.watch(b, db);
      return conv_transpose2d(tape, x[0].reshape(extents_of(m)), w, b);
    });
    CHECK(close_gradients(result.gradients[0], expected[0], 1e-4));
    CHECK(close_gradients(values(dw), expected[1], 1e-4));
    CHECK(close_gradients(values(db), expected[2], 1e-4));
  });
}
