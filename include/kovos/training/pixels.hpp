// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "kovos/autodiff/rules.hpp"
#include "kovos/core/error.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/image.hpp"

namespace kovos {

/// Pictures of equal size as an encoder wants them: (pixel - mean) / deviation per channel. -> [N, height, width, 3].
/// Throws ShapeError if a picture has another size.
template <class Exec, Recompute Policy>
auto normalized_pixels(Tape<Exec, Policy> const& tape, std::span<Image const> images, std::size_t height,
                       std::size_t width, std::array<float, 3> const& mean, std::array<float, 3> const& deviation) {
  Tensor<float, dynamic_extents<4>> host(dynamic_extents<4>(images.size(), height, width, 3));
  std::size_t const size = height * width * 3;
  for (std::size_t n = 0; n < images.size(); ++n) {
    require<ShapeError>(images[n].height == height && images[n].width == width, "[normalized_pixels] picture ", n,
                        " is ", images[n].height, " x ", images[n].width, ", expected ", height, " x ", width);
    for (std::size_t i = 0; i < size; ++i) host.data()[n * size + i] = static_cast<float>(images[n].pixels[i]);
  }
  return normalize_channels(tape, to_device(tape, host), Kokkos::Array<float, 3>{mean[0], mean[1], mean[2]},
                            Kokkos::Array<float, 3>{deviation[0], deviation[1], deviation[2]});
}

}  // namespace kovos
