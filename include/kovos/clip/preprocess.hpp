// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kovos/clip/settings.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/kernels/resize_u8.hpp"

namespace kovos {

/// An 8-bit picture as floats 0..255. -> [1, H, W, 3]. Throws ShapeError if it is empty or its size contradicts its
/// data.
template <class Exec>
auto image_tensor(Context<Exec> const& context, Image const& image) {
  require<ShapeError>(image.height > 0 && image.width > 0 && image.pixels.size() == image.height * image.width * 3,
                      "[image_tensor] the image is ", image.height, " x ", image.width, " with ", image.pixels.size(),
                      " bytes, expected 3 per pixel and at least one pixel");
  Tensor<float, dynamic_extents<4>> host(dynamic_extents<4>(1, image.height, image.width, 3));
  std::copy(image.pixels.begin(), image.pixels.end(), host.data());
  return to_device(context, host);
}

/// OpenAI's preprocessing of a whole picture: short side to `resolution` with Pillow's bicubic filter, centre crop,
/// normalisation by the mean and standard deviation of values 0..1. -> [1, resolution, resolution, 3].
template <class Exec>
auto clip_preprocess(Context<Exec> const& context, Image const& picture, std::size_t resolution,
                     std::array<float, 3> const& pixel_mean = clip_pixel_mean,
                     std::array<float, 3> const& pixel_std = clip_pixel_std) {
  require<ShapeError>(picture.height > 0 && picture.width > 0, "[clip_preprocess] the picture is empty");
  // torchvision: the long side is truncated to an integer, the crop's offset rounded half to even.
  auto const longer = [&](std::size_t a, std::size_t b) {
    return std::max(resolution, static_cast<std::size_t>(static_cast<double>(resolution) * static_cast<double>(a) /
                                                         static_cast<double>(b)));
  };
  bool const portrait = picture.height >= picture.width;
  std::size_t const height = portrait ? longer(picture.height, picture.width) : resolution;
  std::size_t const width = portrait ? resolution : longer(picture.width, picture.height);
  auto const resized = resize_pillow(picture, height, width, ResizeFilter::bicubic);
  auto const offset = [&](std::size_t full) {
    return static_cast<std::size_t>(std::nearbyint(static_cast<double>(full - resolution) / 2.0));
  };
  Image cropped{resolution, resolution, std::vector<std::uint8_t>(resolution * resolution * 3)};
  for (std::size_t y = 0; y < resolution; ++y)
    std::copy_n(resized.row(offset(height) + y) + 3 * offset(width), 3 * resolution, cropped.row(y));
  Kokkos::Array<float, 3> mean{}, deviation{};
  for (std::size_t i = 0; i < 3; ++i) {
    mean[i] = 255.0f * pixel_mean[i];
    deviation[i] = 255.0f * pixel_std[i];
  }
  return normalize_channels(context, image_tensor(context, cropped), mean, deviation);
}

}  // namespace kovos
