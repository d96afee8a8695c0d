// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/convolution.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "kovos/kernels/pooling.hpp"
#include "kovos/kernels/transposed_convolution.hpp"
#include "kovos/kernels/upsampling_convolution.hpp"
#include "support/reference.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

TEST_CASE("conv2d: kernels, strides, paddings and channels") {
  struct Case {
    reference::Map map;
    reference::Kernel kernel;
    Activation activation;
  };
  std::vector<Case> const cases{
      {{1, 1, 1, 1}, {1, 1, 1, 1, 0}, Activation::none},   {{1, 9, 7, 1}, {33, 7, 7, 1, 3}, Activation::none},
      {{2, 5, 8, 3}, {17, 3, 3, 1, 1}, Activation::relu},  {{1, 6, 4, 65}, {2, 3, 3, 1, 1}, Activation::gelu},
      {{1, 12, 8, 3}, {16, 4, 4, 4, 0}, Activation::none}, {{1, 7, 9, 5}, {31, 3, 1, 2, 1}, Activation::sigmoid},
      {{2, 4, 11, 8}, {1, 1, 5, 3, 2}, Activation::none},  {{1, 3, 2, 4}, {9, 3, 3, 1, 2}, Activation::quick_gelu},
      {{1, 35, 3, 16}, {32, 3, 3, 1, 0}, Activation::relu}};
  for_each_context([&](auto const& context) {
    for (auto const& c : cases) {
      auto const& m = c.map;
      auto const& k = c.kernel;
      Activation const activation = c.activation;
      auto const x = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
      auto const w = random_tensor<float>(context, 2, 1, k.out, m.channels, k.height, k.width);
      auto const w16 = random_tensor<bf16>(context, 3, 1, k.out, m.channels, k.height, k.width);
      auto const b = random_tensor<float>(context, 4, 1, k.out);
      auto const b16 = random_tensor<bf16>(context, 5, 1, k.out);
      DynamicTensor<float, 1> const none;
      auto const y = conv2d(context, x, w, b, k.stride, k.padding, activation);
      auto const half = conv2d(context, x, w16, b16, k.stride, k.padding, activation);
      auto const plain = conv2d(context, x, w, none, k.stride, k.padding, activation);
      context.fence();
      CAPTURE(m.height);
      CAPTURE(m.channels);
      CAPTURE(k.out);
      auto const expected = reference::conv2d(m, values(x), values(w), values(b), k, activation);
      CHECK(shape(y) == std::vector<std::size_t>{m.n, (m.height + 2 * k.padding - k.height) / k.stride + 1,
                                                 (m.width + 2 * k.padding - k.width) / k.stride + 1, k.out});
      CHECK(close(values(y), expected));
      CHECK(close(values(half), reference::conv2d(m, values(x), values(w16), values(b16), k, activation)));
      CHECK(close(values(plain), reference::conv2d(m, values(x), values(w), {}, k, activation)));
      CHECK_FALSE(close(values(plain), expected));
      // A convolution in the mathematicians' sense turns the kernel around.
      if (k.height * k.width == 1) continue;
      Values const all = values(w);
      Values turned;
      std::size_t const taps = k.height * k.width;
      for (std::size_t i = 0; i < all.size(); ++i) turned.push_back(all[i / taps * taps + taps - 1 - i % taps]);
      CHECK_FALSE(
          close(values(y), reference::conv2d(m, values(x), turned, values(b), k, activation).value, expected.bound));
    }
  });
}

TEST_CASE("conv2d cuts tall maps into bands that fit the cache") {
  for_each_context([](auto const& context) {
    reference::Map const m{1, 70, 40, 33};  // more than 65536 floats: several bands
    reference::Kernel const k{3, 3, 3, 1, 1};
    auto const x = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
    auto const w = random_tensor<float>(context, 2, 1, k.out, m.channels, k.height, k.width);
    auto const b = random_tensor<float>(context, 3, 1, k.out);
    auto const y = conv2d(context, x, w, b, k.stride, k.padding);
    context.fence();
    CHECK(close(values(y), reference::conv2d(m, values(x), values(w), values(b), k, Activation::none)));
  });
}

TEST_CASE("conv2d of no samples, no filters, no channels") {
  for_each_context([](auto const& context) {
    auto const b = random_tensor<float>(context, 1, 1, 2), none = random_tensor<float>(context, 1, 1, 0);
    auto const w = random_tensor<float>(context, 1, 1, 2, 3, 3, 3);
    CHECK(shape(conv2d(context, random_tensor<float>(context, 1, 1, 0, 4, 4, 3), w, b, 1, 1)) ==
          std::vector<std::size_t>{0, 4, 4, 2});
    CHECK(shape(conv2d(context, random_tensor<float>(context, 1, 1, 1, 4, 4, 3),
                       random_tensor<float>(context, 1, 1, 0, 3, 3, 3), none)) == std::vector<std::size_t>{1, 2, 2, 0});
    auto const y = conv2d(context, random_tensor<float>(context, 1, 1, 1, 3, 3, 0),
                          random_tensor<float>(context, 1, 1, 2, 0, 3, 3), b);
    context.fence();
    CHECK(close(values(y), values(b), 0));
  });
}

TEST_CASE("conv_transpose2d with and without guidance") {
  struct Case {
    reference::Map map;
    std::size_t out, k, guides, guide_channels;
  };
  std::vector<Case> const cases{{{1, 1, 1, 1}, 1, 2, 0, 0},
                                {{2, 3, 5, 7}, 9, 2, 0, 0},
                                {{6, 4, 3, 33}, 17, 2, 2, 5},
                                {{3, 2, 2, 8}, 16, 4, 3, 16},
                                {{4, 5, 2, 3}, 2, 3, 1, 1}};
  for_each_context([&](auto const& context) {
    for (auto const& c : cases) {
      auto const& m = c.map;
      std::size_t const out = c.out, k = c.k, guides = c.guides, guide_channels = c.guide_channels;
      auto const x = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
      auto const w = random_tensor<float>(context, 2, 1, m.channels, out, k, k);
      auto const w16 = random_tensor<bf16>(context, 3, 1, m.channels, out, k, k);
      auto const b = random_tensor<float>(context, 4, 1, out);
      DynamicTensor<float, 1> const none;
      std::remove_const_t<decltype(x)> guidance;
      reference::Map const guide{guides, k * m.height, k * m.width, guide_channels};
      if (guides > 0) guidance = random_tensor<float>(context, 5, 1, guides, guide.height, guide.width, guide_channels);
      auto const y = conv_transpose2d(context, x, w, b, guidance);
      auto const half = conv_transpose2d(context, x, w16, none, guidance);
      context.fence();
      CAPTURE(m.channels);
      CAPTURE(out);
      CHECK(shape(y) == std::vector<std::size_t>{m.n, k * m.height, k * m.width, out + guide_channels});
      auto const expected =
          reference::conv_transpose2d(m, values(x), values(w), values(b), out, k, guide, values(guidance));
      CHECK(close(values(y), expected));
      CHECK(close(values(half),
                  reference::conv_transpose2d(m, values(x), values(w16), {}, out, k, guide, values(guidance))));
      if (out == 1) continue;
      // Rows and columns of the kernel exchanged.
      Values flipped;
      Values const all = values(w);
      for (std::size_t i = 0; i < all.size(); ++i) flipped.push_back(all[i / (k * k) * k * k + i % k * k + i / k % k]);
      CHECK_FALSE(
          close(values(y),
                reference::conv_transpose2d(m, values(x), flipped, values(b), out, k, guide, values(guidance)).value,
                expected.bound));
    }
  });
}

TEST_CASE("conv2d_part and upsample_conv2d: transposed convolution, guidance beside it, convolution of both") {
  struct Case {
    reference::Map map;
    std::size_t mid, guide, out;
  };
  std::vector<Case> const cases{{{1, 1, 1, 1}, 1, 1, 1},
                                {{2, 3, 5, 6}, 4, 2, 9},
                                {{3, 4, 3, 33}, 17, 5, 40},
                                {{1, 40, 30, 64}, 8, 4, 16}};  // the last one in several bands
  for_each_context([&](auto const& context) {
    for (auto const& c : cases) {
      auto const& m = c.map;
      reference::Map const big{m.n, 2 * m.height, 2 * m.width, c.mid + c.guide};
      reference::Map const guide{1, big.height, big.width, c.guide};
      reference::Kernel const k{c.out, 3, 3, 1, 1};
      auto const x = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
      auto const up = random_tensor<float>(context, 2, 1, m.channels, c.mid, 2, 2);
      auto const bias = random_tensor<float>(context, 3, 1, c.mid);
      auto const guidance = random_tensor<float>(context, 4, 1, 1, big.height, big.width, c.guide);
      auto const w = random_tensor<float>(context, 5, 1, c.out, big.channels, 3, 3);
      DynamicTensor<float, 1> const none;
      auto const zeros = random_tensor<float>(context, 6, 0, 1, m.height, m.width, m.channels);

      auto const up_of_nothing = conv_transpose2d(context, zeros, up, bias);
      auto const shared = conv2d_part(context, up_of_nothing, w, 0, 1, conv2d_part(context, guidance, w, c.mid, 1));
      auto const y = upsample_conv2d(context, x, compose_upsampling(context, up, w), shared);
      auto const alone = upsample_conv2d(context, x, compose_upsampling(context, up, w));
      context.fence();
      CAPTURE(m.channels);
      CAPTURE(c.out);
      CHECK(shape(y) == std::vector<std::size_t>{m.n, big.height, big.width, c.out});
      auto const joined =
          reference::conv_transpose2d(m, values(x), values(up), values(bias), c.mid, 2, guide, values(guidance));
      auto const expected = reference::conv2d(big, joined.value, values(w), {}, k, Activation::none);
      CHECK(close(values(y), expected));
      CHECK_FALSE(close(values(alone), expected));
    }
  });
}

TEST_CASE("upsample_conv2d keeps what it composed of constant weights, and composes other weights again") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 1, 4, 5, 8);
  auto const up = random_tensor<float>(2, 1, 8, 6, 2, 2);
  auto const w = random_tensor<float>(3, 1, 16, 6, 3, 3);
  auto const before = upsample_conv2d(context, x, compose_upsampling(context, up, w));
  CHECK(context.packed().bytes() == 0);
  for (std::size_t i = 0; i < w.size(); ++i) w.data()[i] *= 2;
  auto const doubled = upsample_conv2d(context, x, compose_upsampling(context, up, w));
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(doubled.data()[i] == 2 * before.data()[i]);
  context.packed().declare_constant(w.data(), w.size() * sizeof(float), w.owner());
  auto const kept = upsample_conv2d(context, x, compose_upsampling(context, up, w));
  auto const bytes = context.packed().bytes();
  CHECK(bytes >= 16 * 16 * 8 * sizeof(float));
  auto const again = upsample_conv2d(context, x, compose_upsampling(context, up, w));
  CHECK(context.packed().bytes() == bytes);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(kept.data()[i] == doubled.data()[i]);
    CHECK(again.data()[i] == doubled.data()[i]);
  }
}

TEST_CASE("average_pool2d") {
  for_each_context([](auto const& context) {
    for (auto const& c :
         std::vector<std::pair<reference::Map, std::size_t>>{{{1, 2, 2, 1}, 2},
                                                             {{2, 6, 4, 5}, 2},
                                                             {{3, 3, 9, 17}, 3},
                                                             {{1, 4, 8, 2}, 4},
                                                             // Rows and columns that do not fill a block.
                                                             {{1, 6, 6, 3}, 4},
                                                             {{2, 7, 4, 5}, 2},
                                                             {{3, 5, 8, 17}, 3},
                                                             {{2, 3, 5, 1}, 3}}) {
      auto const& m = c.first;
      std::size_t const k = c.second;
      auto const x = random_tensor<float>(context, 1, 1, m.n, m.height, m.width, m.channels);
      auto const y = average_pool2d(context, x, k);
      context.fence();
      CHECK(shape(y) == std::vector<std::size_t>{m.n, m.height / k, m.width / k, m.channels});
      CHECK(close(values(y), reference::average_pool2d(m, values(x), k)));
      CHECK(average_pool2d(context, x, 1).data() == x.data());
    }
  });
}

TEST_CASE("convolutions and pooling name what does not fit") {
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 2, 4, 5, 3);
  auto const w = random_tensor<float>(1, 1, 6, 3, 3, 3), other = random_tensor<float>(1, 1, 6, 4, 3, 3);
  auto const b = random_tensor<float>(1, 1, 6), wrong = random_tensor<float>(1, 1, 5);
  auto const conv = [&](auto const& weight, auto const& bias, std::size_t stride, std::size_t padding) {
    return message_of<ShapeError>([&] { conv2d(context, x, weight, bias, stride, padding); });
  };
  CHECK(conv(other, b, 1, 0) == "[conv2d] the last extent of x is 3, expected 4");
  CHECK(conv(w, wrong, 1, 0) == "[conv2d] bias is 5, expected 6");
  CHECK(conv(random_tensor<float>(1, 1, 6, 3, 7, 7), b, 1, 1) ==
        "[conv2d] a kernel of 7 x 7 does not fit a map of 4 x 5 with padding 1");
  CHECK(conv(w, b, 0, 0) == "[conv2d] the stride must be positive");

  auto const up = random_tensor<float>(1, 1, 3, 6, 2, 2);
  auto const both = [&](auto const& first, auto const& second, DynamicTensor<float, 4> const& shared = {}) {
    return message_of<ShapeError>(
        [&] { upsample_conv2d(context, x, compose_upsampling(context, first, second), shared); });
  };
  auto const behind = random_tensor<float>(1, 1, 7, 6, 3, 3);
  CHECK(both(random_tensor<float>(1, 1, 4, 6, 2, 2), behind) ==
        "[upsample_conv2d] the last extent of x is 3, expected 4");
  CHECK(both(random_tensor<float>(1, 1, 3, 6, 2, 3), behind) ==
        "[compose_upsampling] up must have kernels of 2 x 2, got 2 x 3");
  CHECK(both(up, random_tensor<float>(1, 1, 7, 6, 3, 1)) ==
        "[compose_upsampling] weight must have kernels of 3 x 3, got 3 x 1");
  CHECK(both(up, random_tensor<float>(1, 1, 7, 5, 3, 3)) ==
        "[compose_upsampling] up gives 6 channels, weight takes only 5");
  CHECK(both(up, behind, random_tensor<float>(1, 1, 1, 8, 9, 7)) ==
        "[upsample_conv2d] shared.extent(2) is 9, expected 10");
  CHECK(message_of<ShapeError>([&] { upsample_conv2d(context, x, random_tensor<float>(1, 1, 3, 7, 3, 2, 2)); }) ==
        "[upsample_conv2d] the weight is [3, 7, 3, 2, 2], expected [4, O, C, 2, 2] from compose_upsampling");
  auto const transposed = [&](auto const& weight, auto const& bias, DynamicTensor<float, 4> const& guidance = {}) {
    return message_of<ShapeError>([&] { conv_transpose2d(context, x, weight, bias, guidance); });
  };
  CHECK(transposed(w, b) == "[conv_transpose2d] the last extent of x is 3, expected 6");
  CHECK(transposed(random_tensor<float>(1, 1, 3, 6, 2, 3), b) ==
        "[conv_transpose2d] the kernel's width is 3, expected 2");
  CHECK(transposed(up, wrong) == "[conv_transpose2d] bias is 5, expected 6");
  CHECK(transposed(up, b, random_tensor<float>(1, 1, 1, 9, 10, 2)) ==
        "[conv_transpose2d] guidance.extent(1) is 9, expected 8");
  CHECK(transposed(up, b, random_tensor<float>(1, 1, 1, 8, 9, 2)) ==
        "[conv_transpose2d] guidance.extent(2) is 9, expected 10");
  CHECK(transposed(up, b, random_tensor<float>(1, 1, 3, 8, 10, 2)) ==
        "[conv_transpose2d] 2 samples cannot share 3 guidance maps");
  for (std::size_t k : {0u, 5u})
    CHECK(message_of<ShapeError>([&] { average_pool2d(context, x, k); }) ==
          "[average_pool2d] blocks of " + std::to_string(k) + " x " + std::to_string(k) + " do not fit a map of 4 x 5");
}
