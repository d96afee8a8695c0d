// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kovos/clip/config.hpp"
#include "kovos/core/execution.hpp"
#include "kovos/core/observer.hpp"
#include "kovos/kernels/activation_kind.hpp"
#include "kovos/kernels/embedding.hpp"
#include "kovos/kernels/gather.hpp"
#include "kovos/kernels/gemm.hpp"
#include "kovos/nn/layer_norm.hpp"
#include "kovos/nn/transformer.hpp"

namespace kovos {

/// CLIP's text encoder. Parameters bear OpenAI's names at the root of the model. T stores the matrices of the blocks.
template <ClipConfig Config, class T, class Memory>
class TextTransformer {
 public:
  static constexpr TextConfig config = Config.text;
  static constexpr std::size_t width = config.width;

  Parameter<float, Memory, config.context_length, width> positional_embedding;
  Parameter<float, Memory, width, Config.embed_dim> text_projection;
  Parameter<float, Memory, config.vocabulary_size, width> token_embedding;
  Transformer<width, config.heads, config.layers, T, Memory> transformer;
  LayerNorm<width, float, Memory> ln_final;
  Activation activation = Config.activation;  ///< of the blocks; no weight tells it

  /// The embeddings of N prompts. Each prompt is start + ids + end, no longer than the context; the encoder runs only
  /// as many positions as the longest prompt has, which the causal mask makes exact. -> [N, embed_dim], not normalised.
  /// Throws TextError for an empty list, an id outside the vocabulary or a prompt that is too long.
  template <execution_context C, class Observer = Unobserved>
  auto encode(C const& context, std::span<std::vector<std::int32_t> const> prompts,
              Observer const& observe = {}) const {
    std::size_t const n = prompts.size();
    require<TextError>(n > 0, "[TextTransformer] there are no prompts to encode");
    std::size_t length = 0;
    for (auto const& prompt : prompts) length = std::max(length, prompt.size());
    require<TextError>(length > 0 && length <= config.context_length, "[TextTransformer] a prompt of ", length,
                       " tokens exceeds the context of ", config.context_length, "; use a shorter name");

    using Host = Kokkos::HostSpace;
    Tensor<std::int32_t, dynamic_extents<2>, Host> ids(dynamic_extents<2>(n, length));
    Tensor<std::int32_t, dynamic_extents<1>, Host> ends(dynamic_extents<1>{n});
    for (std::size_t i = 0; i < n; ++i) {
      require<TextError>(!prompts[i].empty(), "[TextTransformer] prompt ", i, " is empty");
      for (std::size_t j = 0; j < length; ++j) {
        std::int32_t const id = j < prompts[i].size() ? prompts[i][j] : 0;
        require<TextError>(id >= 0 && static_cast<std::size_t>(id) < config.vocabulary_size, "[TextTransformer] token ",
                           id, " is outside the model's vocabulary of ", config.vocabulary_size,
                           "; the vocabulary file belongs to another model");
        ids(i, j) = id;
      }
      // The end token has the largest id; its first occurrence is what OpenAI's argmax finds.
      auto const& p = prompts[i];
      ends(i) = static_cast<std::int32_t>(std::max_element(p.begin(), p.end()) - p.begin());
    }
    auto const device_ids = to_device(context, ids);
    auto const device_ends = to_device(context, ends);

    auto x = embed(context, device_ids, token_embedding.dynamic(), positional_embedding.dynamic());  // [N, L, width]
    observe("text.positioned", x);
    std::size_t i = 0;
    for (auto const& block : transformer.resblocks) {
      x = block_of_layers(
          context, [&block, act = activation](auto const& c, auto const& v) { return block(c, v, act, true); }, x);
      observe("text.block" + std::to_string(i++), x);
    }
    x = ln_final(context, x);
    observe("text.ln_final", x);

    auto const pooled = select_tokens(context, x, device_ends);
    auto y = context.template tensor<float>(n, Config.embed_dim);
    gemm(context, as_matrix(pooled), as_matrix(text_projection.dynamic()), as_matrix(y));
    observe("text.raw", y);
    return y;
  }

  template <class F>
  void visit(F& f, std::string const& prefix) const {
    f(prefix + "positional_embedding", positional_embedding, ParameterRole::word_positions);
    f(prefix + "text_projection", text_projection, ParameterRole::projection);
    f(prefix + "token_embedding.weight", token_embedding, ParameterRole::embedding);
    transformer.visit(f, prefix + "transformer.");
    ln_final.visit(f, prefix + "ln_final.");
  }
};

}  // namespace kovos
