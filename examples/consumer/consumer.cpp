// SPDX-License-Identifier: Apache-2.0
// The smallest use of a piece of Kovos in a program of yours: the cost volume of one picture feature and two words.

#include <cmath>
#include <cstdio>
#include <kovos/core/execution.hpp>
#include <kovos/segmentation/cost_volume.hpp>
#include <kovos/version.hpp>

int main() {
  kovos::Runtime runtime;
  kovos::Context<> const context;
  float const picture[] = {3, 4};            // one pixel, two channels
  float const words[] = {1, 0, 0.6f, 0.8f};  // two words
  using kovos::dynamic_extents;
  kovos::Tensor<float, dynamic_extents<3>> image(dynamic_extents<3>(1, 1, 2)), text(dynamic_extents<3>(2, 1, 2));
  for (std::size_t i = 0; i < 2; ++i) image.data()[i] = picture[i];
  for (std::size_t i = 0; i < 4; ++i) text.data()[i] = words[i];
  auto const cost = to_host(context, cost_volume(context, to_device(context, image), to_device(context, text)));
  std::printf("kovos %s: cosines %.2f and %.2f\n", KOVOS_VERSION_STRING, static_cast<double>(cost.data()[0]),
              static_cast<double>(cost.data()[1]));
  return std::abs(cost.data()[0] - 0.6f) < 1e-6f && std::abs(cost.data()[1] - 1.0f) < 1e-6f ? 0 : 1;
}
// Expected output:
//   kovos 0.1.0: cosines 0.60 and 1.00
