// SPDX-License-Identifier: Apache-2.0
#include "kovos/kernels/convolution_norm.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/engine/engines.hpp"
#include "kovos/kernels/problem/convolution.hpp"
#include "support/spaces.hpp"

using namespace kovos;
using namespace kovos::test;

namespace {
struct Case {
  std::size_t n, height, width, c, middle, out, groups;
};
std::vector<Case> const cases{
    {1, 3, 2, 1, 1, 1, 1}, {2, 5, 6, 3, 8, 4, 2}, {3, 4, 33, 17, 33, 16, 1}, {1, 40, 30, 64, 16, 32, 8}};
}  // namespace

// conv2d and group_norm have references of their own; here the joint kernels are compared with one after the other.
TEST_CASE("convolutions with a normalisation behind them, read by a convolution that applies it") {
  for_each_context([](auto const& context) {
    for (auto const& t : cases)
      for (MatmulPrecision precision : {MatmulPrecision::fp32, MatmulPrecision::bf16}) {
        auto const with = context.with_precision(precision);
        using Memory = typename std::remove_cvref_t<decltype(context)>::memory_space;
        auto const x = random_tensor<float>(context, 1, 1, t.n, t.height, t.width, t.c);
        auto const first = random_tensor<float>(context, 2, 0.3, t.middle, t.c, 3, 3);
        auto const second = random_tensor<float>(context, 3, 0.3, t.out, t.middle, 3, 3);
        auto const bias = random_tensor<float>(context, 4, 1, t.out);
        auto const w = random_tensor<float>(context, 5, 1, t.middle),
                   b = on(context, changed(random_tensor<float>(6, 1, t.middle),
                                           [](std::size_t, float&v) { v += 1; }));  // so that ReLU leaves enough
        std::size_t const groups = t.middle % t.groups == 0 ? t.groups : 1;
        GroupNormParameters const norm{groups, w, b};
        DynamicTensor<float, 1> const none;

        auto const middle = conv2d_norm_relu(with, ScaledMap<Memory>{x, {}}, first, norm);
        auto const end = conv2d(with, middle, second, bias, 1, 1);
        auto const applied = apply_scaling(with, middle);
        auto const plain = group_norm(with, conv2d(with, x, first, none, 1, 1), groups, w, b, true);
        auto const plain_end = conv2d(with, plain, second, bias, 1, 1);
        with.fence();
        CAPTURE(t.c);
        CAPTURE(t.out);
        CAPTURE(precision == MatmulPrecision::bf16);
        CHECK(close(values(applied), values(plain), 1e-5 * (1 + largest(values(plain)))));
        // In bf16 a last digit before the rounding may be one of 2^-9 behind it.
        double const allowed = precision == MatmulPrecision::bf16 ? 4e-3 : 2e-5;
        CHECK(close(values(end), values(plain_end), allowed * (1 + largest(values(plain_end)))));
        CHECK(largest(values(plain)) > 0.01);

        auto const up = random_tensor<float>(context, 7, 0.3, t.c, t.middle, 2, 2);
        auto const behind = random_tensor<float>(context, 8, 0.3, t.middle, t.middle, 3, 3);
        auto const shared = random_tensor<float>(context, 9, 1, 1, 2 * t.height, 2 * t.width, t.middle);
        auto const composed = compose_upsampling(with, up, behind);
        auto const raised =
            conv2d_norm_relu(with, upsample_conv2d_norm_relu(with, {x, {}}, composed, shared, norm), behind, norm);
        auto const raised_plain =
            group_norm(with,
                       conv2d(with, group_norm(with, upsample_conv2d(with, x, composed, shared), groups, w, b, true),
                              behind, none, 1, 1),
                       groups, w, b, true);
        auto const raised_applied = apply_scaling(with, raised);
        with.fence();
        CHECK(close(values(raised_applied), values(raised_plain), allowed * (1 + largest(values(raised_plain)))));
      }
  });
}

TEST_CASE("an upsampling convolution reads a map that is still to be scaled") {
  for_each_context([](auto const& context) {
    auto const x = random_tensor<float>(context, 1, 1, 2, 5, 7, 6);
    auto const weight = random_tensor<float>(context, 2, 0.3, 8, 6, 3, 3),
               up = random_tensor<float>(context, 3, 0.3, 8, 4, 2, 2),
               behind = random_tensor<float>(context, 4, 0.3, 12, 4, 3, 3);
    auto const w = random_tensor<float>(context, 5, 1, 8), b = random_tensor<float>(context, 6, 1, 8);
    auto const w2 = random_tensor<float>(context, 7, 1, 12), b2 = random_tensor<float>(context, 8, 1, 12);
    auto const composed = compose_upsampling(context, up, behind);
    DynamicTensor<float, 1> const none;
    auto const middle =
        conv2d_norm_relu(context, ScaledMap<typename std::remove_cvref_t<decltype(context)>::memory_space>{x, {}},
                         weight, GroupNormParameters{std::size_t{2}, w, b});
    auto const y = apply_scaling(
        context, upsample_conv2d_norm_relu(context, middle, composed, {}, GroupNormParameters{std::size_t{3}, w2, b2}));
    auto const plain = group_norm(
        context,
        upsample_conv2d(context, group_norm(context, conv2d(context, x, weight, none, 1, 1), 2, w, b, true), composed),
        3, w2, b2, true);
    context.fence();
    CHECK(close(values(y), values(plain), 2e-5 * (1 + largest(values(plain)))));
  });
}

TEST_CASE("what is asked of an engine may leave the normalisation to the reader on every engine") {
  for_each_context([](auto const& context) {
    std::size_t const n = 2, height = 5, width = 7, c = 6, out = 8;
    auto const x = random_tensor<float>(context, 1, 1, n, height, width, c);
    auto const weight = random_tensor<float>(context, 2, 0.3, out, c, 3, 3),
               second = random_tensor<float>(context, 3, 0.3, c, out, 3, 3);
    auto const up = random_tensor<float>(context, 4, 0.3, 4 * c, out, 2, 2);
    auto const w = random_tensor<float>(context, 5, 1, out), b = random_tensor<float>(context, 6, 1, out);
    DynamicTensor<float, 1> const none;
    auto const plain = group_norm(context, conv2d(context, x, weight, none, 1, 1), 2, w, b, true);
    auto const plain_second = conv2d(context, plain, second, none, 1, 1);
    auto const plain_up = upsample_conv2d(context, plain, up.reshape(dynamic_extents<5>(4, c, out, 2, 2)));

    auto const y = context.template tensor<float>(n, height, width, out);
    auto const scaling = context.template tensor<float>(n, std::size_t{2}, out);
    auto const applied = context.template tensor<float>(n, height, width, out);
    auto const end = context.template tensor<float>(n, height, width, c);
    auto const raised = context.template tensor<float>(n, 2 * height, 2 * width, c);
    problem::Convolution<float> first{
        {n, height, width, c, height, width, out, c, 0, 3, 3, 1, 1}, x.data(), weight.data(), y.data()};
    detail::solve(context, problem::ConvolutionNormRelu<problem::Convolution<float>>{first, w.data(), b.data(), 2,
                                                                                     1e-5f, scaling.data()});
    detail::solve(context, problem::ApplyScaling{y.data(), scaling.data(), applied.data(), n, height * width, out});
    problem::Convolution<float> reader{
        {n, height, width, out, height, width, c, out, 0, 3, 3, 1, 1}, y.data(), second.data(), end.data()};
    reader.scaling = scaling.data();
    detail::solve(context, reader);
    detail::solve(context, problem::UpsamplingConvolution{n, height, width, out, c, y.data(), up.data(), raised.data(),
                                                          nullptr, scaling.data()});
    context.fence();
    CHECK(close(values(applied), values(plain), 2e-5 * (1 + largest(values(plain)))));
    CHECK(close(values(end), values(plain_second), 2e-5 * (1 + largest(values(plain_second)))));
    CHECK(close(values(raised), values(plain_up), 2e-5 * (1 + largest(values(plain_up)))));
    CHECK(largest(values(plain)) > 0.1);
  });
}

TEST_CASE("scaled maps name what does not fit") {
  using Scaled = ScaledMap<Kokkos::HostSpace>;
  Context<Kokkos::DefaultHostExecutionSpace> const context;
  auto const x = random_tensor<float>(1, 1, 2, 4, 5, 3);
  auto const weight = random_tensor<float>(2, 1, 6, 3, 3, 3), other = random_tensor<float>(3, 1, 6, 4, 3, 3);
  auto const w = random_tensor<float>(4, 1, 6), wrong = random_tensor<float>(5, 1, 5);
  auto const message = [&](Scaled const& map, auto const& kernel, auto const& norm) {
    return message_of<ShapeError>([&] { conv2d_norm_relu(context, map, kernel, norm); });
  };
  GroupNormParameters const norm{std::size_t{2}, w, w};
  CHECK(message({x, {}}, other, norm) == "[conv2d_norm_relu] the last extent of x is 3, expected 4");
  CHECK(message({x, {}}, weight, GroupNormParameters{std::size_t{4}, w, w}) ==
        "[conv2d_norm_relu] 4 groups do not divide 6 channels");
  CHECK(message({x, {}}, weight, GroupNormParameters{std::size_t{0}, w, w}) ==
        "[conv2d_norm_relu] 0 groups do not divide 6 channels");
  CHECK(message({x, {}}, weight, GroupNormParameters{std::size_t{2}, wrong, w}) ==
        "[conv2d_norm_relu] the weight of the norm is 5, expected 6");
  CHECK(message({x, {}}, weight, GroupNormParameters{std::size_t{2}, w, wrong}) ==
        "[conv2d_norm_relu] the bias of the norm is 5, expected 6");
  Scaled const odd{x, random_tensor<float>(6, 1, 2, 2, 4)};
  if (detail::uses_host_engine(context))
    CHECK(message(odd, weight, norm) == "[conv2d_norm_relu] the scaling is [2, 2, 4], the map [2, 4, 5, 3]");
  Scaled const fits{x, random_tensor<float>(6, 1, 2, 2, 3)};
  Context<Kokkos::DefaultHostExecutionSpace> const portable(Kokkos::DefaultHostExecutionSpace(), Engine::portable);
  CHECK(message_of<ConfigError>([&] { apply_scaling(portable, fits); }) ==
        "[apply_scaling] only the host engine makes and reads scaled maps");
}
