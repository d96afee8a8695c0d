// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "kovos/core/execution.hpp"
#include "kovos/kernels/elementwise.hpp"
#include "kovos/nn/parameter.hpp"
#include "kovos/segmentation/aggregator.hpp"
#include "support/spaces.hpp"

namespace kovos::test::small_head {

using Exec = Kokkos::DefaultExecutionSpace;
using Memory = Exec::memory_space;
using Map = DynamicTensor<float, 4, Memory>;

constexpr CatSegConfig small{.clip = {.embed_dim = 12},
                             .decoder_guidance_dims = {8, 4},
                             .decoder_guidance_proj_dims = {4, 4},
                             .decoder_dims = {16, 16},
                             .hidden_dim = 8,
                             .num_heads = 2,
                             .window_size = 3,
                             .shift_size = 1,
                             .appearance_guidance_dim = 4,
                             .text_guidance_dim = 6};
using Head = Aggregator<small, float, Memory>;

/// Random numbers for every parameter.
struct Randomize {
  std::uint64_t seed = 1;
  template <class P>
  void operator()(std::string const&, P& parameter) {
    auto const random = random_tensor(Context<Exec>(), ++seed, 0.4, parameter.extents().size());
    parameter = typename P::tensor_type(random.data(), parameter.extents(), random.owner());
  }
};

/// Copies of what is observed.
struct Recorder {
  Context<Exec> const* context;
  std::map<std::string, Map>* maps;
  template <class V>
  void operator()(std::string_view name, V const& v) const {
    if constexpr (V::rank() == 4) (*maps)[std::string(name)] = copy_of(*context, v);
  }
};

struct Fixture {
  Context<Exec> context;
  Head head;
  ImageFeatures<Memory> image;
  DynamicTensor<float, 3, Memory> words;

  explicit Fixture(std::size_t side, std::size_t classes) {
    Randomize random;
    for_each_parameter(head, random);
    image.dense = random_tensor(context, 101, 1, std::size_t{1}, side, side, std::size_t{12});
    image.guidance = {random_tensor(context, 102, 1, std::size_t{1}, 2 * side, 2 * side, std::size_t{8}),
                      random_tensor(context, 103, 1, std::size_t{1}, 4 * side, 4 * side, std::size_t{4})};
    words = random_tensor(context, 104, 1, classes, std::size_t{1}, std::size_t{12});
  }

  ClassLogits<Memory> operator()(Head::Options const& options = {}) const {
    return head(context, image, words, options).front();
  }

  std::map<std::string, Map> observed() const {
    std::map<std::string, Map> maps;
    Head::Options options;
    options.class_tile = words.extent(0);
    head(context, image, words, options, Recorder{&context, &maps});
    return maps;
  }

  /// The decoder, step by step. -> [T, 4 H, 4 W, 1].
  Map decoded(Map const& x, Map const& guidance_0, Map const& guidance_1) const {
    return head.head(context, head.decoder2(context, head.decoder1(context, x, guidance_0), guidance_1));
  }
};

}  // namespace kovos::test::small_head
