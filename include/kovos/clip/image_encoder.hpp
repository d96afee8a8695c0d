// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "kovos/clip/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/tensor.hpp"

namespace kovos {

/// What an image encoder makes of a batch of pictures, which need not be square: maps, channels last.
template <class Memory>
struct ImagePyramid {
  DynamicTensor<float, 4, Memory> dense;                // [N, H, W, embed_dim], comparable with words, not normalised
  std::vector<DynamicTensor<float, 4, Memory>> levels;  // those asked for, [N, H_i, W_i, C_i]
};

/// Of an encoder that gives both from one pass: what a contrastive loss on words of whole pictures and of places
/// trains.
template <class Memory>
struct JointFeatures {
  DynamicTensor<float, 2, Memory> embedding;  // [N, embed_dim], as of encode
  DynamicTensor<float, 4, Memory> dense;      // [N, H, W, embed_dim], as of features
};

namespace detail {
struct AnyParameter {
  template <class... Arguments>
  void operator()(Arguments const&...) const {}
};
}  // namespace detail

/// An image encoder of CLIP: a class template over a ClipConfig, the storage type of its matrices and a memory space,
/// with parameters (`visit`, keys below "visual.") and
///
/// - `stride`, pixels of the picture per position of the dense features; of sides that it divides, the extents are the
///   quotients;
/// - `levels`, how many maps there are inside, from the picture to the end; `level_width(i)` and `level_stride(i)` of
///   each;
/// - `features(context, pixels, words, wanted)`: the dense features, and the levels that are wanted in that order.
///   pixels: [N, H, W, 3], normalised; words: [T, P, embed_dim], unit vectors of the words that are looked for, for
///   encoders whose features depend on them; empty if there are none. With an observer at the end it shows what is
///   inside. Throws ShapeError for sides that it does not take;
/// - `encode(context, pixels)`: the embeddings of whole pictures, [N, embed_dim], not normalised;
/// - if CLIP is to be trained with a dense share, `encode_joint(context, pixels)`: JointFeatures.
///
/// Contexts and tapes run the same text.
template <class E, class C>
concept image_encoder = requires(E const& encoder, C const& context,
                                 DynamicTensor<float, 4, typename C::memory_space> const& pixels,
                                 DynamicTensor<float, 3, typename C::memory_space> const& words,
                                 std::span<std::size_t const> wanted, detail::AnyParameter& f) {
  { E::stride } -> std::convertible_to<std::size_t>;
  { E::levels } -> std::convertible_to<std::size_t>;
  { E::level_width(std::size_t{}) } -> std::convertible_to<std::size_t>;
  { E::level_stride(std::size_t{}) } -> std::convertible_to<std::size_t>;
  { encoder.features(context, pixels, words, wanted) } -> std::same_as<ImagePyramid<typename C::memory_space>>;
  { encoder.encode(context, pixels) } -> std::same_as<DynamicTensor<float, 2, typename C::memory_space>>;
  encoder.visit(f, std::string());
};

/// Which class is the encoder of a configuration: a specialisation, required to be of its kind, names it as `type`. A
/// program adds one for a kind of its own (EncoderKind); tests/consumer/places/encoder.hpp does.
template <ClipConfig Config, class T, class Memory>
struct ImageEncoderOf;

/// The image encoder of a configuration.
template <ClipConfig Config, class T, class Memory>
using ImageEncoder = typename ImageEncoderOf<Config, T, Memory>::type;

}  // namespace kovos
