// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "drawn.hpp"
#include "kovos/checkpoint/load_parameters.hpp"
#include "kovos/clip/image_encoder.hpp"
#include "kovos/core/execution.hpp"

namespace places {

/// [N, H, W, C] in double precision.
struct Maps {
  std::size_t n, height, width, channels;
  std::vector<double> values;
  double& at(std::size_t i, std::size_t y, std::size_t x, std::size_t c) {
    return values[((i * height + y) * width + x) * channels + c];
  }
};

/// A convolution by its definition, then max(0, .).
template <class Layer>
Maps convolved(Maps x, Layer const& layer, std::size_t stride, std::size_t padding) {
  std::size_t const out = layer.weight.extent(0), kernel = layer.weight.extent(2);
  std::size_t const rows = (x.height + 2 * padding - kernel) / stride + 1;
  std::size_t const columns = (x.width + 2 * padding - kernel) / stride + 1;
  Maps y{x.n, rows, columns, out, std::vector<double>(x.n * rows * columns * out)};
  for (std::size_t n = 0; n < x.n; ++n)
    for (std::size_t row = 0; row < rows; ++row)
      for (std::size_t column = 0; column < columns; ++column)
        for (std::size_t o = 0; o < out; ++o) {
          double sum = layer.bias(o);
          for (std::size_t i = 0; i < kernel; ++i)
            for (std::size_t j = 0; j < kernel; ++j) {
              std::size_t const in_row = row * stride + i, in_column = column * stride + j;
              if (in_row < padding || in_column < padding) continue;
              if (in_row - padding >= x.height || in_column - padding >= x.width) continue;
              for (std::size_t c = 0; c < x.channels; ++c)
                sum += x.at(n, in_row - padding, in_column - padding, c) * layer.weight(o, c, i, j);
            }
          y.at(n, row, column, o) = std::max(0.0, sum);
        }
  return y;
}

template <class V>
void check_same(V const& got, Maps const& expected, std::string const& what) {
  check(got.extent(0) == expected.n && got.extent(1) == expected.height && got.extent(2) == expected.width &&
            got.extent(3) == expected.channels,
        what + " has the extents " + got.extents().to_string());
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    largest = std::max(largest, std::fabs(expected.values[i]));
    double const d = std::fabs(static_cast<double>(got.data()[i]) - expected.values[i]);
    worst = d <= worst ? worst : d;  // NaN is kept
  }
  check(largest > 0.01, what + " is zero");
  check(worst <= 1e-5 * largest, what + " is off by " + std::to_string(worst));
}

/// The encoder of a configuration with stages as PyramidEncoder's gives, on pictures that are not square, what plain
/// loops give: maps at their strides, dense features that depend on the words, embeddings of whole pictures.
template <kovos::ClipConfig Config>
void check_encoder() {
  using Exec = Kokkos::DefaultHostExecutionSpace;
  using Encoder = kovos::ImageEncoder<Config, float, Kokkos::HostSpace>;
  static_assert(kovos::image_encoder<Encoder, kovos::Context<Exec>>);
  kovos::Context<Exec> const context;
  Encoder encoder;
  check(kovos::load_parameters(context, encoder, drawn<Encoder>()).complete(), "the drawn encoder does not load");

  std::size_t const n = 2, height = 48, width = 80, depth = Config.embed_dim;
  std::mt19937 generator(2);
  std::normal_distribution<float> normal;
  auto const pixels = context.tensor<float>(n, height, width, std::size_t{3});
  Maps x{n, height, width, 3, std::vector<double>(pixels.size())};
  for (std::size_t i = 0; i < pixels.size(); ++i) x.values[i] = pixels.data()[i] = normal(generator);
  auto const words = context.tensor<float>(std::size_t{3}, std::size_t{2}, depth);
  std::vector<double> mean(depth);
  for (std::size_t i = 0; i < words.size(); ++i) mean[i % depth] += (words.data()[i] = normal(generator)) / 6.0;

  std::vector<Maps> levels;
  levels.push_back(convolved(x, encoder.stem, 4, 0));
  levels.push_back(convolved(levels[0], encoder.down1, 2, 0));
  levels.push_back(convolved(levels[1], encoder.down2, 2, 0));
  levels.push_back(convolved(levels[2], encoder.last, 1, 1));
  auto& end = levels[3];
  Maps alone{n, end.height, end.width, depth, std::vector<double>(n * end.height * end.width * depth)};
  for (std::size_t i = 0; i < alone.values.size(); ++i) {
    double sum = encoder.proj.bias(i % depth);
    for (std::size_t c = 0; c < end.channels; ++c)
      sum += end.values[i / depth * end.channels + c] * encoder.proj.weight(i % depth, c);
    alone.values[i] = sum;
  }
  Maps told = alone, whole{n, 1, 1, depth, std::vector<double>(n * depth)};
  for (std::size_t i = 0; i < told.values.size(); ++i) {
    told.values[i] += mean[i % depth];
    auto const positions = end.height * end.width;
    whole.values[i / depth / positions * depth + i % depth] += alone.values[i] / static_cast<double>(positions);
  }

  std::array<std::size_t, 4> const wanted{3, 0, 2, 1};
  auto const pyramid = encoder.features(context, pixels, words, wanted);
  auto const untold = encoder.features(context, pixels, {});
  auto const embedding = encoder.encode(context, pixels);
  context.fence();
  check(pyramid.levels.size() == 4 && untold.levels.empty(), "other levels than wanted");
  for (std::size_t i = 0; i < 4; ++i) {
    auto const level = wanted[i];
    std::string const name = "level " + std::to_string(level);
    check_same(pyramid.levels[i], levels[level], name);
    check(levels[level].height == height / Encoder::level_stride(level) &&
              levels[level].width == width / Encoder::level_stride(level) &&
              levels[level].channels == Encoder::level_width(level),
          name + " is not at its stride");
  }
  check_same(pyramid.dense, told, "what is dense");
  check_same(untold.dense, alone, "what is dense without words");
  check_same(embedding.reshape(kovos::dynamic_extents<4>(n, 1, 1, depth)), whole, "the embedding");
}

}  // namespace places
